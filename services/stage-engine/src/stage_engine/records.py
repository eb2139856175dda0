"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models.py`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """A pipeline with its draft, a document that may have errors."""

    pipeline_key: str
    draft: dict[str, Any]
    revision: int
    newest_version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A published version of a pipeline."""

    pipeline_key: str
    version: int
    document: dict[str, Any]
    is_default: bool
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class ReachRecord:
    """The scores that the newest published points of an assessment can give."""

    assessment_key: str
    assessment_version: int
    profile_version: int
    minimum: Decimal | None
    maximum: Decimal | None
    scores: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """A partner's topic."""

    partner_key: str
    topic: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """An opportunity: `state` is the whole of it as JSON, the rest is what queries need."""

    opportunity_id: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_rank: int
    category: str
    earned_stage: str
    earned_rank: int
    amount: Decimal | None
    owner_id: str
    deleted: bool
    quarantined: bool
    revision: int
    state: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision with everything it rests on: `before`, `given`, `decision` and `after` are JSON."""

    decision_id: UUID
    opportunity_id: str
    decision_no: int
    identity: str
    pipeline_key: str
    pipeline_version: int
    outcome: str
    decided_at: datetime
    before: str | None
    given: str
    decision: str
    after: str


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """A move, which opened a visit."""

    transition_id: UUID
    opportunity_id: str
    revision: int
    decision_id: UUID
    kind: str
    from_stage: str
    to_stage: str
    from_rank: int | None
    to_rank: int
    to_category: str
    skipped: tuple[str, ...]
    visit_no: int
    cycle_no: int
    cause: str
    rule_id: str
    submission_id: str
    actor: str
    reason_code: str
    earned_stage: str
    pipeline_key: str
    pipeline_version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeRecord(TransitionRecord):
    """A move with the end of the visit it opened, None while the visit lasts."""

    visit_closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """An input that waits: a submission as its event's message, an observation as JSON."""

    kind: str
    opportunity_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class StageTotal:
    """Opportunities in a stage, and the sum of their amounts."""

    stage_key: str
    opportunities: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of the opportunities that entered a stage: `reached` a later one, `reached_next` without a skip;
    `censored` are too young to judge."""

    stage_key: str
    entered: int
    censored: int
    reached: int
    reached_next: int

    @property
    def judged(self) -> int:
        return self.entered - self.censored


@dataclass(frozen=True, slots=True)
class OwnerTotal:
    """Open opportunities of one owner, and those of them that claim more than they earned."""

    owner_id: str
    open_opportunities: int
    open_amount: Decimal
    ahead_opportunities: int
    ahead_amount: Decimal
    rank_gap: int
