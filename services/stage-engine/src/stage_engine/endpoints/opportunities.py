"""Subjects over HTTP, opportunities first: what is claimed, earned and missing; commands; decisions and their replay;
changes."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.texts import RecordId
from kit.http.web import Uow, router
from pydantic_core import from_json

from stage_engine.domain.clocks import Hold, Running
from stage_engine.domain.criteria import CriterionState
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.literals import known, shown
from stage_engine.domain.opportunity import Opportunity, is_current
from stage_engine.domain.outlook import Way
from stage_engine.domain.pending import Proposal
from stage_engine.domain.replay import StoredDecision, decode_decision, decode_opportunity
from stage_engine.domain.tugs import contested
from stage_engine.errors.opportunities import PLURALS
from stage_engine.records.opportunities import ChangeRecord, DecisionRecord, OpportunityRecord
from stage_engine.schemas import opportunities as schemas
from stage_engine.schemas.assignment import AssignedOut
from stage_engine.schemas.holds import HoldOut, TimerOut
from stage_engine.schemas.obligations import OwedOut
from stage_engine.schemas.pipelines import ConditionBody
from stage_engine.schemas.waiting import ProposedOut, WaitingOut
from stage_engine.service.commanding import Commanding
from stage_engine.service.recording_pending import approval_id, proposal_id
from stage_engine.service.viewing import OpportunityView, Viewing, Wanted

SubjectId = Annotated[RecordId, Path(max_length=200, examples=["006Qy00000AbCdEIAV"])]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which subjects a list shows."""

    stage: Annotated[str | None, Query(max_length=64, description="claimed stage", examples=["demo"])] = None
    to_confirm: Annotated[bool, Query(description="only those whose earned stage a person has to confirm")] = False
    quarantined: Annotated[bool, Query(description="only those that are quarantined")] = False
    elsewhere: Annotated[bool, Query(description="only those to which another pipeline applies")] = False
    on_hold: Annotated[bool, Query(description="only those that are put off")] = False
    stalled: Annotated[bool, Query(description="only those too long in their stage or without a touch")] = False

    def of(self, object_type: str) -> Wanted:
        """The same of one type of subject; which of them are stalled is asked apart."""
        return Wanted(object_type, self.stage, self.to_confirm, self.quarantined, self.elsewhere, self.on_hold)


Filtered = Annotated[Filters, Depends()]


def subjects(object_type: str, plural: str) -> APIRouter:
    """The operations on the subjects of one type: the same for every type."""
    api = router(plural)

    @api.get(f"/{plural}", name=f"list_{plural}", dependencies=[requires("opportunities:read")])
    async def list_subjects(
        uow: Uow, caller: Caller, filters: Filtered, paging: Paging
    ) -> Page[schemas.OpportunitySummary]:
        """By id, stalled ones by how long they are; a rep sees their own."""
        wanted = filters.of(object_type)
        viewing = Viewing(uow, Owners.seen_by(caller))
        if filters.stalled:
            longest = await viewing.stalled(wanted, paging.after(datetime, str), paging.limit + 1)
            return paging.page(longest, lambda record: [record.stalled_at, record.opportunity_id], _summary)
        found = await viewing.opportunities(wanted, paging.after(str) or "", paging.limit + 1)
        return paging.page(found, lambda record: [record.opportunity_id], _summary)

    @api.get(f"/{plural}/{{record_id}}", name=f"get_{object_type}", dependencies=[requires("opportunities:read")])
    async def get_subject(record_id: SubjectId, uow: Uow, caller: Caller, response: Response) -> schemas.OpportunityOut:
        """The subject with the rules that lead on from where it is, and what each still lacks. The ETag is its
        revision."""
        view = await Viewing(uow, Owners.seen_by(caller)).opportunity(object_type, record_id)
        response.headers["ETag"] = etag(view.opportunity.revision)
        return _whole(view)

    @api.post(
        f"/{plural}/{{record_id}}/transitions",
        name=f"transition_{object_type}",
        status_code=201,
        dependencies=[requires("transitions:write")],
    )
    async def transition_subject(
        record_id: SubjectId,
        body: schemas.TransitionRequest,
        expected: IfMatch,
        uow: Uow,
        caller: Caller,
        response: Response,
    ) -> schemas.DecisionOut:
        """Move the subject, or learn what is missing. The reply is the decision, also when it is `rejected`: look at
        `outcome`. `override` moves it against the evidence and is remembered with who and why."""
        decided = await Commanding(uow, caller).transition(object_type, record_id, body, expected)
        response.headers["ETag"] = etag(decided.opportunity.revision)
        response.headers["Location"] = f"/v1/decisions/{decided.record.decision_id}"
        return shown_decision(decided.record)

    @api.get(
        f"/{plural}/{{record_id}}/decisions",
        name=f"list_{object_type}_decisions",
        dependencies=[requires("opportunities:read")],
    )
    async def list_decisions(
        record_id: SubjectId, uow: Uow, caller: Caller, paging: Paging
    ) -> Page[schemas.DecisionOut]:
        """Every decision on the subject in the order they were made, also those that moved nothing."""
        after = paging.after(int) or 0
        viewing = Viewing(uow, Owners.seen_by(caller))
        found = await viewing.decisions(object_type, record_id, after, paging.limit + 1)
        return paging.page(found, lambda record: [record.decision_no], shown_decision)

    return api


