"""Every event in and out, as pure functions: the only module that knows the generated contracts."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from uuid import UUID

from kit import wire
from kit.errors import InvalidEvent
from kit.events import Received
from kit.facts import AMOUNT, CLOSE_DATE, SeenFact, seen_facts
from kit.numbers import plain
from stagecraft.assessment.v1.assessment_refused_pb2 import AssessmentRefused
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.common.v1.move_pb2 import Move
from stagecraft.crm.v1 import action_settled_pb2 as settlements
from stagecraft.crm.v1 import activity_observed_pb2 as activities
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.crm.v1.action_settled_pb2 import ActionSettled
from stagecraft.crm.v1.activity_observed_pb2 import ActivityObserved
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import action_requested_pb2 as requests
from stagecraft.stage.v1 import pipeline_published_pb2 as pb
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.action_requested_pb2 import ActionRequested
from stagecraft.stage.v1.assessment_requested_pb2 import AssessmentRequested
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from stage_engine.domain.activities import Activity
from stage_engine.domain.assigned import OWNER_ROLE, Assigned
from stage_engine.domain.decision import Cause, Code, Decision, MoveOutcome, Outcome, Reason, TakenBack, TransitionKind
from stage_engine.domain.explain import QUESTION_LIMIT
from stage_engine.domain.facts import ACCOUNT, ACCOUNT_TYPE, CRM, CURRENCY, FactInForce
from stage_engine.domain.inputs import (
    ApprovalAnswer,
    Assignment,
    Command,
    FactChange,
    HoldRequest,
    Hop,
    Input,
    MappedStage,
    Migration,
    Observation,
    Occasion,
    ProposalAnswer,
    Reassignment,
    ReleaseRequest,
    RequestedMove,
    ResumeRequest,
    Submission,
    SuppliedFact,
    TimerFired,
    VoidRequest,
)
from stage_engine.domain.literals import Literal, exact_number
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.owed import Owed
from stage_engine.domain.pipeline import Category, Criterion, Need, Pipeline, RuleMode, SkipPolicy
from stage_engine.domain.sync import ConfirmedWrite, ParkedWrite
from stage_engine.records import ActionRecord, InstallRefusal, ReachRecord, SettledAction

__all__ = [
    "ActionRequested",
    "ActionSettled",
    "ActivityObserved",
    "AssessmentRefused",
    "AssessmentRequested",
    "CrmWriteConfirmed",
    "CrmWriteParked",
    "RecordObserved",
    "ScoringProfilePublished",
    "StageChanged",
    "StageDecided",
    "SubmissionScored",
]

# Unanswered questions that a decision names: the first ones are where to go on.
NAMED_LIMIT = 20

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
_CATEGORIES = {
    Category.OPEN: pb.CATEGORY_OPEN,
    Category.WON: pb.CATEGORY_WON,
    Category.LOST: pb.CATEGORY_LOST,
    Category.ABANDONED: pb.CATEGORY_ABANDONED,
}
_MODES = {
    RuleMode.OFF: pb.RULE_MODE_OFF,
    RuleMode.SHADOW: pb.RULE_MODE_SHADOW,
    RuleMode.PROPOSE: pb.RULE_MODE_PROPOSE,
    RuleMode.AUTO: pb.RULE_MODE_AUTO,
}
_POLICIES = {
    SkipPolicy.FORBID: pb.SKIP_POLICY_FORBID,
    SkipPolicy.IF_GUARDS_HOLD: pb.SKIP_POLICY_IF_GUARDS_HOLD,
}


def read_submission(message: SubmissionScored) -> Submission:
    """A scored submission as the domain takes it."""
    lost = [
        (part.question_key, _number(part.max_points, "max_points") - _number(part.points, "points"))
        for part in message.contributions
        if part.points and part.max_points
    ]
    lost.sort(key=lambda each: (-each[1], each[0]))
    return Submission(
        submission_id=wire.required(message.submission_id, "submission_id"),
        opportunity_id=message.opportunity_id,
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        score=_number(message.score, "score") if message.complete and message.score else None,
        stage_key=message.visit.stage_key,
        visit_no=message.visit.visit_no,
        attempt_no=message.attempt_no,
        captured_at=wire.moment(message.captured_at, "captured_at"),
        received_at=wire.moment(message.received_at, "received_at"),
        profile_id=message.profile_id,
        profile_version=message.profile_version,
        submitted_by=message.submitted_by,
        lost=tuple(each for each in lost[:QUESTION_LIMIT] if each[1] > 0),
        unanswered=tuple(islice((part.question_key for part in message.contributions if part.unanswered), NAMED_LIMIT)),
        entitled=message.entitled,
        details=tuple(_details(message)),
        move=_move(message.move) if message.HasField("move") else None,
    )


def _move(move: Move) -> RequestedMove:
    return RequestedMove(
        to_stage=wire.required(move.to_stage, "to_stage"),
        expected_revision=move.expected_revision if move.HasField("expected_revision") else None,
        reason_code=move.reason_code,
        text=move.text,
        skip=move.skip,
        facts=tuple(SuppliedFact(fact.name, fact.value) for fact in seen_facts(move.facts).values()),
    )


def _details(message: SubmissionScored) -> Iterator[tuple[str, Literal]]:
    """What else than the score rules may read of a submission, by the rest of the facts' names. A number that the rules
    engine does not hold exactly counts as unknown."""
    found = [("percent", _exact(message.percent, "percent"))]
    for section in message.sections:
        found.append((f"sections.{wire.required(section.section, 'section')}", _exact(section.points, "points")))
    for part in message.contributions:
        if part.HasField("answer"):
            found.append((f"answers.{part.question_key}", _answer(part.answer)))
    return ((name, literal) for name, literal in found if literal is not None)


def _answer(answer: Answer) -> Literal | None:
    match answer.WhichOneof("value"):
        case "choice":
            return answer.choice
        case "choices":
            return frozenset(answer.choices.keys)
        case "number":
            return _exact(answer.number, "number")
        case "text":
            return answer.text
        case "boolean":
            return answer.boolean
        case _:
            raise InvalidEvent("missing_field", "answer has no value")


def _exact(text: str, field: str) -> Literal | None:
    number = wire.decimal(text, field)
    try:
        return exact_number(str(number))
    except ValueError:
        return None


def read_observation(event: Received[RecordObserved]) -> Observation:
    """An observation in the CRM. Without a change id of its own it takes its event's."""
    message = event.message
    facts, committed_at = seen_facts(message.facts), wire.moment(message.committed_at, "committed_at")
    amount, close_date = facts.get(AMOUNT, SeenFact(AMOUNT)), facts.get(CLOSE_DATE, SeenFact(CLOSE_DATE)).value
    currency = facts.get(CURRENCY, SeenFact(CURRENCY)).value
    dated, source = message.HasField("in_stage_since"), message.in_stage_since_source
    return Observation(
        change_id=message.change_id or str(event.id),
        opportunity_id=message.record_id,
        occasion=Occasion(wire.word(crm.ObservationKind, message.kind, "kind")),
        stage_key="",
        crm_stage=message.crm_stage,
        amount=amount.value if isinstance(amount.value, Decimal) else None,
        close_date=close_date.isoformat() if isinstance(close_date, date) else "",
        owner_id=message.owner_id,
        changed_by=message.changed_by,
        committed_at=committed_at,
        number=event.sequence,
        currency=amount.currency or (currency if isinstance(currency, str) else ""),
        unread=tuple(name for name, fact in facts.items() if fact.unread),
        in_stage_since=wire.moment(message.in_stage_since, "in_stage_since") if dated else None,
        in_stage_since_source=wire.word(crm.StageClockSource, source, "in_stage_since_source") if dated else "",
        facts=tuple(
            FactInForce(fact.name, fact.value, CRM, fact.observed_at or committed_at, event.sequence)
            for fact in facts.values()
            if fact.name not in (AMOUNT, CLOSE_DATE, CURRENCY)
        ),
        object_type=wire.required(message.object_type, "object_type"),
        account_id=_text_of(facts.get(ACCOUNT)),
        account_type=_text_of(facts.get(ACCOUNT_TYPE)),
        mapped=tuple(
            MappedStage(wire.required(m.pipeline_key, "pipeline_key"), m.pipeline_version, m.stage_key)
            for m in message.mapped_stages
        ),
    )


