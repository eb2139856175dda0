"""Events in, read into what the domain decides on. InvalidEvent for what breaks its contract."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from google.protobuf.timestamp_pb2 import Timestamp
from kit.errors import InvalidEvent
from stagecraft.crm.v1 import opportunity_observed_pb2 as crm
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from stage_engine.domain.finding import ScoreReach
from stage_engine.domain.grammar import exact_number
from stage_engine.domain.inputs import Observation, Sight, Submission

_SIGHTS = {
    crm.OBSERVATION_KIND_IMPORTED: Sight.IMPORTED,
    crm.OBSERVATION_KIND_CREATED: Sight.CREATED,
    crm.OBSERVATION_KIND_UPDATED: Sight.UPDATED,
    crm.OBSERVATION_KIND_DELETED: Sight.DELETED,
    crm.OBSERVATION_KIND_UNDELETED: Sight.UNDELETED,
    crm.OBSERVATION_KIND_CONFLICT: Sight.CONFLICT,
}


def submission_of(message: SubmissionScored) -> Submission:
    """A scored submission as the domain takes it."""
    lost = [
        (part.question_key, _number(part.max_points, "max_points") - _number(part.points, "points"))
        for part in message.contributions
        if part.points and part.max_points
    ]
    lost.sort(key=lambda each: (-each[1], each[0]))
    return Submission(
        submission_id=_given(message.submission_id, "submission_id"),
        opportunity_id=message.opportunity_id,
        assessment_key=_given(message.assessment_key, "assessment_key"),
        score=_number(message.score, "score") if message.complete and message.score else None,
        stage_key=message.visit.stage_key,
        visit_no=message.visit.visit_no,
        attempt_no=message.attempt_no,
        captured_at=_moment(message.captured_at, "captured_at"),
        received_at=_moment(message.received_at, "received_at"),
        profile_id=message.profile_id,
        profile_version=message.profile_version,
        submitted_by=message.submitted_by,
        lost=tuple(each for each in lost if each[1] > 0),
        unanswered=tuple(part.question_key for part in message.contributions if part.unanswered),
    )


def observation_of(message: crm.OpportunityObserved, event_id: str, number: int) -> Observation:
    """A sight of the deal in the CRM; without a change id of its own it is told by its event. `number` is the event's
    sequence, 0 when it is no longer known."""
    sight = _SIGHTS.get(message.kind)
    if sight is None:
        raise InvalidEvent("unknown_kind", f"an observation of the kind {message.kind}")
    return Observation(
        change_id=message.change_id or event_id,
        opportunity_id=message.opportunity_id,
        sight=sight,
        pipeline_key=message.pipeline_key,
        stage_key=message.stage_key,
        crm_stage=message.crm_stage,
        amount=_number(message.amount, "amount") if message.amount else None,
        close_date=message.close_date,
        owner_id=message.owner_id,
        changed_by=message.changed_by,
        committed_at=_moment(message.committed_at, "committed_at"),
        number=number,
    )


def reach_of(message: ScoringProfilePublished) -> ScoreReach:
    """The scores an assessment can give. A percentage lies between 0 and 100 unless points can be negative."""
    scores = tuple(sorted(_number(score, "reachable_scores") for score in message.reachable_scores))
    minimum, maximum = (
        _optional(message.reachable_min, "reachable_min"),
        _optional(message.reachable_max, "reachable_max"),
    )
    if message.scale == SCALE_PERCENT:
        return ScoreReach(None if minimum is not None and minimum < 0 else Decimal(0), Decimal(100), scores)
    return ScoreReach(minimum, maximum, scores)


def _optional(text: str, name: str) -> Decimal | None:
    return _number(text, name) if text else None


def _number(text: str, name: str) -> Decimal:
    try:
        return exact_number(text)
    except (ValueError, InvalidOperation) as error:
        raise InvalidEvent("bad_number", f"{name} is {text!r}: {error}") from error


def _given(text: str, name: str) -> str:
    if not text:
        raise InvalidEvent("missing_field", f"{name} is empty")
    return text


def _moment(value: Timestamp, name: str) -> datetime:
    if not value.ByteSize():
        raise InvalidEvent("missing_field", f"{name} is empty")
    return moment_of(value)


def moment_of(value: Timestamp) -> datetime:
    """An aware time in UTC."""
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent("bad_time", str(error)) from error
