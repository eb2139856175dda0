"""Installing a process template: all of it is published together, once its assessments and points are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.ids import microseconds, utc_now

from stage_engine.domain.assignment import AssignmentRules
from stage_engine.domain.finding import LintFinding, info
from stage_engine.domain.installing import merged, prefixed, renamed, same_content, staffed
from stage_engine.errors.pipelines import PoolUnknown, TemplateNotFound, TemplateRefused
from stage_engine.messages import assessment_requested
from stage_engine.processes import ProcessTemplate, process_templates
from stage_engine.records.pipelines import PipelineRecord, ReachRecord
from stage_engine.repository.assignments import AssignmentRepository
from stage_engine.repository.locks import lock
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.schemas.pipelines import NewPipeline
from stage_engine.service.assignment_rules import RulesOfAssignment
from stage_engine.service.authoring import Authoring, template

_OF_PEOPLE = {"person_unknown", "person_inactive"}


def process_template(key: str) -> ProcessTemplate:
    """A shipped process. TemplateNotFound."""
    found = process_templates().get(key)
    if found is None:
        raise TemplateNotFound(key, process_templates())
    return found


@dataclass(frozen=True, slots=True)
class Order:
    """A template as a tenant gets it. `assessments` are the keys of shipped ones by the keys that they get."""

    template: str
    pipelines: tuple[dict[str, Any], ...]
    assessments: Mapping[str, str]
    assignment_rules: Mapping[str, AssignmentRules]
    # The pools for which people were named: as the template calls them, as the tenant does, and who.
    named: tuple[tuple[str, str, tuple[str, ...]], ...]
    take_over_default: bool


def order_of(
    key: str, prefix: str, people: Mapping[str, Sequence[str]], caller: Principal, *, take_over_default: bool
) -> Order:
    """What installing the template under a prefix is to bring. Pools for which no people are named get the caller.
    TemplateNotFound, PoolUnknown."""
    found = process_template(key)
    unknown = sorted(people.keys() - set(found.pools))
    if unknown:
        raise PoolUnknown(unknown, found.pools)
    staff = {pool: people.get(pool) or [caller.person_id or caller.subject] for pool in found.pools}
    return Order(
        template=key,
        pipelines=tuple(_content(each, prefix, found.assessments) for each in found.pipelines),
        assessments={prefixed(prefix, each): each for each in found.assessments},
        assignment_rules={of: staffed(rules, prefix, staff) for of, rules in found.assignment_rules.items()},
        named=tuple((pool, prefixed(prefix, pool), tuple(people[pool])) for pool in found.pools if people.get(pool)),
        take_over_default=take_over_default,
    )


def _content(pipeline: dict[str, Any] | str, prefix: str, assessments: Sequence[str]) -> dict[str, Any]:
    content = template(pipeline) if isinstance(pipeline, str) else pipeline
    return NewPipeline.model_validate(renamed(content, prefix, assessments)).model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Installed:
    """What of an order is in force: versions by pipeline, by assessment, and of the assignment rules by type of object.
    `waiting_for` are assessments whose points are not published yet; until then nothing is in force."""

    pipelines: Mapping[str, int]
    assessments: Mapping[str, int]
    assignment_rules: Mapping[str, int]
    waiting_for: tuple[str, ...]
    changed: bool
    findings: tuple[LintFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rules:
    """The assignment rules to have for a type of object, and the version in force; 0: none is."""

    object_type: str
    rules: AssignmentRules
    version: int
    differs: bool


class Installing:
    """What is there already with the same content is left alone, so that the same order again goes on where the first
    one was left, and changes nothing once all is in force."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._authoring = Authoring(uow, caller)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)

    async def go_on(self, order: Order, request_id: UUID, *, asks: bool) -> Installed:
        """Publish all of the order in this transaction; or, while points are missing, make the drafts and ask for the
        assessments. TemplateRefused with all that is in the way; otherwise refused as a publication is."""
        await lock(self._uow.session, self._uow.tenant_id, ["templates"])
        there = {content["key"]: await self._pipelines.one(content["key"]) for content in order.pipelines}
        points = {r.assessment_key: r for r in await self._pipelines.reach(sorted(order.assessments), {})}
        in_force = all(found is not None and found.newest_version for found in there.values())
        rules, clashes = await self._assignment_rules(order)
        clashes += await self._other_pipelines(order, there)
        if not in_force:
            clashes += _other_points(order, points)
            refused = await self._pipelines.refusals(request_id)
            clashes += [(f"/assessments/{each.assessment_key}", each.detail) for each in refused]
        if clashes:
            raise TemplateRefused(clashes)
        waiting = () if in_force else tuple(sorted(order.assessments.keys() - points.keys()))
        new = [content for content in order.pipelines if there[content["key"]] is None]
        for content in new:
            await self._authoring.create(content["key"], content)
        if waiting:
            if asks:
                self._ask(order, waiting, request_id)
            return Installed({}, _versions(points), {}, waiting, changed=bool(new))
        versions = {key: found.newest_version for key, found in there.items() if found is not None}
        for content in order.pipelines:
            if not versions.get(content["key"]):
                released = {key: points[key].assessment_version for key in order.assessments}
                published = await self._authoring.publish(
                    content["key"], take_over_default=order.take_over_default, assessment_versions=released
                )
                versions[content["key"]] = published.version.version
        changed = not in_force or any(each.differs for each in rules)
        in_rules = [finding for each in rules for finding in await self._findings(order, each)]
        return Installed(versions, _versions(points), await self._put(rules), (), changed, tuple(in_rules))

    async def _other_pipelines(self, order: Order, there: Mapping[str, PipelineRecord | None]) -> list[tuple[str, str]]:
        """A published pipeline is the template's when its first version is: what became of it since is its author's."""
        clashes: list[tuple[str, str]] = []
        for content in order.pipelines:
            key = content["key"]
            found = there[key]
            if found is None:
                continue
            first = await self._authoring.version(key, 1) if found.newest_version else None
            if not same_content(first.document if first else found.draft, content):
                clashes.append((f"/pipelines/{key}", f"There is a pipeline {key!r} of another content."))
        return clashes

    async def _assignment_rules(self, order: Order) -> tuple[list[_Rules], list[tuple[str, str]]]:
        """The rules to have for each type of object, and what is in the way."""
        repository = AssignmentRepository(self._uow.session, self._uow.tenant_id)
        wanted: list[_Rules] = []
        clashes: list[tuple[str, str]] = []
        for of, given in order.assignment_rules.items():
            newest = await repository.newest(of)
            found = merged(newest.document if newest else None, given)
            clashes += [(f"/assignment_rules/{of}{pointer}", words) for pointer, words in found.clashes]
            differs = newest is None or found.rules != newest.document
            wanted.append(_Rules(of, found.rules, newest.version if newest else 0, differs))
        return wanted, clashes

    async def _findings(self, order: Order, wanted: _Rules) -> list[LintFinding]:
        """Who gets nothing by the rules, and whom the order names although a pool has its people already."""
        there = {pool.key: pool.people for pool in wanted.rules.pools}
        found = await RulesOfAssignment(self._uow).findings(wanted.object_type, wanted.rules)
        words = f"has people already, who stay: PUT /v1/assignment-rules/{wanted.object_type} changes them"
        return [each for each in found if each.code in _OF_PEOPLE] + [
            info("pool_kept", f"/people/{pool}", f"{key} {words}")
            for pool, key, people in order.named
            if there.get(key, people) != people
        ]

    async def _put(self, wanted: Sequence[_Rules]) -> dict[str, int]:
        """Put in force what differs; the versions in force by type of object."""
        versions: dict[str, int] = {}
        for each in wanted:
            versions[each.object_type] = each.version
            if each.differs:
                record, _ = await RulesOfAssignment(self._uow).put(
                    each.object_type, each.rules, each.version, self._caller
                )
                versions[each.object_type] = record.version
        return versions

    def _ask(self, order: Order, waiting: Sequence[str], request_id: UUID) -> None:
        now = utc_now()
        for key in waiting:
            message = assessment_requested(request_id, key, order.assessments[key], self._caller.subject, now)
            self._uow.publish(message, sequence=microseconds(now))


def _other_points(order: Order, points: Mapping[str, ReachRecord]) -> list[tuple[str, str]]:
    found = [points[key] for key, shipped in sorted(order.assessments.items()) if _differ(points.get(key), shipped)]
    return [
        (f"/assessments/{r.assessment_key}", f"Version {r.assessment_version} of it has other points than the shipped.")
        for r in found
    ]


def _differ(points: ReachRecord | None, shipped: str) -> bool:
    return points is not None and points.template_key != shipped


def _versions(points: Mapping[str, ReachRecord]) -> dict[str, int]:
    return {key: found.assessment_version for key, found in sorted(points.items())}
