"""Every event in and out, as pure functions: the only module that knows the generated contracts."""

import re
from datetime import datetime

from forms.messages import answers_to_proto, form_to_event_fields
from kit.contracts import wire
from kit.contracts.events import Received
from kit.contracts.facts import FactValue as KnownValue
from kit.contracts.facts import amount_of, fact_of
from kit.errors import InvalidEvent
from stagecraft.assessment.v1.assessment_published_pb2 import (
    ASSESSMENT_STATUS_PUBLISHED,
    ASSESSMENT_STATUS_RETIRED,
    AssessmentPublished,
)
from stagecraft.assessment.v1.assessment_refused_pb2 import AssessmentRefused
from stagecraft.assessment.v1.assessment_submitted_pb2 import CHANNEL_OFFLINE, CHANNEL_ONLINE, AssessmentSubmitted
from stagecraft.common.v1 import move_pb2 as pb
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.crm.v1.record_observed_pb2 import ObservationKind, RecordObserved
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.scoring.v1.scoring_profile_published_pb2 import Scale, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import pipeline_published_pb2 as published
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.assessment_requested_pb2 import AssessmentRequested
from stagecraft.stage.v1.pipeline_published_pb2 import Category, PipelinePublished
from stagecraft.stage.v1.stage_changed_pb2 import Cause, StageChanged, TransitionKind
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from assessment.domain.admission import Admitted
from assessment.domain.capture import Channel
from assessment.domain.delivery import ProposedMove, Stage, Waiting, WaitingMove
from assessment.domain.move import FactValue, Move
from assessment.domain.outcome import Criterion, MoveOutcome, NearMiss, Reason
from assessment.records import (
    AssessmentRequest,
    ChangeRecord,
    DecisionRecord,
    ObservationRecord,
    PipelineRecord,
    ProfileRecord,
    RecommendationRecord,
    ScoreRecord,
    StageRecord,
    VersionRecord,
    WaitingRecord,
)

__all__ = [
    "AssessmentPublished",
    "AssessmentRequested",
    "AssessmentSubmitted",
    "PipelinePublished",
    "RecordObserved",
    "ScoringProfilePublished",
    "StageChanged",
    "StageDecided",
    "StageRecommended",
    "SubmissionScored",
]

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_CHANNELS = {Channel.ONLINE: CHANNEL_ONLINE, Channel.OFFLINE: CHANNEL_OFFLINE}


def read_observation(event: Received[RecordObserved]) -> ObservationRecord:
    """Owner, amount and whether it still exists, of a record of any type: leads and accounts are assessed too. The
    observed stage is not taken: the stage engine decides it."""
    message = event.message
    wire.required(message.object_type, "object_type")
    return ObservationRecord(
        opportunity_id=wire.required(message.record_id, "record_id"),
        owner_id=message.owner_id or None,
        amount=amount_of(message.facts),
        deleted=wire.word(ObservationKind, message.kind, "kind") == "deleted",
        observed_no=event.sequence,
    )


def read_change(event: Received[StageChanged]) -> ChangeRecord:
    """One change of a stage."""
    message = event.message
    return ChangeRecord(
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        revision=message.revision,
        transition_id=wire.uuid(message.transition_id, "transition_id"),
        kind=wire.word(TransitionKind, message.kind, "kind"),
        from_stage=message.from_stage,
        to_stage=wire.required(message.to_stage, "to_stage"),
        visit_no=message.visit_no,
        cause=wire.word(Cause, message.cause, "cause"),
        submission_id=wire.optional_uuid(message.submission_id, "submission_id"),
        actor=message.actor,
        changed_at=wire.moment(message.changed_at, "changed_at"),
    )


def read_stage(event: Received[StageChanged]) -> StageRecord:
    """Where an opportunity is after a change."""
    message = event.message
    return StageRecord(
        opportunity_id=message.opportunity_id,
        pipeline_key=wire.required(message.pipeline_key, "pipeline_key"),
        pipeline_version=message.pipeline_version,
        stage_key=wire.required(message.to_stage, "to_stage"),
        stage_category=wire.word(Category, message.to_category, "to_category"),
        visit_no=message.visit_no,
        revision=message.revision,
    )