SUBJECTS = [subjects(object_type, plural) for object_type, plural in PLURALS.items()]


decisions = router("decisions")


@decisions.get("/decisions/{decision_id}", dependencies=[requires("opportunities:read")])
async def get_decision(decision_id: UUID, uow: Uow, caller: Caller) -> schemas.DecisionOut:
    """One decision with its input."""
    return shown_decision(await Viewing(uow, Owners.seen_by(caller)).decision(decision_id))


@decisions.post("/decisions/{decision_id}/replay", dependencies=[requires("opportunities:read")])
async def replay_decision(decision_id: UUID, uow: Uow, caller: Caller) -> schemas.ReplayOut:
    """Make the decision again from what was stored and compare the bytes. Nothing is changed."""
    found = await Viewing(uow, Owners.seen_by(caller)).replay(decision_id)
    return schemas.ReplayOut(
        decision_id=decision_id,
        identical=found.identical,
        stored=_documents(found.stored),
        replayed=_documents(found.replayed),
    )


@decisions.get("/changes", dependencies=[requires("opportunities:read")])
async def list_changes(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    opportunity_id: Annotated[RecordId | None, Query(max_length=200, description="of one opportunity only")] = None,
) -> Page[schemas.ChangeOut]:
    """Moves in the order they were made, each with the visit it opened."""
    after = paging.after(UUID) or UUID(int=0)
    found = await Viewing(uow, Owners.seen_by(caller)).changes(opportunity_id, after, paging.limit + 1)
    return paging.page(found, lambda record: [record.transition_id], _change)


def _whole(view: OpportunityView) -> schemas.OpportunityOut:
    opportunity = view.opportunity
    return schemas.OpportunityOut(
        **_summary(view.record).model_dump(),
        is_closed=view.record.category not in ("", "open"),
        visit_no=opportunity.visit_no,
        visit_opened_at=opportunity.visit_opened_at,
        cycle_no=opportunity.cycle_no,
        close_date=opportunity.close_date or None,
        override=None if opportunity.override is None else schemas.OverrideOut(**asdict(opportunity.override)),
        scores={
            key: schemas.ScoreOut(
                score=s.score,
                submission_id=s.submission_id,
                visit_no=s.visit_no,
                attempt_no=s.attempt_no,
                captured_at=s.captured_at,
                current=is_current(opportunity, s.stage_key, s.visit_no),
            )
            for key, s in opportunity.scores.items()
        },
        ways_on=[_way(way) for way in view.ways_on],
        support=view.support,
        criteria=[_criterion(each) for each in view.criteria],
        milestones={
            key: schemas.MilestoneOut(at=each.at, input_id=each.input_id, count=each.count)
            for key, each in opportunity.milestones.items()
        },
        facts={key: _fact(each) for key, each in opportunity.facts.items()},
        sync=_sync(opportunity),
        hold=_hold(opportunity.hold),
        approval=_waiting(view),
        proposals=[_proposed(view, each) for each in opportunity.proposals.values()],
        timers=[_timer(key, each) for key, each in sorted(opportunity.timers.items())],
        assigned=[AssignedOut.model_validate(each, from_attributes=True) for each in opportunity.assigned.values()],
        obligations=[
            OwedOut.model_validate(each, from_attributes=True)
            for series in opportunity.owing.values()
            for each in series.owed
        ],
        age_business_days=int(view.business_age),
        rotting_at=view.stale.rotting_at,
        inactive_at=view.stale.stalled_at,
    )


