"""Every event in and out, as pure functions: the only module that knows the generated contracts."""

from collections.abc import Mapping
from typing import Any

from kit.contracts import wire
from kit.contracts.events import Received
from kit.contracts.facts import OPPORTUNITY
from kit.errors import InvalidEvent
from stagecraft.assessment.v1.assessment_published_pb2 import AssessmentPublished, AssessmentStatus
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.crm.v1.record_observed_pb2 import ObservationKind, RecordObserved
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageProbability, StageRecommended
from stagecraft.scoring.v1.scoring_profile_published_pb2 import Scale, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import pipeline_published_pb2 as pipeline_pb2
from stagecraft.stage.v1 import stage_changed_pb2 as change_pb2
from stagecraft.stage.v1 import stage_decided_pb2 as decision_pb2
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from recommender.domain.advice import Advice, ranked
from recommender.domain.bands import banding
from recommender.domain.history import Category, Evidence, Visit, VisitEntry
from recommender.facts import (
    EngineDecision,
    EnteredVisit,
    Observation,
    PipelineStage,
    PublishedAssessment,
    PublishedPipeline,
    PublishedProfile,
    ScoredSubmission,
)

__all__ = [
    "AssessmentPublished",
    "PipelinePublished",
    "RecordObserved",
    "ScoringProfilePublished",
    "StageChanged",
    "StageDecided",
    "SubmissionScored",
]

_ENTRIES: Mapping[str, VisitEntry] = {"regress": VisitEntry.REGRESS, "reopen": VisitEntry.REOPEN}


def read_assessment(event: Received[AssessmentPublished]) -> PublishedAssessment:
    """A published version of an assessment."""
    message = event.message
    return PublishedAssessment(
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        version=message.version,
        title=wire.required(message.title, "title"),
        retired=wire.word(AssessmentStatus, message.status, "status") == "retired",
        revision=event.sequence,
    )


def read_profile(event: Received[ScoringProfilePublished]) -> PublishedProfile:
    """The points of an assessment version, as the bands that they make."""
    message = event.message
    return PublishedProfile(
        profile_id=wire.required(message.profile_id, "profile_id"),
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        assessment_version=message.assessment_version,
        version=message.version,
        banding=banding(
            percent=wire.word(Scale, message.scale, "scale") == "percent",
            reachable_min=wire.decimal(message.reachable_min, "reachable_min"),
            reachable_max=wire.decimal(message.reachable_max, "reachable_max"),
            reachable_scores=[wire.decimal(score, "reachable_scores") for score in message.reachable_scores],
        ),
    )


def read_pipeline(event: Received[PipelinePublished]) -> PublishedPipeline:
    """A published version of a pipeline."""
    message = event.message
    if not message.stages:
        raise InvalidEvent("missing_field", "stages is empty")
    return PublishedPipeline(
        pipeline_key=wire.required(message.pipeline_key, "pipeline_key"),
        version=message.version,
        name=wire.required(message.name, "name"),
        is_default=message.is_default,
        stages=tuple(
            PipelineStage(
                wire.required(stage.key, "key"),
                wire.required(stage.name, "name"),
                _category(stage.category, "category"),
            )
            for stage in message.stages
        ),
    )


def read_observation(event: Received[RecordObserved]) -> Observation | None:
    """What the CRM claims of an opportunity; None of what is none."""
    message = event.message
    observation = Observation(
        opportunity_id=wire.required(message.record_id, "record_id"),
        claimed_stage=next((each.stage_key for each in message.mapped_stages), "") or None,
        owner_id=message.owner_id or None,
        crm_deleted=wire.word(ObservationKind, message.kind, "kind") == "deleted",
        observed_sequence=event.sequence,
    )
    return observation if wire.required(message.object_type, "object_type") == OPPORTUNITY else None


def read_decision(event: Received[StageDecided]) -> EngineDecision | None:
    """What the stage engine decided on a submission; None for a decision on an observation or a command."""
    message = event.message
    decision = EngineDecision(
        submission_id=wire.required(message.input_id, "input_id"),
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        decision_no=message.decision_no,
        outcome=wire.word(decision_pb2.Outcome, message.outcome, "outcome"),
        stage_key=message.proposed_stage or message.to_stage,
        earned_stage=message.earned_stage,
        decided_at=wire.moment(message.decided_at, "decided_at"),
    )
    return decision if wire.word(decision_pb2.InputKind, message.input_kind, "input_kind") == "submission" else None


def read_visit(event: Received[StageChanged]) -> EnteredVisit:
    """The visit that a change of the stage opened."""
    message = event.message
    return EnteredVisit(
        wire.required(message.opportunity_id, "opportunity_id"),
        Visit(
            visit_no=message.visit_no,
            stage_key=wire.required(message.to_stage, "to_stage"),
            category=_category(message.to_category, "to_category"),
            entry=_ENTRIES.get(wire.word(change_pb2.TransitionKind, message.kind, "kind"), VisitEntry.MOVE),
            pipeline_key=wire.required(message.pipeline_key, "pipeline_key"),
            pipeline_version=message.pipeline_version,
            cycle_no=message.cycle_no,
            revision=message.revision,
            entered_at=wire.moment(message.changed_at, "changed_at"),
        ),
    )


def read_score(event: Received[SubmissionScored]) -> ScoredSubmission:
    """A score with its evidence, which has no band yet."""
    message = event.message
    return ScoredSubmission(
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        submitted_by=wire.required(message.submitted_by, "submitted_by"),
        entitled=message.entitled,
        evidence=Evidence(
            submission_id=wire.required(message.submission_id, "submission_id"),
            score_id=wire.required(message.score_id, "score_id"),
            assessment_key=wire.required(message.assessment_key, "assessment_key"),
            band=None,
            stage_key=message.visit.stage_key,
            visit_no=message.visit.visit_no,
            captured_at=wire.moment(message.captured_at, "captured_at"),
            attempt_no=message.attempt_no,
            received_at=wire.moment(message.received_at, "received_at"),
            scored_at=wire.moment(message.scored_at, "scored_at"),
        ),
        assessment_version=message.assessment_version,
        profile_id=wire.required(message.profile_id, "profile_id"),
        score=wire.optional_decimal(message.score, "score") if message.complete else None,
        answers={
            wire.required(part.question_key, "question_key"): _answer(part.answer)
            for part in message.contributions
            if part.HasField("answer")
        },
    )


def _answer(answer: Answer) -> Any:
    """The answer as JSON, a number as its text."""
    match answer.WhichOneof("value"):
        case None:
            raise InvalidEvent("missing_field", "answer has no value")
        case "choices":
            return list(answer.choices.keys)
        case "number":
            wire.decimal(answer.number, "number")
            return answer.number
        case kind:
            return getattr(answer, kind)


def _category(value: int, field: str) -> Category:
    return Category(wire.word(pipeline_pb2.Category, value, field))


def stage_recommended(advice: Advice) -> StageRecommended:
    """A recommendation; `current_stage` is that of the capture, as all its features are."""
    found = advice.estimate
    return StageRecommended(
        recommendation_id=str(advice.recommendation_id),
        opportunity_id=advice.opportunity_id,
        pipeline_key=advice.cell.pipeline_key,
        current_stage=advice.cell.stage_key,
        recommended_stage=found.recommended_stage or "",
        abstained=found.abstention is not None,
        abstention_code=found.abstention or "",
        support=found.support,
        probabilities=[StageProbability(stage_key=s, probability=p) for s, p in ranked(found.probabilities)],
        model_version=advice.model_version,
        submission_id=advice.submission_id,
        recommended_at=advice.recommended_at,
    )
