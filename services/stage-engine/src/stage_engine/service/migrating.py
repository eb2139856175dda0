"""Carrying live opportunities to another version of their pipeline, page by page, and back."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.ids import utc_now, uuid7
from kit.operators.audit import record

from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.on_migration import input_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.replay import decode_opportunity
from stage_engine.domain.versions import Held, Plan, has_place, orphans, used_stages
from stage_engine.errors.migrations import (
    MigrationNotFound,
    MigrationNotInvertible,
    MigrationUnderWay,
    PlanIncomplete,
    PlanStageUnknown,
)
from stage_engine.records.pipelines import MigrationRecord
from stage_engine.repository.migrations import MigrationRepository
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets, Version

# Opportunities carried over in one transaction, which locks them.
PAGE = 200


class MigrationStarted:
    """Wakes the task that carries opportunities over."""

    def __init__(self) -> None:
        self.signal = asyncio.Event()


class Migrating:
    """Starts migrations; a task of the service carries them out."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = MigrationRepository(uow.session, uow.tenant_id)

    async def one(self, key: str, migration_id: UUID) -> MigrationRecord:
        found = await self._repository.one(key, migration_id)
        if found is None:
            raise MigrationNotFound(migration_id)
        return found

    async def many(self, key: str, after: UUID, limit: int) -> list[MigrationRecord]:
        return await self._repository.many(key, after, limit)

    async def start(self, target: Pipeline, plan: Plan) -> MigrationRecord:
        """Carry all live opportunities of other versions to this one. PlanIncomplete where the plan has no place for
        some, PlanStageUnknown, MigrationUnderWay."""
        held = await self._repository.held(target.key, besides=target.version)
        await check_names(self._uow, target.key, plan, held)
        whole = plan.completed(used_stages(held))
        nowhere = orphans(whole, held, target)
        if nowhere:
            raise PlanIncomplete(target.version, nowhere)
        return await self._add(target.key, target.version, None, whole, sum(each.opportunities for each in held))

    async def undo(self, key: str, migration_id: UUID) -> MigrationRecord:
        """Carry the opportunities of a migration back to the versions and stages they came from; those that have moved
        on meanwhile go to the stage of their old version that theirs corresponds to. MigrationNotInvertible."""
        found = await self.one(key, migration_id)
        if found.finished_at is None:
            raise MigrationUnderWay(key)
        if found.undoes is not None or not found.plan.is_injective:
            raise MigrationNotInvertible(found)
        return await self._add(key, 0, migration_id, found.plan.inverse(), found.moved)

    async def _add(self, key: str, to_version: int, undoes: UUID | None, plan: Plan, planned: int) -> MigrationRecord:
        if await self._repository.under_way(key) is not None:
            raise MigrationUnderWay(key)
        started = MigrationRecord(
            migration_id=uuid7(),
            pipeline_key=key,
            to_version=to_version,
            undoes=undoes,
            plan=plan,
            after="",
            planned=planned,
            moved=0,
            left=0,
            started_at=utc_now(),
            started_by=self._caller.subject,
            finished_at=None,
        )
        await self._repository.add(started)
        detail = {"migration_id": str(started.migration_id), "to_version": to_version, "planned": planned}
        action = "pipeline.migration_undone" if undoes else "pipeline.migration_started"
        await record(self._uow, self._caller, action, key, **detail)
        self._uow.after_commit(self._uow.resources.get(MigrationStarted).signal.set)
        return started


async def check_names(uow: UnitOfWork, key: str, plan: Plan, held: Sequence[Held]) -> None:
    """PlanStageUnknown where the plan names a stage that no version in use has."""
    rulesets = await Rulesets(uow).of({(key, each.version) for each in held})
    unknown = [name for name in plan.stages if not any(name in each.pipeline for each in rulesets.values())]
    if held and unknown:
        raise PlanStageUnknown(unknown)


@dataclass(frozen=True, slots=True)
class _Turn:
    """An opportunity whose turn it is, the version it may come from, and the one it goes to."""

    opportunity_id: str
    source: int | None
    target: Version


async def carry_page(uow: UnitOfWork, migration_id: UUID, *, alone: bool = False) -> bool:
    """Carry over the next page, or the next opportunity `alone`; whether there may be more. False also while another
    instance is at it."""
    repository = MigrationRepository(uow.session, uow.tenant_id)
    found = await repository.take(migration_id)
    if found is None:
        return False
    size = 1 if alone else PAGE
    turns = await _turns(repository, found, size)
    rulesets = Rulesets(uow)
    deciding = Deciding(uow, rulesets)
    known = await deciding.load([each.opportunity_id for each in turns])
    live = [each for each in turns if _is_due(each, known.get(each.opportunity_id))]
    versions = {(o.pipeline_key, o.pipeline_version) for each in live if (o := known[each.opportunity_id])}
    compiled = await rulesets.of(versions | {each.target for each in live})
    open_ = [each for each in live if _is_open(known[each.opportunity_id], compiled)]
    placed = [
        each for each in open_ if _has_place(found.plan, compiled[each.target].pipeline, known[each.opportunity_id])
    ]
    arrivals = [
        Arrival(input_of(found.plan, str(migration_id), each.opportunity_id, each.target[1], found.started_by))
        for each in placed
    ]
    if arrivals:
        await deciding.decide(arrivals, {each.opportunity_id: compiled[each.target] for each in placed})
    more = len(turns) == size
    after = turns[-1].opportunity_id if turns else found.after
    await repository.went_on(migration_id, after, len(placed), len(open_) - len(placed), finished=not more)
    return more


async def pass_over(uow: UnitOfWork, migration_id: UUID) -> bool:
    """Leave the next opportunity on its version; True, since there may be more."""
    repository = MigrationRepository(uow.session, uow.tenant_id)
    found = await repository.take(migration_id)
    if found is not None:
        turns = await _turns(repository, found, 1)
        after = turns[0].opportunity_id if turns else found.after
        await repository.went_on(migration_id, after, 0, len(turns), finished=not turns)
    return True


async def _turns(repository: MigrationRepository, of: MigrationRecord, size: int) -> list[_Turn]:
    if of.undoes is None:
        page = await repository.live(of.pipeline_key, of.to_version, of.after, size)
        return [_Turn(each.opportunity_id, None, (of.pipeline_key, of.to_version)) for each in page]
    undone = await repository.one(of.pipeline_key, of.undoes)
    assert undone is not None
    turns: list[_Turn] = []
    for each in await repository.carried(of.undoes, of.after, size):
        before = decode_opportunity(each.state)
        turns.append(_Turn(each.opportunity_id, undone.to_version, (before.pipeline_key, before.pipeline_version)))
    return turns


def _is_due(turn: _Turn, opportunity: Opportunity | None) -> bool:
    """Whether it still is where it was found: it may have changed before it was locked."""
    if opportunity is None or opportunity.deleted or opportunity.pipeline_key != turn.target[0]:
        return False
    version = opportunity.pipeline_version
    return version != turn.target[1] and turn.source in (None, version)


def _is_open(opportunity: Opportunity, compiled: Mapping[Version, Ruleset]) -> bool:
    pipeline = compiled[opportunity.pipeline_key, opportunity.pipeline_version].pipeline
    return not opportunity.stage_key or pipeline.is_open(opportunity.stage_key)


def _has_place(plan: Plan, target: Pipeline, opportunity: Opportunity) -> bool:
    return has_place(plan, target, opportunity.stage_key, opportunity.earned_stage)
