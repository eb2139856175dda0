"""A score as a row, and a row as an event: the one place that knows all three shapes."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from forms.answers import Value
from forms.definition import Form, QuestionType, plain
from forms.messages import answer_to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT, SCALE_RAW
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SectionScore, SubmissionScored

from scoring.domain.profile import Scale
from scoring.domain.score import Score

SCALE_TO_PROTO = {Scale.RAW: SCALE_RAW, Scale.PERCENT: SCALE_PERCENT}


def answer_json(value: Value | None) -> str | list[str] | bool | None:
    """An answer in a stored trace: numbers are decimal strings, so that no reader rounds them."""
    if isinstance(value, Decimal):
        return plain(value)
    return list(value) if isinstance(value, tuple) else value


def trace_of(score: Score) -> dict[str, Any]:
    """The figures of a score as columns of its record, contributions and sections as JSON."""
    return {
        "score": score.score,
        "raw_points": score.raw,
        "reachable_min": score.reachable_min,
        "reachable_max": score.reachable_max,
        "percent": score.percent,
        "complete": score.complete,
        "sections": [
            {
                "section": each.section,
                "points": plain(each.points),
                "max_points": plain(each.max_points),
                "percent": plain(each.percent),
            }
            for each in score.sections
        ],
        "contributions": [
            {
                "question_key": each.question_key,
                "answer": answer_json(each.value),
                "points": plain(each.points),
                "max_points": plain(each.max_points),
                "unanswered": each.unanswered,
            }
            for each in score.contributions
        ],
        "inputs_hash": score.inputs_hash,
    }


def submission_scored(
    form: Form, scale: Scale, record: Mapping[str, Any], submission: AssessmentSubmitted, score: Score
) -> SubmissionScored:
    """The event of a new score record."""
    types = {question.key: question.type for question in form.questions}
    scored_at = Timestamp()
    scored_at.FromDatetime(record["scored_at"])
    return SubmissionScored(
        score_id=_text(record["score_id"]),
        submission_id=_text(record["submission_id"]),
        opportunity_id=submission.opportunity_id,
        assessment_key=submission.assessment_key,
        assessment_version=submission.assessment_version,
        profile_id=_text(record["profile_id"]),
        profile_version=record["profile_version"],
        scale=SCALE_TO_PROTO[scale],
        score="" if score.score is None else plain(score.score),
        raw_points=plain(score.raw),
        reachable_max=plain(score.reachable_max),
        reachable_min=plain(score.reachable_min),
        percent=plain(score.percent),
        complete=score.complete,
        sections=[SectionScore(**section) for section in record["sections"]],
        contributions=[
            Contribution(
                question_key=each.question_key,
                # A key the form does not have cannot be typed; its text goes out as text.
                answer=None
                if each.value is None
                else answer_to_proto(each.question_key, types.get(each.question_key, QuestionType.TEXT), each.value),
                points=plain(each.points),
                max_points=plain(each.max_points),
                unanswered=each.unanswered,
            )
            for each in score.contributions
        ],
        visit=Visit(stage_key=submission.visit.stage_key, visit_no=submission.visit.visit_no),
        submitted_by=submission.submitted_by,
        captured_at=submission.captured_at,
        received_at=submission.received_at,
        scored_at=scored_at,
        attempt_no=submission.attempt_no,
    )


def _text(identifier: UUID) -> str:
    return str(identifier)