def _text_of(fact: SeenFact | None) -> str:
    return fact.value if fact is not None and isinstance(fact.value, str) else ""


def read_confirmation(event: Received[CrmWriteConfirmed]) -> ConfirmedWrite:
    """What the CRM holds of our writes."""
    message = event.message
    return ConfirmedWrite(
        write_id=wire.required(message.write_id, "write_id"),
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        revision=message.revision,
        stage_key=wire.required(message.stage_key, "stage_key"),
        number=event.sequence,
        at=wire.moment(message.confirmed_at, "confirmed_at"),
    )


def read_refusal(message: CrmWriteParked) -> ParkedWrite:
    """What the CRM refused of our writes; without a `stage_key` when it refused answers alone."""
    return ParkedWrite(
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        revision=message.revision,
        stage_key=message.stage_key,
        code=wire.required(message.code, "code"),
        reason=message.reason,
        at=wire.moment(message.parked_at, "parked_at"),
    )


def read_activity(message: ActivityObserved) -> Activity:
    """What a person did, or plans to do, about a subject."""
    directed = message.direction != activities.DIRECTION_UNSPECIFIED
    return Activity(
        subject_id=wire.required(message.record_id, "record_id"),
        activity_id=wire.required(message.activity_id, "activity_id"),
        kind=wire.word(activities.ActivityKind, message.kind, "kind"),
        done=message.done,
        withdrawn=message.withdrawn,
        inbound=directed and wire.word(activities.Direction, message.direction, "direction") == "inbound",
        occurred_at=wire.moment(message.occurred_at, "occurred_at"),
        committed_at=wire.moment(message.committed_at, "committed_at"),
        person_id=message.person_id,
    )


