"""From inputs to decisions, opportunities, history and events, for a whole batch at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.ids import derived, utc_now, uuid7

from stage_engine import messages
from stage_engine.domain.actions import ActionKind
from stage_engine.domain.calendar import Calendar
from stage_engine.domain.decision import Cause, Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.inputs import Hop, Input, Observation
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import decode_opportunity, encode_opportunity
from stage_engine.domain.requests import HoldRequest
from stage_engine.records.opportunities import DecisionRecord, OpportunityRecord, TransitionRecord
from stage_engine.records.partner_feeds import FeedRecord
from stage_engine.records.work import ActionRecord, SettledAction
from stage_engine.repository.actions import ActionRepository
from stage_engine.repository.assignments import AssignmentRepository
from stage_engine.repository.obligations import ObligationRepository
from stage_engine.repository.opportunities import OpportunityRepository
from stage_engine.repository.partner_feeds import PartnerFeedRepository
from stage_engine.repository.pending import PendingRepository
from stage_engine.service.breaking import BreakerWatch
from stage_engine.service.calendars import Calendars
from stage_engine.service.figures_kept import FiguresKept
from stage_engine.service.own_actions import assignments_asked_for, settled_by
from stage_engine.service.recording import count, decision_record, opportunity_record, transition_record
from stage_engine.service.recording_actions import action_records, count_settled, expired, owner_action
from stage_engine.service.recording_duty import assignment_records, obligation_records
from stage_engine.service.recording_pending import add_waiting, changed_by
from stage_engine.service.rulesets import Rulesets, Version
from stage_engine.tenants import Tenants


@dataclass(frozen=True, slots=True)
class Arrival:
    """An input, the evidence to pass on with its decision, and the event it came by; commands come by none."""

    given: Input
    evidence: messages.SubmissionScored | None = None
    cause: Received[Any] | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it was logged, and the ruleset it rests on."""

    arrival: Arrival
    record: DecisionRecord
    decision: Decision
    opportunity: Opportunity
    ruleset: Ruleset
    before: Opportunity | None = None