def read_pipeline(event: Received[PipelinePublished]) -> PipelineRecord:
    """A published version, with the assessments that count in each stage."""
    message = event.message
    if not message.stages:
        raise InvalidEvent("missing_field", "stages is empty")
    return PipelineRecord(
        pipeline_key=wire.required(message.pipeline_key, "pipeline_key"),
        version=message.version,
        name=wire.required(message.name, "name"),
        stages=tuple(
            Stage(
                key=wire.required(stage.key, "key"),
                name=wire.required(stage.name, "name"),
                category=wire.word(Category, stage.category, "category"),
                assessment_keys=tuple(stage.assessment_keys),
                entry=tuple(map(_criterion, stage.entry)),
                exit=tuple(map(_criterion, stage.exit)),
            )
            for stage in message.stages
        ),
        assessment_versions={
            wire.required(each.assessment_key, "assessment_key"): each.version for each in message.assessment_versions
        },
        published_at=wire.moment(message.published_at, "published_at"),
    )


def _criterion(criterion: published.Criterion) -> Criterion:
    return Criterion(
        key=wire.required(criterion.key, "key"),
        name=wire.required(criterion.name, "name"),
        required=criterion.required,
        help=criterion.help,
        playbook_url=criterion.playbook_url,
        supplied_by=criterion.supplied_by,
    )


def read_profile(event: Received[ScoringProfilePublished]) -> ProfileRecord:
    """That an assessment version has points."""
    message = event.message
    return ProfileRecord(wire.required(message.assessment_key, "assessment_key"), message.assessment_version)


def read_score(event: Received[SubmissionScored]) -> ScoreRecord:
    """A score; a re-score is one more."""
    message = event.message
    return ScoreRecord(
        score_id=wire.uuid(message.score_id, "score_id"),
        submission_id=wire.uuid(message.submission_id, "submission_id"),
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        score=wire.optional_decimal(message.score, "score"),
        scale=wire.word(Scale, message.scale, "scale"),
        percent=wire.decimal(message.percent, "percent"),
        raw_points=wire.decimal(message.raw_points, "raw_points"),
        reachable_max=wire.decimal(message.reachable_max, "reachable_max"),
        complete=message.complete,
        unanswered=tuple(
            wire.required(part.question_key, "question_key") for part in message.contributions if part.unanswered
        ),
        profile_version=message.profile_version,
        scored_at=wire.moment(message.scored_at, "scored_at"),
    )


def read_decision(event: Received[StageDecided]) -> DecisionRecord:
    """A decision with what it says is missing."""
    message = event.message
    on_submission = message.input_kind == decided.INPUT_KIND_SUBMISSION
    return DecisionRecord(
        decision_id=wire.uuid(message.decision_id, "decision_id"),
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        decision_no=message.decision_no,
        pipeline_key=message.pipeline_key,
        pipeline_version=message.pipeline_version,
        submission_id=wire.uuid(message.input_id, "input_id") if on_submission else None,
        input_kind=wire.word(decided.InputKind, message.input_kind, "input_kind"),
        outcome=wire.word(decided.Outcome, message.outcome, "outcome"),
        from_stage=message.from_stage,
        to_stage=message.to_stage,
        proposed_stage=message.proposed_stage,
        reasons=tuple(map(_reason, message.reasons)),
        near_misses=tuple(map(_near_miss, message.near_misses)),
        actor=message.actor,
        decided_at=wire.moment(message.decided_at, "decided_at"),
        move=_move_outcome(message.move) if message.HasField("move") else None,
    )


def read_waiting(message: StageDecided) -> WaitingRecord:
    """What waits for people after a decision."""
    proposals = (
        ProposedMove(
            wire.required(each.proposal_id, "proposal_id"),
            wire.required(each.rule_id, "rule_id"),
            wire.required(each.to_stage, "to_stage"),
            wire.moment(each.expires_at, "expires_at"),
        )
        for each in message.proposed
    )
    approval = _waiting_move(message.waiting) if message.HasField("waiting") else None
    return WaitingRecord(
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        waiting_no=message.decision_no,
        waiting=Waiting(approval, tuple(proposals)),
    )


def _waiting_move(move: decided.WaitingMove) -> WaitingMove:
    return WaitingMove(
        wire.required(move.approval_id, "approval_id"),
        wire.required(move.to_stage, "to_stage"),
        move.asked_by,
        move.needed,
        tuple(move.approved_by),
        wire.moment(move.expires_at, "expires_at"),
    )


