"""Switching rules, or all automation of a pipeline, without a new version."""

from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now
from kit.operators.audit import record

from stage_engine.domain.document import from_document
from stage_engine.domain.finding import LintFinding, Severity
from stage_engine.domain.modes import BREAKER, Switch, Switching, in_force, modes_at
from stage_engine.domain.pipeline import Pipeline
from stage_engine.errors.pipelines import PipelineInvalid, RuleNotFound
from stage_engine.records.pipelines import PipelineRecord
from stage_engine.repository.modes import ModeRepository
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.authoring import Authoring

_AUTOMATION = ""


@dataclass(frozen=True, slots=True)
class InForce:
    """What is switched in a pipeline."""

    revision: int
    switched: tuple[Switching, ...]

    @property
    def automation(self) -> bool:
        return all(each.rule_id for each in self.switched)

    @property
    def breaker_open(self) -> bool:
        return any(each.rule_id == BREAKER for each in self.switched)


class SwitchingModes:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._authoring = Authoring(uow, caller)
        self._repository = ModeRepository(uow.session, uow.tenant_id)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)

    async def in_force(self, key: str) -> InForce:
        found = await self._authoring.one(key)
        history = await self._repository.history(key, found.modes_revision)
        return InForce(found.modes_revision, in_force(history))

    async def rule(self, key: str, rule_id: str, switch: Switch, reason: str, expected_revision: int) -> InForce:
        """Let a rule go as far as this in all versions that have it, from the next decision on. RuleNotFound,
        PipelineInvalid when no version could be published so."""
        found = await self._authoring.one(key, for_update=True)
        check_revision(expected_revision, found.modes_revision)
        versions = [each for each in await self._in_use(found) if any(r.rule_id == rule_id for r in each.rules)]
        if not versions:
            raise RuleNotFound(key, rule_id)
        history = await self._repository.history(key, found.modes_revision)
        switched = self._switched(found, rule_id, switch, reason)
        now, then = modes_at(found.modes_revision, history), modes_at(switched.revision, [*history, switched])
        for version in versions:
            known = await self._errors(now.applied(version))
            fresh = [each for each in await self._errors(then.applied(version)) if each not in known]
            if fresh:
                raise PipelineInvalid(fresh)
        return await self._keep(key, history, switched)

    async def automation(self, key: str, *, enabled: bool, reason: str) -> InForce:
        """Let rules move opportunities of this pipeline by themselves, or none at all. It takes no revision: who stops
        what goes wrong must not be refused because another person changed something."""
        found = await self._authoring.one(key, for_update=True)
        history = await self._repository.history(key, found.modes_revision)
        switch = Switch.AUTOMATION_ON if enabled else Switch.AUTOMATION_OFF
        return await self._keep(key, history, self._switched(found, _AUTOMATION, switch, reason))

    async def breaker(self, key: str, *, opened: bool, reason: str) -> InForce:
        """Let rules move again after the breaker has opened, or hold them back as if it had. It takes no revision."""
        found = await self._authoring.one(key, for_update=True)
        history = await self._repository.history(key, found.modes_revision)
        switch = Switch.BREAKER_OPEN if opened else Switch.BREAKER_CLOSED
        return await self._keep(key, history, self._switched(found, BREAKER, switch, reason))

    async def _keep(self, key: str, history: list[Switching], switched: Switching) -> InForce:
        before = in_force(history)
        after = in_force([*history, switched])
        if _shown(before) == _shown(after):
            return InForce(switched.revision - 1, before)
        await self._repository.add(key, switched)
        detail = {"rule_id": switched.rule_id, "to": switched.switch.value, "reason": switched.reason}
        what = {_AUTOMATION: "automation", BREAKER: "breaker"}.get(switched.rule_id, "rule")
        action = f"pipeline.{what}_switched"
        await record(self._uow, self._caller, action, key, revision=switched.revision, **detail)
        return InForce(switched.revision, after)

    def _switched(self, found: PipelineRecord, rule_id: str, switch: Switch, reason: str) -> Switching:
        return Switching(found.modes_revision + 1, rule_id, switch, reason, utc_now(), self._caller.subject)

    async def _in_use(self, found: PipelineRecord) -> list[Pipeline]:
        """The newest version, and those with open opportunities."""
        key = found.pipeline_key
        use = {each.version for each in await self._pipelines.stage_use(key)} | {found.newest_version}
        documents = await self._pipelines.documents([(key, version) for version in sorted(use)])
        return [from_document(document, version) for (_, version), document in sorted(documents.items())]

    async def _errors(self, pipeline: Pipeline) -> list[LintFinding]:
        findings = await (await self._authoring.question_of(pipeline)).findings()
        return [each for each in findings if each.severity is Severity.ERROR]


def _shown(switched: tuple[Switching, ...]) -> set[tuple[str, Switch]]:
    return {(each.rule_id, each.switch) for each in switched}