def _summary(record: OpportunityRecord) -> schemas.OpportunitySummary:
    given = {**asdict(record), "claimed_stage": record.stage_key, "category": record.category or None}
    return schemas.OpportunitySummary.model_validate(given, extra="ignore")


def _change(record: ChangeRecord) -> schemas.ChangeOut:
    return schemas.ChangeOut.model_validate(record, from_attributes=True)


def _way(way: Way) -> schemas.WayOut:
    return schemas.WayOut.model_validate(way, from_attributes=True)


def _criterion(state: CriterionState) -> schemas.CriterionOut:
    given = {**asdict(state.criterion), "met": state.met, "missing": [asdict(each) for each in state.missing]}
    return schemas.CriterionOut.model_validate(given, extra="ignore")


def _fact(fact: FactInForce) -> schemas.FactOut:
    value = None if fact.value is None else shown(known(fact.value, fact.observed_at))
    return schemas.FactOut(value=value, source=fact.source, observed_at=fact.observed_at)


def _hold(hold: Hold | None) -> HoldOut | None:
    if hold is None:
        return None
    fact = ConditionBody(fact=hold.fact, cell=hold.cell) if hold.fact else None
    return HoldOut(since=hold.since, until=hold.until, until_fact=fact, reason=hold.reason, actor=hold.actor)


def _timer(key: str, running: Running) -> TimerOut:
    return TimerOut(key=key, due=running.due, paused=running.left is not None, fired=running.fired)


def _waiting(view: OpportunityView) -> WaitingOut | None:
    request, opportunity_id = view.opportunity.approval_request, view.opportunity.opportunity_id
    if request is None:
        return None
    return WaitingOut(
        approval_id=approval_id(view.tenant_id, opportunity_id, request),
        to_stage=request.to_stage,
        asked_by=request.asked_by,
        rule_id=request.rule_id,
        needed=request.needed,
        approved_by=[vote.actor for vote in request.votes],
        asked_at=request.asked_at,
        expires_at=request.expires_at,
    )


def _proposed(view: OpportunityView, proposal: Proposal) -> ProposedOut:
    return ProposedOut(
        proposal_id=proposal_id(view.tenant_id, view.opportunity.opportunity_id, proposal),
        rule_id=proposal.rule_id,
        to_stage=proposal.to_stage,
        why=dict(proposal.facts),
        made_at=proposal.made_at,
        expires_at=proposal.expires_at,
    )


def _sync(opportunity: Opportunity) -> schemas.SyncOut:
    error = opportunity.sync_error
    state, code, reason = "agreed", error.code if error else "", error.reason if error else ""
    if opportunity.quarantined:
        state, code = "quarantined", opportunity.quarantine_code
        reason = contested(opportunity).message if opportunity.contested else ""
    elif error is not None:
        state = "blocked"
    elif opportunity.base_stage != opportunity.stage_key:
        state = "pending"
    return schemas.SyncOut(
        state=state,
        base_stage=opportunity.base_stage,
        observed_crm_stage=opportunity.observed_stage,
        code=code,
        reason=reason,
    )


def shown_decision(record: DecisionRecord) -> schemas.DecisionOut:
    """The decision as the API tells it."""
    decision, after = decode_decision(record.decision), decode_opportunity(record.after)
    given = {
        **asdict(decision),
        "decision_id": record.decision_id,
        "opportunity_id": record.opportunity_id,
        "decision_no": record.decision_no,
        "facts": dict(decision.facts),
        "actions": [asked.key for asked in decision.actions],
        "earned_stage": after.earned_stage,
        "revision": after.revision,
        "input": from_json(record.given),
    }
    return schemas.DecisionOut.model_validate(given, extra="ignore")


def _documents(stored: StoredDecision) -> dict[str, Any]:
    return {
        "decision": from_json(stored.decision),
        "after": None if stored.after is None else from_json(stored.after),
    }
