"""What a rep handed in, as scoring reads it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from forms.answers import Answers

# An assessment's key and version: what a profile is for.
AssessmentVersion = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Submission:
    """Answers to one version of an assessment, captured in one visit of an opportunity."""

    submission_id: UUID
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    answers: Answers
    visible_questions: tuple[str, ...]
    stage_key: str
    visit_no: int
    attempt_no: int
    submitted_by: str
    entitled: bool
    captured_at: datetime
    received_at: datetime

    @property
    def assessment(self) -> AssessmentVersion:
        return self.assessment_key, self.assessment_version
