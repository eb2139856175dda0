"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models.py`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from recommender.domain.history import Visit
from recommender.domain.model import Abstention, Level


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """The score bands of a profile; edges are decimal texts."""

    profile_id: str
    assessment_key: str
    assessment_version: int
    version: int
    band_edges: tuple[str, ...]
    band_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BandsRecord:
    """The bands of a profile, as they are read."""

    profile_id: str
    band_edges: tuple[Decimal, ...]
    band_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObservationRecord:
    """What the CRM claims of an opportunity. The rest is what is known of one that the engine has not placed."""

    opportunity_id: str
    claimed_stage: str | None
    owner_id: str | None
    crm_deleted: bool
    observed_sequence: int
    visits: tuple[Visit, ...] = ()
    recommendation_no: int = 0


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """The visits of an opportunity. The rest is what is known of one that the CRM has not shown."""

    opportunity_id: str
    current_stage: str
    visits: tuple[Visit, ...]
    crm_deleted: bool = False
    observed_sequence: int = 0
    recommendation_no: int = 0


@dataclass(frozen=True, slots=True)
class VisitsRecord:
    """The visits of an opportunity, as they are read."""

    opportunity_id: str
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """A scored submission: the score with its answers, and the evidence made of it."""

    opportunity_id: str
    assessment_version: int
    profile_id: str
    score: Decimal | None
    answers: dict[str, Any]
    submission_id: str
    score_id: str
    assessment_key: str
    band: str | None
    stage_key: str
    visit_no: int
    captured_at: datetime
    attempt_no: int
    received_at: datetime
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """A submission that waits: `missing` says for what, `missing_key` for which one."""

    submission_id: str
    opportunity_id: str
    missing: str
    missing_key: str


@dataclass(frozen=True, slots=True)
class CountRecord:
    """Past cases of one cell that led to one stage; on writing, the difference."""

    pipeline_key: str
    stage_key: str
    assessment_key: str
    band: str
    label: str
    cases: int


@dataclass(frozen=True, slots=True)
class TotalRecord:
    """Ended visits or closed opportunities of a pipeline; on writing, the difference."""

    pipeline_key: str
    total: str
    count: int


@dataclass(frozen=True, slots=True)
class RecommendationRecord:
    """A recommendation or abstention as it was made."""

    recommendation_id: UUID
    opportunity_id: str
    recommendation_no: int
    submission_id: str
    score_id: str
    pipeline_key: str
    stage_key: str
    assessment_key: str
    band: str
    recommended_stage: str | None
    abstention_code: Abstention | None
    level: Level
    support: int
    counts: dict[str, int]
    probabilities: tuple[tuple[str, float], ...]
    lower_bound: float
    runner_up: float
    model_version: str
    recommended_at: datetime


@dataclass(frozen=True, slots=True)
class RecommendationInPlace(RecommendationRecord):
    """A recommendation beside its opportunity's owner and present stage and what the rules decided on the same
    evidence."""

    owner_id: str | None
    current_stage: str | None
    claimed_stage: str | None
    crm_deleted: bool
    engine_outcome: str | None
    engine_stage: str | None
    captured_at: datetime
