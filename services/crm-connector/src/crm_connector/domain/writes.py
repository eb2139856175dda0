"""What one write puts into the CRM: a stage, a scored submission, or both."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

# What a write sets on the record itself, by the CRM's names.
SentFields = Mapping[str, str | int | float | bool | None]


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
    """A scored submission. `score` and `score_max` are in the profile's scale; None when incomplete. One that is
    `voided` says only that what was written of it counts no more."""

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
    voided: bool = False


@dataclass(frozen=True, slots=True)
class QuestionText:
    """How people read a question and its choices."""

    text: str
    choices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ending:
    """How an opportunity ended and why; both are empty when it was opened again."""

    outcome: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StageWrite:
    """Replace the stage `expected` by `target`, both by the CRM's names; `expected` may be empty, for any. `earned` is
    the stage that the evidence supports, `health` how the two compare; `ending` is None where nothing ends."""

    target: str
    expected: str
    earned: str = ""
    health: str = ""
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class CrmWrite:
    """One all-or-nothing write to one opportunity, or to another subject.

    A repetition gets another `write_id`, so that a late first attempt
    still differs from the second; the expected stage refuses it. `left_out` are questions whose answers the CRM refused
    before, empty for the assessment as a whole. `sync_error` says why an earlier stage is not in the CRM."""

    write_id: str
    opportunity_id: str
    stage: StageWrite | None
    evidence: Evidence | None
    questions: Mapping[str, QuestionText]
    left_out: Collection[str] = ()
    sync_error: str = ""
    object_type: str = "opportunity"
