"""What this service learns from the others' events: batches become rows, rows are written in bulk."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from kit.consumer import Handlers
from kit.db import UnitOfWork
from kit.errors import InvalidEvent
from kit.events import Received
from kit.ids import uuid_of
from stagecraft.crm.v1.opportunity_observed_pb2 import OBSERVATION_KIND_DELETED, OpportunityObserved
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.scoring.v1.scoring_profile_published_pb2 import Scale
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.pipeline_published_pb2 import Category, PipelinePublished
from stagecraft.stage.v1.stage_changed_pb2 import Cause, StageChanged, TransitionKind
from stagecraft.stage.v1.stage_decided_pb2 import (
    INPUT_KIND_SUBMISSION,
    InputKind,
    NearMiss,
    Outcome,
    Reason,
    StageDecided,
)

from assessment.repository.replica import ReplicaRepository


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _decimal(text: str, field: str) -> Decimal | None:
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise InvalidEvent("bad_decimal", f"{field} is {text!r}") from error
    if not number.is_finite():
        raise InvalidEvent("bad_decimal", f"{field} is {text!r}")
    return number


def _date(text: str, field: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidEvent("bad_date", f"{field} is {text!r}") from error


def _uuid(text: str, field: str) -> UUID:
    try:
        return uuid_of(text)
    except ValueError as error:
        raise InvalidEvent("bad_id", f"{field} is {text!r}") from error


def _word(enum: Any, prefix: str, value: int) -> str:
    """The lower-case word of an enum value; one that this version does not know breaks the contract."""
    if value == 0 or value not in enum.values():
        raise InvalidEvent("unknown_value", f"{prefix} is {value}")
    return enum.Name(value).removeprefix(f"{prefix}_").lower()


def _newest(events: Sequence[Received[Any]], read: Callable[[Any], dict[str, Any]], order: str) -> list[dict[str, Any]]:
    """What each aggregate's events say last, by this column. All are read: which of them is put aside as invalid must
    not depend on what it shares a batch with."""
    newest: dict[str, dict[str, Any]] = {}
    for event in events:
        row = read(event)
        held = newest.get(event.record.key)
        if held is None or held[order] <= row[order]:
            newest[event.record.key] = row
    # One order for all, or two transactions that write the same opportunities deadlock.
    return [newest[key] for key in sorted(newest)]


async def replicate_opportunities(uow: UnitOfWork, events: Sequence[Received[OpportunityObserved]]) -> None:
    """Owner, amount and whether it still exists. The observed stage is not taken: the stage engine decides it."""
    ReplicaRepository(uow.session).observe(_newest(events, _observation, "observed_no"))


def _observation(event: Received[OpportunityObserved]) -> dict[str, Any]:
    message = event.message
    return {
        "opportunity_id": message.opportunity_id,
        "owner_id": message.owner_id or None,
        "amount": _decimal(message.amount, "amount"),
        "close_date": _date(message.close_date, "close_date"),
        "crm_stage": message.crm_stage or None,
        "deleted": message.kind == OBSERVATION_KIND_DELETED,
        "observed_no": event.sequence,
    }


async def replicate_stages(uow: UnitOfWork, events: Sequence[Received[StageChanged]]) -> None:
    """Stage and visit, by the highest revision, and every change for the timeline."""
    changes = [_change(event.message) for event in events]
    newest = _newest(events, _stage, "revision")
    ReplicaRepository(uow.session).change_stages(changes, newest)


def _change(message: StageChanged) -> dict[str, Any]:
    return {
        "opportunity_id": message.opportunity_id,
        "revision": message.revision,
        "transition_id": _uuid(message.transition_id, "transition_id"),
        "kind": _word(TransitionKind, "TRANSITION_KIND", message.kind),
        "from_stage": message.from_stage,
        "to_stage": message.to_stage,
        "visit_no": message.visit_no,
        "cause": _word(Cause, "CAUSE", message.cause),
        "submission_id": _uuid(message.submission_id, "submission_id") if message.submission_id else None,
        "actor": message.actor,
        "changed_at": _moment(message.changed_at),
    }


def _stage(event: Received[StageChanged]) -> dict[str, Any]:
    message = event.message
    return {
        "opportunity_id": message.opportunity_id,
        "pipeline_key": message.pipeline_key,
        "pipeline_version": message.pipeline_version,
        "stage_key": message.to_stage,
        "stage_category": _word(Category, "CATEGORY", message.to_category),
        "visit_no": message.visit_no,
        "cycle_no": message.cycle_no,
        "revision": message.revision,
    }


async def replicate_pipelines(uow: UnitOfWork, events: Sequence[Received[PipelinePublished]]) -> None:
    """Which assessments count in which stage, of every version."""
    rows = [
        {
            "pipeline_key": event.message.pipeline_key,
            "version": event.message.version,
            "name": event.message.name,
            "stages": [
                {
                    "key": stage.key,
                    "name": stage.name or stage.key,
                    "category": _word(Category, "CATEGORY", stage.category),
                    "assessment_keys": list(stage.assessment_keys),
                }
                for stage in event.message.stages
            ],
            "published_at": _moment(event.message.published_at),
        }
        for event in events
    ]
    ReplicaRepository(uow.session).publish_pipelines(rows)


async def replicate_scores(uow: UnitOfWork, events: Sequence[Received[SubmissionScored]]) -> None:
    """Scores of submissions; a re-score is one more."""
    ReplicaRepository(uow.session).score([_score(event.message) for event in events])


def _score(message: SubmissionScored) -> dict[str, Any]:
    return {
        "score_id": _uuid(message.score_id, "score_id"),
        "submission_id": _uuid(message.submission_id, "submission_id"),
        "opportunity_id": message.opportunity_id,
        "score": _decimal(message.score, "score"),
        "scale": _word(Scale, "SCALE", message.scale),
        "percent": _decimal(message.percent, "percent"),
        "raw_points": _decimal(message.raw_points, "raw_points"),
        "reachable_max": _decimal(message.reachable_max, "reachable_max"),
        "complete": message.complete,
        "unanswered": [part.question_key for part in message.contributions if part.unanswered],
        "profile_version": message.profile_version,
        "scored_at": _moment(message.scored_at),
    }


async def replicate_decisions(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    """Decisions with what they say is missing."""
    ReplicaRepository(uow.session).decide([_decision(event.message) for event in events])


def _decision(message: StageDecided) -> dict[str, Any]:
    on_submission = message.input_kind == INPUT_KIND_SUBMISSION
    return {
        "decision_id": _uuid(message.decision_id, "decision_id"),
        "opportunity_id": message.opportunity_id,
        "decision_no": message.decision_no,
        "pipeline_key": message.pipeline_key,
        "pipeline_version": message.pipeline_version,
        "submission_id": _uuid(message.input_id, "input_id") if on_submission else None,
        "input_kind": _word(InputKind, "INPUT_KIND", message.input_kind),
        "outcome": _word(Outcome, "OUTCOME", message.outcome),
        "from_stage": message.from_stage,
        "to_stage": message.to_stage,
        "proposed_stage": message.proposed_stage,
        "reasons": [_reason(reason) for reason in message.reasons],
        "near_misses": [_near_miss(near) for near in message.near_misses],
        "actor": message.actor,
        "decided_at": _moment(message.decided_at),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    _decimal(reason.margin, "margin")
    return {"code": reason.code, "fact": reason.fact, "margin": reason.margin, "message": reason.message}


def _near_miss(near: NearMiss) -> dict[str, Any]:
    _decimal(near.margin, "margin")
    return {
        "rule_id": near.rule_id,
        "to_stage": near.to_stage,
        "fact": near.fact,
        "cell": near.cell,
        "actual": near.actual,
        "margin": near.margin,
        "question_keys": list(near.question_keys),
    }


async def replicate_recommendations(uow: UnitOfWork, events: Sequence[Received[StageRecommended]]) -> None:
    """The newest recommendation of each opportunity, or abstention."""
    rows = _newest(events, _recommendation, "recommendation_no")
    ReplicaRepository(uow.session).recommend(rows)


def _recommendation(event: Received[StageRecommended]) -> dict[str, Any]:
    message = event.message
    probabilities = {p.stage_key: p.probability for p in message.probabilities}
    return {
        "opportunity_id": message.opportunity_id,
        "recommendation_no": event.sequence,
        "recommendation_id": _uuid(message.recommendation_id, "recommendation_id"),
        "recommended_stage": message.recommended_stage,
        "abstained": message.abstained,
        "abstention_code": message.abstention_code,
        "probability": probabilities.get(message.recommended_stage),
        "support": message.support,
        "recommended_at": _moment(message.recommended_at),
    }


HANDLERS: Handlers = {
    OpportunityObserved: replicate_opportunities,
    StageChanged: replicate_stages,
    PipelinePublished: replicate_pipelines,
    SubmissionScored: replicate_scores,
    StageDecided: replicate_decisions,
    StageRecommended: replicate_recommendations,
}
