"""What this service says: its events, from what was decided."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kit.numbers import plain
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import action_requested_pb2 as requests
from stagecraft.stage.v1 import pipeline_published_pb2 as pb
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.action_requested_pb2 import ActionRequested
from stagecraft.stage.v1.assessment_requested_pb2 import AssessmentRequested
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from stage_engine.domain.assigned import OWNER_ROLE, Assigned
from stage_engine.domain.decision import Cause, Code, Decision, MoveOutcome, Outcome, Reason, TakenBack, TransitionKind
from stage_engine.domain.inputs import (
    Assignment,
    Command,
    FactChange,
    Hop,
    Input,
    Migration,
    Observation,
    Reassignment,
    Submission,
    TimerFired,
)
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.owed import Owed
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.requests import (
    ApprovalAnswer,
    HoldRequest,
    ProposalAnswer,
    ReleaseRequest,
    ResumeRequest,
    VoidRequest,
)
from stage_engine.domain.stages import Category
from stage_engine.records.work import ActionRecord

_OUTCOMES = {
    Outcome.ACCEPTED: decided.OUTCOME_ACCEPTED,
    Outcome.PROPOSED: decided.OUTCOME_PROPOSED,
    Outcome.REJECTED: decided.OUTCOME_REJECTED,
    Outcome.NO_OP: decided.OUTCOME_NO_OP,
}
_KINDS = {
    TransitionKind.ADVANCE: changed.TRANSITION_KIND_ADVANCE,
    TransitionKind.SKIP: changed.TRANSITION_KIND_SKIP,
    TransitionKind.REGRESS: changed.TRANSITION_KIND_REGRESS,
    TransitionKind.CLOSE_WON: changed.TRANSITION_KIND_CLOSE_WON,
    TransitionKind.CLOSE_LOST: changed.TRANSITION_KIND_CLOSE_LOST,
    TransitionKind.WALK_AWAY: changed.TRANSITION_KIND_WALK_AWAY,
    TransitionKind.REOPEN: changed.TRANSITION_KIND_REOPEN,
    TransitionKind.ADOPT: changed.TRANSITION_KIND_ADOPT,
    TransitionKind.MIGRATE: changed.TRANSITION_KIND_MIGRATE,
    TransitionKind.REASSIGN: changed.TRANSITION_KIND_REASSIGN,
}
_CAUSES = {
    Cause.RULE: changed.CAUSE_RULE,
    Cause.PERSON: changed.CAUSE_PERSON,
    Cause.CRM: changed.CAUSE_CRM,
    Cause.IMPORT: changed.CAUSE_IMPORT,
    Cause.PROPOSAL: changed.CAUSE_PROPOSAL,
}
_INPUT_KINDS = {
    Submission: decided.INPUT_KIND_SUBMISSION,
    Observation: decided.INPUT_KIND_OBSERVATION,
    Command: decided.INPUT_KIND_COMMAND,
    FactChange: decided.INPUT_KIND_FACTS,
    Migration: decided.INPUT_KIND_MIGRATION,
    TimerFired: decided.INPUT_KIND_TIMER,
    HoldRequest: decided.INPUT_KIND_HOLD,
    ResumeRequest: decided.INPUT_KIND_RESUME,
    Reassignment: decided.INPUT_KIND_REASSIGNMENT,
    Hop: decided.INPUT_KIND_HOP,
    VoidRequest: decided.INPUT_KIND_VOID,
    ReleaseRequest: decided.INPUT_KIND_RELEASE,
    Assignment: decided.INPUT_KIND_ASSIGNMENT,
    ApprovalAnswer: decided.INPUT_KIND_APPROVAL,
    ProposalAnswer: decided.INPUT_KIND_PROPOSAL,
}
CATEGORIES = {
    Category.OPEN: pb.CATEGORY_OPEN,
    Category.WON: pb.CATEGORY_WON,
    Category.LOST: pb.CATEGORY_LOST,
    Category.ABANDONED: pb.CATEGORY_ABANDONED,
}


def action_requested(action: ActionRecord) -> ActionRequested:
    """What is to be done."""
    return ActionRequested(
        action_id=str(action.action_id),
        opportunity_id=action.opportunity_id,
        object_type=action.object_type,
        decision_id=str(action.decision_id),
        revision=action.revision,
        action_key=action.action_key,
        kind=f"ACTION_KIND_{action.kind.upper()}",
        text=action.text,
        details=action.details,
        person_id=action.addressee,
        target=action.target,
        fields=[requests.ActionField(name=name, value=value) for name, value in action.fields.items()],
        due_at=action.due_at,
        expires_at=action.expires_at,
        requested_at=action.requested_at,
    )


def assessment_requested(request_id: UUID, key: str, template_key: str, by: str, at: datetime) -> AssessmentRequested:
    """A process template needs a shipped assessment under this key."""
    return AssessmentRequested(
        request_id=str(request_id), assessment_key=key, template_key=template_key, requested_by=by, requested_at=at
    )


def stage_changed(decision: Decision, transition_id: UUID, decision_id: UUID, pipeline: Pipeline) -> StageChanged:
    """The move of an accepted decision."""
    move, opportunity = decision.transition, decision.opportunity
    assert move is not None and opportunity is not None
    return StageChanged(
        transition_id=str(transition_id),
        opportunity_id=opportunity.opportunity_id,
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        revision=move.revision,
        kind=_KINDS[move.kind],
        from_stage=move.from_stage,
        to_stage=move.to_stage,
        to_category=CATEGORIES[pipeline.stage(move.to_stage).category],
        skipped_stages=move.skipped,
        visit_no=move.visit_no,
        cycle_no=move.cycle_no,
        cause=_CAUSES[move.cause],
        rule_id=move.rule_id,
        submission_id=move.submission_id,
        decision_id=str(decision_id),
        actor=move.actor,
        reason_code=move.reason_code,
        earned_stage=opportunity.earned_stage,
        changed_at=move.changed_at,
        object_type=pipeline.object_type,
        taken_back=_taken_back(move.taken_back),
        hops=move.hops,
    )


def _taken_back(outcome: TakenBack | None) -> changed.TakenBack | None:
    if outcome is None:
        return None
    category = CATEGORIES[Category(outcome.category)]
    return changed.TakenBack(category=category, revision=outcome.revision, cycle_no=outcome.cycle_no)


def stage_decided(
    decision: Decision,
    decision_id: UUID,
    given: Input,
    evidence: SubmissionScored | None,
    change: StageChanged | None,
    object_type: str,
    owner: ActionRecord | None = None,
) -> StageDecided:
    """The decision, with the evidence it rests on and the change it made; `owner` asks for the owner in the CRM.
    Answers of a person who has no right to the opportunity are no evidence, and go no further."""
    opportunity = decision.opportunity
    foreign = any(reason.code is Code.NOT_OWNER for reason in decision.reasons)
    if isinstance(given, VoidRequest) and decision.outcome is Outcome.ACCEPTED:
        evidence = _voided(given, decision.decided_at)
    assert opportunity is not None
    return StageDecided(
        decision_id=str(decision_id),
        opportunity_id=opportunity.opportunity_id,
        pipeline_key=decision.pipeline_key,
        pipeline_version=decision.pipeline_version,
        decision_no=opportunity.decision_no,
        outcome=_OUTCOMES[decision.outcome],
        reasons=_reasons(decision.reasons),
        rule_id=decision.rule_id,
        from_stage=decision.from_stage,
        to_stage=decision.to_stage,
        proposed_stage=decision.proposed_stage,
        earned_stage=opportunity.earned_stage,
        revision=opportunity.revision,
        margin=_text(decision.margin),
        near_misses=[
            decided.NearMiss(
                rule_id=m.rule_id,
                to_stage=m.to_stage,
                fact=m.fact,
                cell=m.cell,
                actual=m.actual,
                margin=plain(m.margin),
                question_keys=m.question_keys,
            )
            for m in decision.near_misses
        ],
        input_kind=_INPUT_KINDS[type(given)],
        input_id=given.input_id,
        submission=None if foreign else evidence,
        change=change,
        decided_at=decision.decided_at,
        actor=decision.actor,
        crm_target_stage=decision.crm_target_stage,
        crm_expected_stage=decision.crm_expected_stage,
        crm_expected_version=decision.crm_expected_version,
        object_type=object_type,
        move=_move_outcome(decision.move),
        assigned=[_assigned(each, owner) for each in decision.assigned],
        owed=[_owed(each) for each in decision.owed],
    )


def _assigned(choice: Assigned, owner: ActionRecord | None) -> decided.Assigned:
    return decided.Assigned(
        role=choice.role,
        person_id=choice.person_id,
        rule_id=choice.rule_id,
        pool=choice.pool,
        reason=choice.reason,
        by_person=choice.by_person,
        action_id=str(owner.action_id) if owner is not None and choice.role == OWNER_ROLE else "",
    )


def _owed(owed: Owed) -> decided.Owed:
    return decided.Owed(
        key=owed.key,
        made_at=owed.made_at,
        due_at=owed.due,
        owner_id=owed.owner_id,
        state=f"OWED_STATE_{owed.state.name}",
        met_at=owed.met_at,
        met_by=owed.by,
    )


def add_waiting(
    message: StageDecided,
    before: Opportunity | None,
    opportunity: Opportunity,
    approval_id: str,
    proposal_ids: Iterable[str],
) -> None:
    """What waits for people after the decision; `proposal_ids` in the order of the proposals."""
    was = (None, {}) if before is None else (before.approval_request, before.proposals)
    message.waiting_changed = was != (opportunity.approval_request, opportunity.proposals)
    request = opportunity.approval_request
    if request is not None:
        message.waiting.CopyFrom(
            decided.WaitingMove(
                approval_id=approval_id,
                to_stage=request.to_stage,
                asked_by=request.asked_by,
                rule_id=request.rule_id,
                needed=request.needed,
                approved_by=[vote.actor for vote in request.votes],
                expires_at=request.expires_at,
            )
        )
    for id_, each in zip(proposal_ids, opportunity.proposals.values(), strict=True):
        message.proposed.append(
            decided.ProposedMove(
                proposal_id=id_, rule_id=each.rule_id, to_stage=each.to_stage, expires_at=each.expires_at
            )
        )


def _voided(given: VoidRequest, at: datetime) -> SubmissionScored:
    """What the CRM has to know of a submission that counts no more."""
    return SubmissionScored(
        submission_id=given.submission_id,
        opportunity_id=given.opportunity_id,
        captured_at=at,
        received_at=at,
        voided=True,
    )


def _reasons(reasons: Iterable[Reason]) -> list[decided.Reason]:
    return [
        decided.Reason(code=r.code, fact=r.fact, margin=_text(r.margin), message=r.message, criterion=r.criterion)
        for r in reasons
    ]


def _move_outcome(move: MoveOutcome | None) -> decided.MoveOutcome | None:
    return None if move is None else decided.MoveOutcome(to_stage=move.to_stage, refused=_reasons(move.refused))


def _text(value: Decimal | None) -> str:
    return "" if value is None else plain(value)
