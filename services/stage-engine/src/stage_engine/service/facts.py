"""Facts that programs report of opportunities."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners

from stage_engine.domain.facts import CRM, PERSON, FactInForce
from stage_engine.domain.inputs import FactChange
from stage_engine.domain.literals import literal_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.schemas.facts import FactAnswer, FactItem, FactOutcome
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.rulesets import Rulesets

_FACT_CODES = frozenset({"FACT_TYPE", "FACT_SOURCE", "FACT_FUTURE", "FACT_STALE"})


class FactReports:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._caller = caller
        self._owners = Owners.seen_by(caller)
        self._rulesets = Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)

    async def take(self, items: Sequence[FactItem]) -> list[FactAnswer]:
        """An answer for each item; those that a pipeline reads cost a decision each, in their order."""
        known = await self._deciding.load([item.subject_id for item in items])
        versions = {(each.pipeline_key, each.pipeline_version) for each in known.values()}
        rulesets = await self._rulesets.of(versions)
        pipelines = {
            each: rulesets[opportunity.pipeline_key, opportunity.pipeline_version].pipeline
            for each, opportunity in known.items()
        }
        read = [self._read(item, known, pipelines) for item in items]
        changes = [each for each in read if isinstance(each, FactChange)]
        decided = {
            d.arrival.given.identity: d for d in await self._deciding.decide([Arrival(each) for each in changes])
        }
        return [
            _answer(item, each, decided) if isinstance(each, FactChange) else each
            for item, each in zip(items, read, strict=True)
        ]

    def _read(
        self, item: FactItem, known: Mapping[str, Opportunity], pipelines: Mapping[str, Pipeline]
    ) -> FactChange | FactAnswer:
        opportunity = known.get(item.subject_id)
        of_its_type = opportunity is not None and pipelines[item.subject_id].object_type == item.object_type
        if opportunity is None or not of_its_type or not self._owners.include(opportunity.owner_id):
            text = (
                f"No {item.object_type} {item.subject_id!r} is known. Report it again once it was observed in the CRM."
            )
            return _refused(item, "subject_not_found", text)
        if item.source in (CRM, PERSON):
            return _refused(item, "FACT_SOURCE", f"{item.source} is not yours to speak for. Name a source of your own.")
        pipeline = pipelines[item.subject_id]
        kind = pipeline.kind_of_fact(item.name)
        if kind is None or item.name not in pipeline.reads:
            text = f"Nothing in {pipeline.key}@{pipeline.version} reads {item.name}."
            return FactAnswer(idempotency_key=item.idempotency_key, outcome=FactOutcome.NOT_READ, detail=text)
        try:
            value = None if item.value is None or kind.type is None else literal_of(item.value, kind.type)
        except ValueError as error:
            return _refused(item, "FACT_TYPE", f"{item.name} is of type {kind.type}: {error}.")
        fact = FactInForce(item.name, value, item.source, item.observed_at)
        change = FactChange(item.idempotency_key, item.subject_id, item.source, (fact,), self._caller.subject)
        return replace(change, hops=item.hops) if item.hops else change


def _refused(item: FactItem, code: str, text: str) -> FactAnswer:
    return FactAnswer(idempotency_key=item.idempotency_key, outcome=FactOutcome.REFUSED, code=code, detail=text)


def _answer(item: FactItem, change: FactChange, decided: Mapping[str, Decided]) -> FactAnswer:
    made = decided.get(change.identity)
    if made is None:
        return FactAnswer(idempotency_key=item.idempotency_key, outcome=FactOutcome.DUPLICATE)
    reason = next((r for r in made.decision.reasons if r.code in _FACT_CODES), None)
    return FactAnswer(
        idempotency_key=item.idempotency_key,
        outcome=FactOutcome.DECIDED if reason is None else FactOutcome.REFUSED,
        code="" if reason is None else reason.code.value,
        detail="" if reason is None else reason.message,
        decision_id=made.record.decision_id,
    )
