"""From inputs to decisions, deals, history and events, for a whole batch at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.ids import utc_now, uuid7

from stage_engine import messages, telemetry
from stage_engine.domain.decision import Code, Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.inputs import Input, Submission
from stage_engine.domain.replay import decode_instance, encode_decision, encode_input, encode_instance
from stage_engine.domain.state import Instance
from stage_engine.repository.deals import DealRepository, Row
from stage_engine.service.rules import Rules
from stage_engine.tenants import Tenants

_ALARMING = frozenset({Code.ENGINE_FAULT, Code.ENGINE_DISAGREEMENT})


@dataclass(frozen=True)
class Arrival:
    """An input, the evidence to pass on with its decision, and the event it came by; commands come by none."""

    given: Input
    evidence: messages.SubmissionScored | None = None
    cause: Received[Any] | None = None


@dataclass(frozen=True)
class Decided:
    """One decision as it was logged."""

    row: Row
    decision: Decision
    instance: Instance


class Deals:
    """The deals of one transaction: loaded and locked once, decided on in memory, written in bulk."""

    def __init__(self, uow: UnitOfWork, rules: Rules) -> None:
        self._uow = uow
        self._rules = rules
        self._repository = DealRepository(uow.session, uow.tenant_id)
        self._states: dict[str, str] = {}
        self._instances: dict[str, Instance] = {}

    @property
    def repository(self) -> DealRepository:
        """The queries of the same transaction."""
        return self._repository

    async def load(self, opportunity_ids: Sequence[str]) -> Mapping[str, Instance]:
        """Every deal that exists, locked; also those loaded before."""
        wanted = sorted(set(opportunity_ids) - self._states.keys())
        if wanted:
            for opportunity_id, state in (await self._repository.states(wanted)).items():
                self._states[opportunity_id] = state
                self._instances[opportunity_id] = decode_instance(state)
        return self._instances

    async def decide(
        self, arrivals: Sequence[Arrival], first_rules: Mapping[str, Ruleset] | None = None
    ) -> list[Decided]:
        """One decision for each arrival that had none, in order. The deals must be loaded; `first_rules` are those that
        deals seen for the first time get pinned to."""
        # What was decided before in this transaction counts as well.
        await self._uow.flush()
        ids = [a.given.opportunity_id for a in arrivals]
        seen = await self._repository.decided({(a.given.opportunity_id, a.given.identity) for a in arrivals})
        pins = [(i.pipeline_key, i.pipeline_version) for each in ids if (i := self._instances.get(each)) is not None]
        rulesets = await self._rules.of(pins)
        now = utc_now()
        made: list[tuple[Decided, Arrival, Ruleset]] = []
        for arrival in arrivals:
            opportunity_id = arrival.given.opportunity_id
            instance = self._instances.get(opportunity_id)
            rules = (
                rulesets[instance.pipeline_key, instance.pipeline_version]
                if instance is not None
                else (first_rules or {})[opportunity_id]
            )
            rulesets[rules.pipeline.key, rules.pipeline.version] = rules
            for step in fold(instance, (arrival.given,), rules, now, seen):
                made.append((self._record(step, now), arrival, rules))
        moved = any(decided.decision.transition for decided, _, _ in made)
        topics = await self._repository.partner_topics() if moved else []
        transitions = [
            row for decided, arrival, rules in made for row in self._announce(decided, arrival, rules, topics)
        ]
        self._repository.add_decisions([decided.row for decided, _, _ in made], transitions)
        latest = {decided.instance.opportunity_id: decided.instance for decided, _, _ in made}
        self._repository.save([self._deal_row(i, rulesets, now) for i in latest.values()])
        return [decided for decided, _, _ in made]

    async def correct(self, changed: Sequence[Instance]) -> None:
        """Write deals that changed without a decision: what the CRM reported of our writes."""
        for instance in changed:
            self._states[instance.opportunity_id] = encode_instance(instance)
            self._instances[instance.opportunity_id] = instance
        rulesets = await self._rules.of([(i.pipeline_key, i.pipeline_version) for i in changed])
        now = utc_now()
        self._repository.save([self._deal_row(i, rulesets, now) for i in changed])

    def _record(self, step: Step, now: datetime) -> Decided:
        decision, instance = step.decision, step.decision.instance
        assert instance is not None
        opportunity_id = instance.opportunity_id
        # The text that was loaded, or made a step ago, is reused: encoding is canonical.
        before = None if step.before is None else self._states[opportunity_id]
        after = self._states[opportunity_id] = encode_instance(instance)
        self._instances[opportunity_id] = instance
        row = {
            "decision_id": uuid7(),
            "opportunity_id": opportunity_id,
            "decision_no": instance.decision_no,
            "identity": step.given.identity,
            "pipeline_key": decision.pipeline_key,
            "pipeline_version": decision.pipeline_version,
            "outcome": decision.outcome.value,
            "decided_at": now,
            "before": before,
            "given": encode_input(step.given),
            "decision": encode_decision(decision),
            "after": after,
        }
        return Decided(row, decision, instance)

    def _announce(self, decided: Decided, arrival: Arrival, rules: Ruleset, topics: Sequence[str]) -> list[Row]:
        """Queue the events of one decision; its transition row when it made a move."""
        decision, instance, decision_id = decided.decision, decided.instance, decided.row["decision_id"]
        self._count(decision, arrival.given)
        move, change = decision.transition, None
        rows: list[Row] = []
        if move is not None:
            transition_id = uuid7()
            change = messages.stage_changed(decision, transition_id, decision_id, rules.pipeline)
            rows.append(_transition_row(decided, transition_id, rules))
        message = messages.stage_decided(decision, decision_id, arrival.given, arrival.evidence, change)
        self._publish(message, instance.decision_no, arrival)
        if change is not None:
            self._publish(change, instance.revision, arrival)
            for topic in topics:
                self._publish(change, instance.revision, arrival, topic)
        return rows

    def _publish(self, message: Message, sequence: int, arrival: Arrival, topic: str = "") -> None:
        self._uow.publish(message, sequence=sequence, cause=arrival.cause, topic=topic)

    def _count(self, decision: Decision, given: Input) -> None:
        kind = type(given).__name__.lower()
        codes = [r.code for r in decision.reasons]
        move = decision.transition

        def count() -> None:
            telemetry.DECISIONS.labels(kind, decision.outcome.value).inc()
            if isinstance(given, Submission):
                telemetry.DECISION_LATENCY.observe(max(0.0, (utc_now() - given.received_at).total_seconds()))
            if move is not None:
                telemetry.TRANSITIONS.labels(move.kind.value, move.cause.value).inc()
            if kind == "observation" and Code.UNMAPPED_STAGE in codes:
                telemetry.QUARANTINED.inc()
            for code in codes:
                if code in _ALARMING:
                    telemetry.ENGINE_FAULTS.labels(code.value).inc()

        self._uow.after_commit(count)
        self._uow.after_commit(lambda: self._uow.resources.get(Tenants).add(self._uow.tenant_id))

    def _deal_row(self, instance: Instance, rulesets: Mapping[tuple[str, int], Ruleset], now: datetime) -> Row:
        pipeline = rulesets[instance.pipeline_key, instance.pipeline_version].pipeline
        placed = bool(instance.stage_key)
        return {
            "opportunity_id": instance.opportunity_id,
            "pipeline_key": instance.pipeline_key,
            "pipeline_version": instance.pipeline_version,
            "stage_key": instance.stage_key,
            "stage_rank": pipeline.rank(instance.stage_key) if placed else 0,
            "category": pipeline.stage(instance.stage_key).category.value if placed else "",
            "earned_stage": instance.earned_stage,
            "earned_rank": pipeline.rank(instance.earned_stage),
            "amount": instance.amount,
            "owner_id": instance.owner_id,
            "deleted": instance.deleted,
            "quarantined": instance.quarantined,
            "revision": instance.revision,
            "state": self._states[instance.opportunity_id],
            "updated_at": now,
        }


def _transition_row(decided: Decided, transition_id: Any, rules: Ruleset) -> Row:
    pipeline, move = rules.pipeline, decided.decision.transition
    assert move is not None
    return {
        "transition_id": transition_id,
        "opportunity_id": decided.instance.opportunity_id,
        "revision": move.revision,
        "decision_id": decided.row["decision_id"],
        "kind": move.kind.value,
        "from_stage": move.from_stage,
        "to_stage": move.to_stage,
        "from_rank": pipeline.rank(move.from_stage) if move.from_stage else None,
        "to_rank": pipeline.rank(move.to_stage),
        "to_category": pipeline.stage(move.to_stage).category.value,
        "skipped": list(move.skipped),
        "visit_no": move.visit_no,
        "cycle_no": move.cycle_no,
        "cause": move.cause.value,
        "rule_id": move.rule_id,
        "submission_id": move.submission_id,
        "actor": move.actor,
        "reason_code": move.reason_code,
        "earned_stage": decided.instance.earned_stage,
        "pipeline_key": pipeline.key,
        "pipeline_version": pipeline.version,
        "changed_at": move.changed_at,
    }
