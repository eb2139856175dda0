"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models.py`.

An opportunity has three sides, each from events of its own that come in any order. The fields with defaults are what
the other sides count by when this one is the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from forms.definition import Form, Question
from forms.lint import Finding

from assessment.domain.capture import Visit, visit_of
from assessment.domain.delivery import Stage, Waiting
from assessment.domain.holding import HeldOutcome, HoldReason
from assessment.domain.outcome import MoveOutcome, NearMiss, Reason


@dataclass(frozen=True, slots=True)
class Template:
    """A shipped definition to start from."""

    key: str
    title: str
    description: str
    questions: tuple[Question, ...]

    @property
    def question_count(self) -> int:
        """How many questions it has."""
        return len(self.questions)


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """An assessment with its draft."""

    assessment_key: str
    title: str
    description: str
    questions: tuple[Question, ...]
    draft_revision: int
    latest_version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str

    @property
    def key(self) -> str:
        """The assessment's key, as the API calls it."""
        return self.assessment_key

    @property
    def next_form(self) -> Form:
        """The form that publishing the draft would make."""
        return Form(self.assessment_key, self.latest_version + 1, self.title, self.description, self.questions)


@dataclass(frozen=True, slots=True)
class AssessmentRequest:
    """A shipped assessment that a process template asks for, under a key of its own."""

    request_id: UUID
    assessment_key: str
    template_key: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class LintedDraft:
    """An assessment with its draft, and what publishing it would refuse or warn of."""

    draft: DraftRecord
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A published version of an assessment."""

    assessment_key: str
    version: int
    title: str
    description: str
    questions: tuple[Question, ...]
    definition_hash: str
    published_at: datetime
    published_by: str
    retired_at: datetime | None = None
    retired_by: str | None = None

    @property
    def key(self) -> str:
        """The assessment's key, as the API calls it."""
        return self.assessment_key

    @property
    def form(self) -> Form:
        """The form that reps fill in."""
        return Form(self.assessment_key, self.version, self.title, self.description, self.questions)

    @property
    def status(self) -> Literal["published", "retired"]:
        """Whether it may be started."""
        return "published" if self.retired_at is None else "retired"


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """A submission as its receipt describes it."""

    submission_id: UUID
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    stage_key: str | None
    visit_no: int | None
    attempt_no: int
    channel: str
    submitted_by: str
    captured_at: datetime
    received_at: datetime
    warnings: tuple[str, ...]

    @property
    def visit(self) -> Visit | None:
        """The visit that it belongs to; None when it was not known."""
        return visit_of(self.stage_key, self.visit_no)


@dataclass(frozen=True, slots=True)
class NewSubmission(SubmissionRecord):
    """A submission with what was sent, and whether its submitter's right to the opportunity was checked."""

    sent_at: str | None
    body: str
    body_sha256: str
    entitled: bool
    content_sha256: str
    duplicate_of: UUID | None


@dataclass(frozen=True, slots=True)
class HeldRecord(SubmissionRecord):
    """A capture that is held for a reviewer; `outcome` is None until one accepts or discards it."""

    sent_at: str | None
    body: str
    body_sha256: str
    reason: HoldReason
    outcome: HeldOutcome | None = None
    settled_at: datetime | None = None
    settled_by: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class TimelineRecord:
    """One thing that happened to an opportunity; the detail is what the API shows of it."""

    at: datetime
    kind: str
    id: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ObservationRecord:
    """The CRM's side of an opportunity, in the order of `observed_no`."""

    opportunity_id: str
    owner_id: str | None
    amount: Decimal | None
    deleted: bool
    observed_no: int
    revision: int = 0
    recommendation_no: int = 0


@dataclass(frozen=True, slots=True)
class StageRecord:
    """The stage engine's side of an opportunity, in the order of `revision`."""

    opportunity_id: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_category: str
    visit_no: int
    revision: int
    observed_no: int = -1
    deleted: bool = False
    recommendation_no: int = 0


@dataclass(frozen=True, slots=True)
class RecommendationRecord:
    """The recommender's side of an opportunity, in the order of `recommendation_no`."""

    opportunity_id: str
    recommendation_no: int
    recommendation_id: UUID
    recommended_stage: str | None
    abstention_code: str | None
    probability: float | None
    support: int
    recommended_at: datetime
    observed_no: int = -1
    deleted: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class WaitingRecord:
    """What waits for people in the stage engine, in the order of `waiting_no`."""

    opportunity_id: str
    waiting_no: int
    waiting: Waiting
    observed_no: int = -1
    deleted: bool = False
    revision: int = 0
    recommendation_no: int = 0


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """One change of a stage, for the timeline."""

    opportunity_id: str
    revision: int
    transition_id: UUID
    kind: str
    from_stage: str
    to_stage: str
    visit_no: int
    cause: str
    submission_id: UUID | None
    actor: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """A published version of a pipeline."""

    pipeline_key: str
    version: int
    name: str
    stages: tuple[Stage, ...]
    assessment_versions: Mapping[str, int]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """An assessment version that has points."""

    assessment_key: str
    assessment_version: int


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """A score of a submission."""

    score_id: UUID
    submission_id: UUID
    opportunity_id: str
    score: Decimal | None
    scale: str
    percent: Decimal
    raw_points: Decimal
    reachable_max: Decimal
    complete: bool
    unanswered: tuple[str, ...]
    profile_version: int
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision with what it says is missing; `submission_id` is None for one on an observation or a command."""

    decision_id: UUID
    opportunity_id: str
    decision_no: int
    pipeline_key: str
    pipeline_version: int
    submission_id: UUID | None
    input_kind: str
    outcome: str
    from_stage: str
    to_stage: str
    proposed_stage: str
    reasons: tuple[Reason, ...]
    near_misses: tuple[NearMiss, ...]
    actor: str
    decided_at: datetime
    move: MoveOutcome | None = None