def read_recommendation(event: Received[StageRecommended]) -> RecommendationRecord:
    """A recommendation, or an abstention."""
    message = event.message
    probabilities = {wire.required(p.stage_key, "stage_key"): p.probability for p in message.probabilities}
    return RecommendationRecord(
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        recommendation_no=event.sequence,
        recommendation_id=wire.uuid(message.recommendation_id, "recommendation_id"),
        recommended_stage=message.recommended_stage or None,
        abstention_code=message.abstention_code or None,
        probability=probabilities.get(message.recommended_stage),
        support=message.support,
        recommended_at=wire.moment(message.recommended_at, "recommended_at"),
    )


def read_request(event: Received[AssessmentRequested]) -> AssessmentRequest:
    """A shipped assessment that is asked for."""
    message = event.message
    wire.moment(message.requested_at, "requested_at")
    return AssessmentRequest(
        request_id=wire.uuid(message.request_id, "request_id"),
        assessment_key=_key(message.assessment_key),
        template_key=wire.required(message.template_key, "template_key"),
        requested_by=wire.required(message.requested_by, "requested_by"),
    )


def _key(text: str) -> str:
    """The key that a new assessment may have."""
    if not _KEY.fullmatch(wire.required(text, "assessment_key")):
        raise InvalidEvent("bad_text", f"assessment_key is {text!r}, which is no key of an assessment")
    return text


def assessment_refused(request: AssessmentRequest, detail: str, at: datetime) -> AssessmentRefused:
    """A shipped assessment cannot be published under the key that was asked for."""
    return AssessmentRefused(
        request_id=str(request.request_id), assessment_key=request.assessment_key, detail=detail, refused_at=at
    )


def assessment_published(version: VersionRecord, template_key: str = "") -> AssessmentPublished:
    """A version that is offered from now on, or no longer; `template_key` where a process template asked for it."""
    return AssessmentPublished(
        **form_to_event_fields(version.form),
        status=ASSESSMENT_STATUS_PUBLISHED if version.retired_at is None else ASSESSMENT_STATUS_RETIRED,
        published_at=version.published_at,
        template_key=template_key,
    )


def assessment_submitted(item: Admitted) -> AssessmentSubmitted:
    """What the other services get: the counted answers and the visit, never what logic had hidden."""
    capture, receipt = item.capture, item.receipt
    visit = Visit(stage_key=receipt.visit.stage_key, visit_no=receipt.visit.visit_no) if receipt.visit else None
    return AssessmentSubmitted(
        submission_id=str(capture.submission_id),
        opportunity_id=capture.opportunity_id,
        assessment_key=capture.assessment_key,
        assessment_version=capture.assessment_version,
        answers=answers_to_proto(item.form, item.answers),
        visible_questions=item.visible,
        visit=visit,
        submitted_by=item.submitted_by,
        channel=_CHANNELS[capture.channel],
        attempt_no=item.attempt_no,
        entitled=item.entitled,
        captured_at=receipt.captured_at,
        received_at=receipt.received_at,
        duplicate_of=str(item.duplicate_of) if item.duplicate_of else "",
        move=_move(capture.move) if capture.move else None,
    )


def _move(move: Move) -> pb.Move:
    return pb.Move(
        to_stage=move.to_stage,
        expected_revision=move.expected_revision,
        reason_code=move.reason_code,
        text=move.text,
        skip=move.skip,
        facts=[fact_of(fact.name, _fact_value(fact.value)) for fact in move.facts],
    )


def _fact_value(value: FactValue) -> KnownValue | None:
    return frozenset(value) if isinstance(value, tuple) else value


def _reason(reason: decided.Reason) -> Reason:
    wire.optional_decimal(reason.margin, "margin")
    return Reason(wire.required(reason.code, "code"), reason.fact, reason.margin, reason.message, reason.criterion)


def _move_outcome(move: decided.MoveOutcome) -> MoveOutcome:
    return MoveOutcome(wire.required(move.to_stage, "to_stage"), tuple(map(_reason, move.refused)))


def _near_miss(near: decided.NearMiss) -> NearMiss:
    wire.decimal(near.margin, "margin")
    return NearMiss(
        rule_id=wire.required(near.rule_id, "rule_id"),
        to_stage=wire.required(near.to_stage, "to_stage"),
        fact=wire.required(near.fact, "fact"),
        cell=wire.required(near.cell, "cell"),
        actual=wire.required(near.actual, "actual"),
        margin=near.margin,
        question_keys=tuple(near.question_keys),
    )
