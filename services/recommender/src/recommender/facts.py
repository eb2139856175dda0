"""What events say, in the words of this service, without protobuf and tables."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from recommender.domain.bands import Banding
from recommender.domain.history import Evidence, Visit


@dataclass(frozen=True, slots=True)
class EnteredVisit:
    opportunity_id: str
    visit: Visit


@dataclass(frozen=True, slots=True)
class ScoredSubmission:
    """A score with what the band is computed from and the answers behind it; its evidence has no band yet. `entitled`
    says that the submitter's right to the opportunity was checked on receipt."""

    opportunity_id: str
    submitted_by: str
    entitled: bool
    evidence: Evidence
    assessment_version: int
    profile_id: str
    score: Decimal | None
    answers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PublishedProfile:
    profile_id: str
    assessment_key: str
    assessment_version: int
    version: int
    banding: Banding


@dataclass(frozen=True, slots=True)
class PipelineStage:
    key: str
    name: str
    category: str


@dataclass(frozen=True, slots=True)
class PublishedPipeline:
    pipeline_key: str
    version: int
    name: str
    is_default: bool
    stages: tuple[PipelineStage, ...]

    @property
    def stage_keys(self) -> list[str]:
        return [stage.key for stage in self.stages]


@dataclass(frozen=True, slots=True)
class PublishedAssessment:
    assessment_key: str
    version: int
    title: str
    retired: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What the CRM claims of an opportunity; `claimed_stage` is None when it is not mapped, `owner_id` when it does not
    say."""

    opportunity_id: str
    claimed_stage: str | None
    owner_id: str | None
    crm_deleted: bool
    observed_sequence: int


@dataclass(frozen=True, slots=True)
class EngineDecision:
    """What the stage engine decided on a submission. `stage_key` is the stage to which its rules move or would move the
    opportunity."""

    submission_id: str
    opportunity_id: str
    decision_no: int
    outcome: str
    stage_key: str
    earned_stage: str
    decided_at: datetime
