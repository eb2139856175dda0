"""Rows as values: what other services' events leave here. Their fields are columns of the tables in `models.py`.

An opportunity has three sides, each told by events of its own in any order. The fields with defaults are what the other
sides count by when this one is the first.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ObservationRecord:
    """The CRM's side of an opportunity, in the order of `observed_no`."""

    opportunity_id: str
    owner_id: str | None
    amount: Decimal | None
    close_date: date | None
    crm_stage: str | None
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
    cycle_no: int
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
    recommended_stage: str
    abstained: bool
    abstention_code: str
    probability: float | None
    support: int
    recommended_at: datetime
    observed_no: int = -1
    deleted: bool = False
    revision: int = 0


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
class PipelineStage:
    """A stage with the assessments that count in it, in their order."""

    key: str
    name: str
    category: str
    assessment_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """A published version of a pipeline."""

    pipeline_key: str
    version: int
    name: str
    stages: tuple[PipelineStage, ...]
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """A score of a submission."""

    score_id: UUID
    submission_id: UUID
    opportunity_id: str
    score: Decimal | None
    scale: str
    percent: Decimal | None
    raw_points: Decimal | None
    reachable_max: Decimal | None
    complete: bool
    unanswered: tuple[str, ...]
    profile_version: int
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class ReasonRecord:
    """Why a decision came out as it did; the margin is a decimal text, empty when there is none."""

    code: str
    fact: str
    margin: str
    message: str


@dataclass(frozen=True, slots=True)
class NearMissRecord:
    """A rule that nearly held, and the questions that lost points."""

    rule_id: str
    to_stage: str
    fact: str
    cell: str
    actual: str
    margin: str
    question_keys: tuple[str, ...]


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
    reasons: tuple[ReasonRecord, ...]
    near_misses: tuple[NearMissRecord, ...]
    actor: str
    decided_at: datetime