class Deciding:
    """The opportunities of one transaction: loaded and locked once, decided on in memory, written in bulk."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets) -> None:
        self._uow = uow
        self._rulesets = rulesets
        self._repository = OpportunityRepository(uow.session, uow.tenant_id)
        self._figures = FiguresKept(uow)
        self._actions = ActionRepository(uow.session, uow.tenant_id)
        self._assignments = AssignmentRepository(uow.session, uow.tenant_id)
        self._obligations = ObligationRepository(uow.session, uow.tenant_id)
        self._pending = PendingRepository(uow.session, uow.tenant_id)
        self._feeds = PartnerFeedRepository(uow.session, uow.tenant_id)
        self._states: dict[str, str] = {}
        self._opportunities: dict[str, Opportunity] = {}

    async def load(self, opportunity_ids: Sequence[str]) -> Mapping[str, Opportunity]:
        """Every opportunity that exists, locked; also those loaded before."""
        wanted = sorted(set(opportunity_ids) - self._states.keys())
        if wanted:
            states, modes, teams = await self._repository.states(wanted)
            self._figures.note_teams(teams)
            self._rulesets.note_modes(modes)
            for opportunity_id, state in states.items():
                self._states[opportunity_id] = state
                self._opportunities[opportunity_id] = decode_opportunity(state)
        return self._opportunities

    async def decide(
        self, arrivals: Sequence[Arrival], given_rulesets: Mapping[str, Ruleset] | None = None
    ) -> list[Decided]:
        """One decision for each arrival that had none, in order. The opportunities must be loaded. Those that are new,
        or go to another version, are decided on by their `given_rulesets`."""
        # What was decided before in this transaction counts as well.
        await self._uow.flush()
        inputs = {(a.given.opportunity_id, a.given.identity) for a in arrivals}
        known = await self._repository.decided(inputs)
        rulesets = await self._pinned([a.given.opportunity_id for a in arrivals])
        calendars = await self._calendars(arrivals, {**rulesets, **(given_rulesets or {})}.values())
        now = utc_now()
        made: list[Decided] = []
        steps: list[tuple[Step, Ruleset]] = []
        for arrival in arrivals:
            opportunity_id = arrival.given.opportunity_id
            opportunity = self._opportunities.get(opportunity_id)
            ruleset = (given_rulesets or {}).get(opportunity_id)
            if ruleset is None:
                assert opportunity is not None
                ruleset = rulesets[_version(opportunity)]
            if calendars:
                ruleset = ruleset.in_calendar(calendars[_owner(arrival.given, opportunity)])
            for step in fold(opportunity, (arrival.given,), ruleset, now, known.setdefault(opportunity_id, set())):
                # The moves that it led on to came by the same event, and not with its evidence.
                of = Arrival(step.given, cause=arrival.cause) if isinstance(step.given, Hop) else arrival
                made.append(self._record(of, step, ruleset))
                steps.append((step, ruleset))
        feeds = await self._feeds.all() if any(each.decision.transition for each in made) else []
        transitions = [move for each in made if (move := self._announce(each, feeds)) is not None]
        self._repository.add_decisions([each.record for each in made], transitions)
        await self._ask(made)
        self._obligations.keep(
            [row for each in made for row in obligation_records(each.decision, each.opportunity, each.ruleset.pipeline)]
        )
        self._assignments.keep(
            [
                row
                for each in made
                for row in assignment_records(
                    each.decision, each.arrival.given, each.record.decision_id, each.ruleset.pipeline.object_type
                )
            ]
        )
        await self._figures.follow(steps)
        await self._wait(made)
        latest = {each.opportunity.opportunity_id: each for each in made}
        self._repository.save([self._as_it_is(each.opportunity, each.ruleset, now) for each in latest.values()])
        await self._assign(made, now)
        return made

    async def correct(self, changed: Sequence[Opportunity]) -> None:
        """Write opportunities that changed without a decision: what the CRM reported of our writes."""
        for opportunity in changed:
            self._states[opportunity.opportunity_id] = encode_opportunity(opportunity)
            self._opportunities[opportunity.opportunity_id] = opportunity
        rulesets = await self._rulesets.of([_version(each) for each in changed])
        now = utc_now()
        self._repository.save([self._as_it_is(each, rulesets[_version(each)], now) for each in changed])

    async def _ask(self, made: Sequence[Decided]) -> None:
        """Write down and announce what decisions ask for, and that other actions are not waited for any more."""
        tenant_id = self._uow.tenant_id
        asked: dict[UUID, ActionRecord] = {}
        lapsed: list[SettledAction] = []
        for each in made:
            decision, object_type = each.decision, each.ruleset.pipeline.object_type
            owner = owner_action(decision, each.record.decision_id, object_type)
            if owner is not None:
                asked[owner.action_id] = owner
            for found in action_records(decision, tenant_id, each.record.decision_id, object_type):
                asked[found.action_id] = found
                if found.kind == ActionKind.ASSIGN:
                    continue
                message = messages.action_requested(found)
                self._publish(message, each.opportunity.decision_no, each.arrival, id=found.action_id)
            subject_id, at = each.opportunity.opportunity_id, decision.decided_at
            lapsed += (expired(over, tenant_id, subject_id, at) for over in decision.lapsed)
        # What was asked for by a decision before, of the same batch, is not written yet.
        for each in lapsed:
            if each.action_id in asked:
                asked[each.action_id] = replace(asked[each.action_id], **asdict(each))
        self._actions.add(list(asked.values()))
        await self._settle([each for each in lapsed if each.action_id not in asked])

    async def _wait(self, made: Sequence[Decided]) -> None:
        """Write down what decisions changed of the moves that wait for people."""
        steps = ((each.before, each.decision, each.ruleset.pipeline) for each in made)
        found = changed_by(self._uow.tenant_id, steps)
        await self._pending.keep_approvals(found.approvals, found.approvers)
        self._pending.keep_proposals(found.proposals)

    async def _assign(self, made: Sequence[Decided], now: datetime) -> None:
        """Carry out the assignments that decisions ask for: each is decided on in turn, and settled by what comes of
        it."""
        wishes = [wish for each in made for wish in assignments_asked_for(each.decision)]
        if not wishes:
            return
        people = await self._assignments.active({each.asked.to for each in wishes})
        causes = {each.opportunity.opportunity_id: each.arrival.cause for each in made}
        arrivals = [
            Arrival(each.given(self._uow.tenant_id, people, now), cause=causes[each.opportunity_id]) for each in wishes
        ]
        done = await self.decide(arrivals)
        await self._uow.flush()
        await self._settle([settled_by(each.decision, each.arrival.given, now) for each in done])

    async def _settle(self, found: Sequence[SettledAction]) -> None:
        if found:
            count_settled(self._uow, found, await self._actions.settle(found))

    async def _pinned(self, opportunity_ids: Sequence[str]) -> dict[Version, Ruleset]:
        found = (self._opportunities.get(each) for each in opportunity_ids)
        return await self._rulesets.of([_version(each) for each in found if each is not None])

    async def _calendars(self, arrivals: Sequence[Arrival], rulesets: Iterable[Ruleset]) -> dict[str, Calendar]:
        """Those of the owners, by their ids; nothing where no decision asks for business hours."""
        asked = any(each.pipeline.uses_calendar for each in rulesets)
        if not asked and not any(isinstance(a.given, HoldRequest) for a in arrivals):
            return {}
        owners = {_owner(a.given, self._opportunities.get(a.given.opportunity_id)) for a in arrivals}
        return await Calendars(self._uow).of_owners(owners)

    def _record(self, arrival: Arrival, step: Step, ruleset: Ruleset) -> Decided:
        opportunity = step.decision.opportunity
        assert opportunity is not None
        opportunity_id = opportunity.opportunity_id
        # The text that was loaded, or made a step ago, is reused.
        before = None if step.before is None else self._states[opportunity_id]
        after = self._states[opportunity_id] = encode_opportunity(opportunity)
        self._opportunities[opportunity_id] = opportunity
        record = decision_record(step, opportunity, uuid7(), before, after)
        return Decided(arrival, record, step.decision, opportunity, ruleset, step.before)

    def _announce(self, decided: Decided, feeds: Sequence[FeedRecord]) -> TransitionRecord | None:
        """Queue the events of one decision; its transition when it made a move."""
        arrival, decision, opportunity = decided.arrival, decided.decision, decided.opportunity
        decision_id, ruleset = decided.record.decision_id, decided.ruleset
        self._uow.after_commit(lambda: self._count(decided))
        change = record = None
        if decision.transition is not None:
            transition_id = uuid7()
            change = messages.stage_changed(decision, transition_id, decision_id, ruleset.pipeline)
            record = transition_record(decision, opportunity, transition_id, decision_id, ruleset)
        given, object_type = arrival.given, ruleset.pipeline.object_type
        owner = owner_action(decision, decision_id, object_type)
        message = messages.stage_decided(decision, decision_id, given, arrival.evidence, change, object_type, owner)
        add_waiting(message, self._uow.tenant_id, decided.before, opportunity)
        self._publish(message, opportunity.decision_no, arrival)
        if change is not None:
            self._publish(change, opportunity.revision, arrival)
            for feed in feeds:
                # One id for each change and partner, however often the decision is made.
                id_ = derived(UUID(change.transition_id), f"feed of {feed.partner_key}")
                self._publish(change, opportunity.revision, arrival, topic=feed.topic, id=id_)
        return record

    def _publish(self, message: Message, sequence: int, arrival: Arrival, **given: Any) -> None:
        self._uow.publish(message, sequence=sequence, cause=arrival.cause, **given)

    def _count(self, decided: Decided) -> None:
        count(decided.arrival.given, decided.decision)
        move, pipeline = decided.decision.transition, decided.ruleset.pipeline
        if move is not None and move.cause is Cause.RULE and pipeline.breaker is not None:
            self._uow.resources.get(BreakerWatch).note(self._uow.tenant_id, pipeline.key, pipeline.breaker)
        self._uow.resources.get(Tenants).add(self._uow.tenant_id)

    def _as_it_is(self, opportunity: Opportunity, ruleset: Ruleset, at: datetime) -> OpportunityRecord:
        return opportunity_record(opportunity, self._states[opportunity.opportunity_id], ruleset, at)


def _owner(given: Input, opportunity: Opportunity | None) -> str:
    """Whose business hours count: those of the owner as the input shows it."""
    if isinstance(given, Observation) and given.owner_id:
        return given.owner_id
    return "" if opportunity is None else opportunity.owner_id


def _version(opportunity: Opportunity) -> Version:
    return opportunity.pipeline_key, opportunity.pipeline_version
