"""Opportunities and other subjects, with what was decided about them."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """An opportunity: `state` is the whole of it as JSON, the rest is what queries need."""

    opportunity_id: str
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_rank: int
    category: str
    earned_stage: str
    earned_rank: int
    amount: Decimal | None
    currency: str
    owner_id: str
    assignee_id: str
    account_id: str
    account_type: str
    deleted: bool
    quarantined: bool
    quarantine_code: str
    other_pipeline: str
    revision: int
    state: str
    updated_at: datetime
    due_at: datetime | None
    stalled_at: datetime | None
    on_hold: bool
    visit_opened_at: datetime
    close_date: date | None
    expected_at: datetime | None
    rotten_at: datetime | None
    forecast: str
    earned_forecast: str
    segment: str


@dataclass(frozen=True, slots=True)
class UnplacedRecord:
    """A record that no pipeline takes, with the reason; `observation` is JSON."""

    record_id: str
    object_type: str
    owner_id: str
    code: str
    reason: str
    deleted: bool
    number: int
    observation: str
    since: datetime


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
class OpportunityState:
    """An opportunity as JSON."""

    opportunity_id: str
    state: str
