"""Events in: each topic's batches, read into facts and given to the service."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from kit.consumer import Handlers
from kit.db import UnitOfWork
from kit.errors import InvalidEvent
from kit.events import Received
from stagecraft.assessment.v1.assessment_published_pb2 import ASSESSMENT_STATUS_RETIRED, AssessmentPublished
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.crm.v1.opportunity_observed_pb2 import OBSERVATION_KIND_DELETED, OpportunityObserved
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import pipeline_published_pb2 as pipeline_pb2
from stagecraft.stage.v1 import stage_changed_pb2 as change_pb2
from stagecraft.stage.v1 import stage_decided_pb2 as decision_pb2
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

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
from recommender.service import Learning

M = TypeVar("M", bound=Message)
F = TypeVar("F")

CATEGORIES: Mapping[int, Category] = {
    pipeline_pb2.CATEGORY_OPEN: Category.OPEN,
    pipeline_pb2.CATEGORY_WON: Category.WON,
    pipeline_pb2.CATEGORY_LOST: Category.LOST,
    pipeline_pb2.CATEGORY_ABANDONED: Category.ABANDONED,
}
ENTRIES: Mapping[int, VisitEntry] = {
    change_pb2.TRANSITION_KIND_REGRESS: VisitEntry.REGRESS,
    change_pb2.TRANSITION_KIND_REOPEN: VisitEntry.REOPEN,
}


async def keep_assessments(uow: UnitOfWork, events: Sequence[Received[AssessmentPublished]]) -> None:
    await Learning(uow).keep_assessments(_facts(events, published_assessment))


async def keep_profiles(uow: UnitOfWork, events: Sequence[Received[ScoringProfilePublished]]) -> None:
    await Learning(uow).keep_profiles(_facts(events, published_profile), events[0])


async def keep_pipelines(uow: UnitOfWork, events: Sequence[Received[PipelinePublished]]) -> None:
    await Learning(uow).keep_pipelines(_facts(events, published_pipeline), events[0])


async def keep_observations(uow: UnitOfWork, events: Sequence[Received[OpportunityObserved]]) -> None:
    await Learning(uow).keep_observations(_facts(events, observation))


async def keep_decisions(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    on_submissions = [e for e in events if e.message.input_kind == decision_pb2.INPUT_KIND_SUBMISSION]
    await Learning(uow).keep_decisions(_facts(on_submissions, engine_decision))


async def follow_stages(uow: UnitOfWork, events: Sequence[Received[StageChanged]]) -> None:
    causes = {event.message.opportunity_id: event for event in events}
    await Learning(uow).follow_stages(_facts(events, entered_visit), causes)


async def recommend_stages(uow: UnitOfWork, events: Sequence[Received[SubmissionScored]]) -> None:
    causes = {event.message.score_id: event for event in events}
    await Learning(uow).recommend_stages(_facts(events, scored_submission), causes)


HANDLERS: Handlers = {
    AssessmentPublished: keep_assessments,
    ScoringProfilePublished: keep_profiles,
    PipelinePublished: keep_pipelines,
    OpportunityObserved: keep_observations,
    StageDecided: keep_decisions,
    StageChanged: follow_stages,
    SubmissionScored: recommend_stages,
}


def published_assessment(event: Received[AssessmentPublished]) -> PublishedAssessment:
    message = event.message
    return PublishedAssessment(
        assessment_key=message.assessment_key,
        version=message.version,
        title=message.title,
        retired=message.status == ASSESSMENT_STATUS_RETIRED,
        revision=event.sequence,
    )


def published_profile(event: Received[ScoringProfilePublished]) -> PublishedProfile:
    message = event.message
    return PublishedProfile(
        profile_id=_given(message.profile_id, "profile_id"),
        assessment_key=message.assessment_key,
        assessment_version=message.assessment_version,
        version=message.version,
        banding=banding(
            percent=message.scale == SCALE_PERCENT,
            reachable_min=_decimal(message.reachable_min, "reachable_min"),
            reachable_max=_decimal(message.reachable_max, "reachable_max"),
            reachable_scores=[_decimal(score, "reachable_scores") for score in message.reachable_scores],
        ),
    )


def published_pipeline(event: Received[PipelinePublished]) -> PublishedPipeline:
    message = event.message
    if not message.stages:
        raise InvalidEvent("no_stages", f"version {message.version} of {message.pipeline_key} has no stage")
    return PublishedPipeline(
        pipeline_key=message.pipeline_key,
        version=message.version,
        name=message.name,
        is_default=message.is_default,
        stages=tuple(PipelineStage(s.key, s.name, _category(s.category)) for s in message.stages),
    )


def observation(event: Received[OpportunityObserved]) -> Observation:
    message = event.message
    return Observation(
        opportunity_id=message.opportunity_id,
        claimed_stage=message.stage_key or None,
        crm_deleted=message.kind == OBSERVATION_KIND_DELETED,
        observed_sequence=event.sequence,
    )


def engine_decision(event: Received[StageDecided]) -> EngineDecision:
    message = event.message
    return EngineDecision(
        submission_id=_given(message.input_id, "input_id"),
        opportunity_id=message.opportunity_id,
        decision_no=message.decision_no,
        outcome=_outcome(message.outcome),
        stage_key=message.proposed_stage or message.to_stage,
        earned_stage=message.earned_stage,
        decided_at=_moment(message.decided_at, "decided_at"),
    )


def entered_visit(event: Received[StageChanged]) -> EnteredVisit:
    message = event.message
    return EnteredVisit(
        message.opportunity_id,
        Visit(
            visit_no=message.visit_no,
            stage_key=_given(message.to_stage, "to_stage"),
            category=_category(message.to_category),
            entry=ENTRIES.get(message.kind, VisitEntry.MOVE),
            pipeline_key=_given(message.pipeline_key, "pipeline_key"),
            pipeline_version=message.pipeline_version,
            cycle_no=message.cycle_no,
            revision=message.revision,
            entered_at=_moment(message.changed_at, "changed_at"),
        ),
    )


def scored_submission(event: Received[SubmissionScored]) -> ScoredSubmission:
    message = event.message
    return ScoredSubmission(
        opportunity_id=message.opportunity_id,
        evidence=Evidence(
            submission_id=_given(message.submission_id, "submission_id"),
            score_id=_given(message.score_id, "score_id"),
            assessment_key=message.assessment_key,
            band=None,
            stage_key=message.visit.stage_key,
            visit_no=message.visit.visit_no,
            captured_at=_moment(message.captured_at, "captured_at"),
            attempt_no=message.attempt_no,
            received_at=_moment(message.received_at, "received_at"),
            scored_at=_moment(message.scored_at, "scored_at"),
        ),
        assessment_version=message.assessment_version,
        profile_id=_given(message.profile_id, "profile_id"),
        score=_decimal(message.score, "score") if message.complete and message.score else None,
        answers={part.question_key: _answer(part.answer) for part in message.contributions if part.HasField("answer")},
    )


def _facts(events: Sequence[Received[M]], read: Callable[[Received[M]], F]) -> list[F]:
    return [read(event) for event in events]


def _answer(answer: Answer) -> Any:
    kind = answer.WhichOneof("value")
    if kind is None:
        return None
    return list(answer.choices.keys) if kind == "choices" else getattr(answer, kind)


def _outcome(value: int) -> str:
    """The lower-case word of an outcome. InvalidEvent for one this version does not know."""
    if value not in decision_pb2.Outcome.values():
        raise InvalidEvent("unknown_value", f"OUTCOME is {value}")
    return decision_pb2.Outcome.Name(value).removeprefix("OUTCOME_").lower()


def _category(number: int) -> Category:
    category = CATEGORIES.get(number)
    if category is None:
        raise InvalidEvent("unknown_category", f"a stage has the category {number}")
    return category


def _given(value: str, name: str) -> str:
    if not value:
        raise InvalidEvent("missing_field", f"{name} is empty")
    return value


def _decimal(text: str, name: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise InvalidEvent("bad_number", f"{name} is {text!r}") from error
    if not number.is_finite():
        raise InvalidEvent("bad_number", f"{name} is {text!r}")
    return number


def _moment(value: Timestamp, name: str) -> datetime:
    if not value.ByteSize():
        raise InvalidEvent("missing_field", f"{name} is empty")
    return value.ToDatetime(UTC)
