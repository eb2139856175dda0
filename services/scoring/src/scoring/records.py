"""Rows as values: what the repository takes and gives. Their fields are columns of the tables in `models.py`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from scoring.domain.submission import AssessmentVersion


@dataclass(frozen=True, slots=True)
class AssessmentRecord:
    """A published version of an assessment. `definition` is the form as JSON."""

    assessment_key: str
    version: int
    definition: dict[str, Any]
    retired: bool
    revision: int


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """Whose an opportunity is, in the order of `observed_no`; `owner_id` is None when the CRM does not say."""

    opportunity_id: str
    owner_id: str | None
    observed_no: int


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """A scoring profile; a draft while `version` is None. `points` is the profile as JSON."""

    profile_id: UUID
    assessment_key: str
    assessment_version: int
    version: int | None
    title: str
    points: dict[str, Any]
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str
    published_at: datetime | None
    published_by: str | None

    @property
    def assessment(self) -> AssessmentVersion:
        return self.assessment_key, self.assessment_version


@dataclass(frozen=True, slots=True)
class NewProfile:
    """What a draft begins with; the database adds the times."""

    profile_id: UUID
    assessment_key: str
    assessment_version: int
    title: str
    points: dict[str, Any]
    revision: int
    created_by: str
    updated_by: str


@dataclass(frozen=True, slots=True)
class ProfileWithDefinition:
    """All that scoring needs of a published profile."""

    profile_id: UUID
    assessment_key: str
    assessment_version: int
    points: dict[str, Any]
    reachable_min: Decimal
    reachable_max: Decimal
    definition: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SectionRecord:
    section: str
    points: Decimal
    max_points: Decimal
    percent: Decimal


@dataclass(frozen=True, slots=True)
class ContributionRecord:
    """One visible question's part; the answer to a number question is its text, so that no reader rounds it."""

    question_key: str
    answer: str | bool | tuple[str, ...] | None
    points: Decimal
    max_points: Decimal
    unanswered: bool


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """The score a submission got from a profile."""

    score_id: UUID
    submission_id: UUID
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    profile_id: UUID
    profile_version: int
    scale: str
    score: Decimal | None
    raw_points: Decimal
    reachable_min: Decimal
    reachable_max: Decimal
    percent: Decimal
    complete: bool
    inputs_hash: str
    stage_key: str
    visit_no: int
    attempt_no: int
    submitted_by: str
    entitled: bool
    captured_at: datetime
    received_at: datetime
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class ScoreRecord(ScoreSummary):
    """A score with everything it rests on."""

    sections: tuple[SectionRecord, ...]
    contributions: tuple[ContributionRecord, ...]
