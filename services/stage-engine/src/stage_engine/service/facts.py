"""Facts that programs report of subjects."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners

from stage_engine.domain.decision import Code
from stage_engine.domain.facts import CRM, PERSON, FactInForce, FactKind
from stage_engine.domain.inputs import FactChange, Input
from stage_engine.domain.literals import literal_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.replay import decode_input
from stage_engine.repository.opportunities import OpportunityRepository
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.repository.unplaced import UnplacedRepository
from stage_engine.schemas.facts import FactAnswer, FactItem, FactOutcome
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.reassigning import Reassigning
from stage_engine.service.rulesets import Rulesets

_FACT_CODES = frozenset({"FACT_TYPE", "FACT_SOURCE", "FACT_FUTURE", "FACT_STALE"})


@dataclass(frozen=True, slots=True)
class _Known:
    """What facts are reported of: subjects with their pipelines, by id; and the newest pipelines, of which another one
    may come to apply."""

    subjects: Mapping[str, Opportunity]
    pipelines: Mapping[str, Pipeline]
    newest: Collection[Pipeline]

    def kind_of(self, item: FactItem) -> FactKind | None:
        """The kind of a fact that the subject's pipeline reads, or that decides whether another one applies to it."""
        own = self.pipelines[item.subject_id]
        if item.name in own.reads:
            return own.kind_of_fact(item.name)
        others = (each for each in self.newest if each.object_type == own.object_type)
        return next((each.kind_of_fact(item.name) for each in others if _places_by(each, item.name)), None)


class FactReports:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._caller = caller
        self._owners = Owners.seen_by(caller)
        self._rulesets = Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)
        self._reassigning = Reassigning(self._rulesets, self._deciding)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)
        self._unplaced = UnplacedRepository(uow.session, uow.tenant_id)
        self._log = OpportunityRepository(uow.session, uow.tenant_id)

    async def take(self, items: Sequence[FactItem]) -> list[FactAnswer]:
        """An answer for each item; those that a pipeline reads cost a decision each, in their order."""
        # Before any subject is locked, as a publisher does.
        await self._pipelines.lock_publication(shared=True)
        known = await self._known({item.subject_id for item in items})
        unplaced = await self._unplaced.reasons({i.subject_id for i in items} - known.subjects.keys(), self._owners)
        read = [self._read(item, known, unplaced) for item in items]
        arrivals = [Arrival(each) for each in read if isinstance(each, FactChange)]
        decided = {d.arrival.given.identity: d for d in await self._deciding.decide(arrivals)}
        await self._reassigning.after(arrivals)
        reported = await self._reported([a.given for a in arrivals if a.given.identity not in decided])
        return [
            _answer(item, each, decided, reported) if isinstance(each, FactChange) else each
            for item, each in zip(items, read, strict=True)
        ]

    async def _reported(self, changes: Sequence[Input]) -> dict[str, FactChange]:
        """What was reported before under the identities of these changes."""
        given = await self._log.given([(each.opportunity_id, each.identity) for each in changes])
        found = {identity: decode_input(document) for identity, document in given.items()}
        return {identity: each for identity, each in found.items() if isinstance(each, FactChange)}

    async def _known(self, subject_ids: Collection[str]) -> _Known:
        subjects = await self._deciding.load(sorted(subject_ids))
        rulesets = await self._rulesets.of({(s.pipeline_key, s.pipeline_version) for s in subjects.values()})
        pipelines = {id_: rulesets[s.pipeline_key, s.pipeline_version].pipeline for id_, s in subjects.items()}
        newest = await self._rulesets.newest() if subjects else {}
        return _Known(subjects, pipelines, [each.pipeline for each in newest.values()])

    def _read(self, item: FactItem, known: _Known, unplaced: Mapping[str, str]) -> FactChange | FactAnswer:
        subject = known.subjects.get(item.subject_id)
        if item.subject_id in unplaced:
            text = f"It is in no pipeline: {unplaced[item.subject_id]}. Report the fact again once one takes it."
            return _refused(item, "SUBJECT_UNPLACED", text)
        seen = subject is not None and self._owners.include(subject.owner_id)
        if not seen:
            text = (
                f"No {item.object_type} {item.subject_id!r} is known. Report it again once it was observed in the CRM."
            )
            return _refused(item, "SUBJECT_NOT_FOUND", text)
        actual = known.pipelines[item.subject_id].object_type
        if actual != item.object_type:
            text = f"{item.subject_id!r} is of type {actual}. Report it again with {actual!r} as its `object_type`."
            return _refused(item, "SUBJECT_NOT_FOUND", text)
        if item.source in (CRM, PERSON):
            return _refused(item, "FACT_SOURCE", f"{item.source} is not yours to speak for. Name a source of your own.")
        kind = known.kind_of(item)
        if kind is None:
            pipeline = known.pipelines[item.subject_id]
            text = (
                f"Nothing in {pipeline.key}@{pipeline.version} reads {item.name}, so it is not kept. "
                "Report it again once a version reads it."
            )
            return _refused(item, Code.FACT_UNREAD, text, FactOutcome.NOT_READ)
        try:
            value = None if item.value is None or kind.type is None else literal_of(item.value, kind.type)
        except ValueError as error:
            return _refused(item, "FACT_TYPE", f"{item.name} is of type {kind.type}: {error}.")
        fact = FactInForce(item.name, value, item.source, item.observed_at)
        change = FactChange(item.idempotency_key, item.subject_id, item.source, (fact,), self._caller.subject)
        return replace(change, hops=item.hops) if item.hops else change


def _places_by(pipeline: Pipeline, name: str) -> bool:
    return any(each.fact == name for each in pipeline.applies_when)


def _refused(item: FactItem, code: str, text: str, outcome: FactOutcome = FactOutcome.REFUSED) -> FactAnswer:
    return FactAnswer(idempotency_key=item.idempotency_key, outcome=outcome, code=code, detail=text)


def _answer(
    item: FactItem, change: FactChange, decided: Mapping[str, Decided], reported: Mapping[str, FactChange]
) -> FactAnswer:
    made = decided.get(change.identity)
    if made is None:
        before = reported.get(change.identity)
        if before is not None and before.facts != change.facts:
            text = f"{item.source} used this key before, for another value or time. Give this report a key of its own."
            return _refused(item, "IDEMPOTENCY_KEY_USED", text)
        return FactAnswer(idempotency_key=item.idempotency_key, outcome=FactOutcome.DUPLICATE)
    reason = next((r for r in made.decision.reasons if r.code in _FACT_CODES), None)
    return FactAnswer(
        idempotency_key=item.idempotency_key,
        outcome=FactOutcome.DECIDED if reason is None else FactOutcome.REFUSED,
        code="" if reason is None else reason.code.value,
        detail="" if reason is None else reason.message,
        decision_id=made.record.decision_id,
    )