def read_settlement(message: ActionSettled) -> SettledAction:
    """What the connector to the CRM says of an action."""
    return SettledAction(
        action_id=wire.uuid(message.action_id, "action_id"),
        state=wire.word(settlements.Settlement, message.settlement, "settlement"),
        code=message.code,
        words=message.words,
        record_id=message.record_id,
        settled_at=wire.moment(message.settled_at, "settled_at"),
        settled_by="crm-connector",
    )


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


def read_reach(message: ScoringProfilePublished) -> ReachRecord:
    """The scores an assessment can give. A percentage lies between 0 and 100 unless points can be negative."""
    minimum, maximum = (
        _number(text, name) if text else None
        for text, name in ((message.reachable_min, "reachable_min"), (message.reachable_max, "reachable_max"))
    )
    if message.scale == SCALE_PERCENT:
        minimum, maximum = None if minimum is not None and minimum < 0 else Decimal(0), Decimal(100)
    return ReachRecord(
        assessment_key=message.assessment_key,
        assessment_version=message.assessment_version,
        profile_version=message.version,
        minimum=minimum,
        maximum=maximum,
        scores=tuple(sorted(_number(score, "reachable_scores") for score in message.reachable_scores)),
        template_key=message.template_key,
    )


def assessment_requested(request_id: UUID, key: str, template_key: str, by: str, at: datetime) -> AssessmentRequested:
    """A process template needs a shipped assessment under this key."""
    return AssessmentRequested(
        request_id=str(request_id), assessment_key=key, template_key=template_key, requested_by=by, requested_at=at
    )


def read_install_refusal(message: AssessmentRefused) -> InstallRefusal:
    """An assessment that was asked for and is not to be had."""
    return InstallRefusal(
        request_id=wire.uuid(message.request_id, "request_id"),
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        detail=wire.required(message.detail, "detail"),
        refused_at=wire.moment(message.refused_at, "refused_at"),
    )


def _number(text: str, field: str) -> Decimal:
    """A number that the rules engine holds exactly."""
    try:
        return exact_number(str(wire.decimal(text, field)))
    except ValueError as error:
        raise InvalidEvent("bad_decimal", f"{field} is {text!r}: {error}") from error


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
        to_category=_CATEGORIES[pipeline.stage(move.to_stage).category],
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
    category = _CATEGORIES[Category(outcome.category)]
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


def pipeline_published(pipeline: Pipeline, published_at: datetime) -> pb.PipelinePublished:
    """A version of a pipeline that is in force from now on."""
    return pb.PipelinePublished(
        pipeline_key=pipeline.key,
        version=pipeline.version,
        name=pipeline.name,
        stages=[
            pb.Stage(
                key=s.key,
                name=s.name,
                category=_CATEGORIES[s.category],
                description=s.description,
                assessment_keys=s.assessment_keys,
                entry=_criteria(s.entry),
                exit=_criteria(s.exit),
            )
            for s in pipeline.stages
        ],
        rules=[
            pb.Rule(
                rule_id=r.rule_id,
                from_stage=r.from_stage or "",
                to_stage=r.to_stage,
                conditions=[pb.Condition(fact=c.fact, cell=c.cell) for c in r.conditions],
                mode=_MODES[r.mode],
                priority=r.priority,
                reason_code=r.reason_code,
            )
            for r in pipeline.rules
        ],
        skip_policy=_POLICIES[pipeline.skip_policy],
        is_default=pipeline.is_default,
        object_type=pipeline.object_type,
        currency=pipeline.currency,
        published_at=published_at,
        assessment_versions=[
            pb.AssessmentVersion(assessment_key=key, version=version)
            for key, version in sorted(pipeline.assessment_versions.items())
        ],
    )


def _criteria(criteria: Iterable[Criterion]) -> list[pb.Criterion]:
    return [
        pb.Criterion(
            key=each.key,
            name=each.name,
            required=each.need is Need.REQUIRED,
            help=each.help,
            playbook_url=each.playbook_url,
            supplied_by=each.supplied_by,
        )
        for each in criteria
    ]
