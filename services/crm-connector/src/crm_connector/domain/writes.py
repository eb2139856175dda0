"""What one write puts into the CRM: a stage, a scored submission, or both."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from stagecraft.assessment.v1.assessment_published_pb2 import Question
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored


class AnswerType(StrEnum):
    """The kind of value an answer has."""

    CHOICE = "choice"
    CHOICES = "choices"
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One answer. `value` is a choice key, a list of them, a decimal in plain notation, a text or a boolean."""

    question_key: str
    type: AnswerType
    value: str | bool | tuple[str, ...]
    points: Decimal
    max_points: Decimal


@dataclass(frozen=True, slots=True)
class Evidence:
    """A scored submission. `score` and `score_max` are in the profile's scale; None when incomplete."""

    submission_id: str
    assessment_key: str
    assessment_version: int
    stage_key: str
    score: Decimal | None
    score_max: Decimal
    percent: Decimal | None
    complete: bool
    submitted_by: str
    captured_at: datetime
    answers: tuple[AnswerLine, ...]


@dataclass(frozen=True, slots=True)
class QuestionText:
    """How people read a question and its choices."""

    text: str
    choices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StageWrite:
    """Replace the stage `expected` by `target`, both by the CRM's names; `expected` may be empty, for any."""

    target: str
    expected: str


@dataclass(frozen=True, slots=True)
class CrmWrite:
    """One all-or-nothing write to one opportunity. A repetition gets another `write_id`: a late first attempt is
    then still told from the second, and refused by the expected stage."""

    write_id: str
    opportunity_id: str
    stage: StageWrite | None
    evidence: Evidence | None
    questions: Mapping[str, QuestionText]


def evidence_of(scored: SubmissionScored) -> Evidence:
    """The evidence of a scored submission; ValueError when a number is none."""
    answers = tuple(
        AnswerLine(part.question_key, *_typed(part.answer), _decimal(part.points), _decimal(part.max_points))
        for part in scored.contributions
        if part.HasField("answer") and part.answer.WhichOneof("value")
    )
    return Evidence(
        submission_id=scored.submission_id,
        assessment_key=scored.assessment_key,
        assessment_version=scored.assessment_version,
        stage_key=scored.visit.stage_key,
        score=_decimal(scored.score) if scored.score else None,
        score_max=Decimal(100) if scored.scale == SCALE_PERCENT else _decimal(scored.reachable_max),
        percent=_decimal(scored.percent) if scored.percent else None,
        complete=scored.complete,
        submitted_by=scored.submitted_by,
        captured_at=scored.captured_at.ToDatetime(tzinfo=UTC),
        answers=answers,
    )


def question_texts(questions: Iterable[Question]) -> dict[str, QuestionText]:
    """The texts of a published assessment by question key."""
    return {q.key: QuestionText(q.text, {c.key: c.text for c in q.choices}) for q in questions}


def _typed(answer: Answer) -> tuple[AnswerType, str | bool | tuple[str, ...]]:
    match answer.WhichOneof("value"):
        case "choice":
            return AnswerType.CHOICE, answer.choice
        case "choices":
            return AnswerType.CHOICES, tuple(answer.choices.keys)
        case "number":
            return AnswerType.NUMBER, f"{_decimal(answer.number):f}"
        case "boolean":
            return AnswerType.BOOLEAN, answer.boolean
        case _:
            return AnswerType.TEXT, answer.text


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text or "0")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ValueError(f"{text!r} is no decimal number")
    return value
