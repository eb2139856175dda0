# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""What figures are counted from: visits, standings, evaluations."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, Numeric, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from stage_engine.models.base import Base, counter, moment

# Visits that a later move may still change.
KEPT = "is_first OR left_at IS NULL"


class VisitRow(Base, table=True):
    """A visit as figures count it: see `domain/figures/visits.py`. A visit in a closed stage is the closing."""

    __tablename__ = "visit"
    __table_args__ = (
        Index("visit_entered", "tenant_id", "entered_at"),
        Index("visit_left", "tenant_id", "left_at", postgresql_where=text("left_at IS NOT NULL")),
        Index("visit_created", "tenant_id", "created_at", postgresql_where=text("visit_no = 1")),
        Index("visit_kept", "tenant_id", "opportunity_id", postgresql_where=text(KEPT)),
        # Written again in place: with room in its page a row keeps its index entries.
        {"postgresql_with": {"fillfactor": 70}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=BigInteger)
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    category: str
    rank: int
    earned_rank: int
    owner_id: str
    team_id: str
    segment: str
    amount: Decimal | None = Field(sa_type=Numeric, nullable=True)
    currency: str
    visit_no: int
    cycle_no: int
    kind: str
    cause: str
    from_stage: str
    skipped: int
    is_forward: bool
    is_override: bool
    lacking: bool | None
    rule_id: str
    entered_at: datetime = moment()
    is_clocked: bool
    created_at: datetime = moment()
    is_created_known: bool
    cycle_started_at: datetime = moment()
    win_probability: int | None
    expected_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    is_first: bool
    is_migrated: bool
    is_gone: bool
    left_at: datetime | None = moment(nullable=True)
    left_kind: str
    held_seconds: int = counter()
    wall_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    business_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    reached_at: datetime | None = moment(nullable=True)
    reached_next: bool
    closed_at: datetime | None = moment(nullable=True)
    outcome: str
    closed_next: bool


class StandingRow(Base, table=True):
    """How an open opportunity stood in the forecast between two moments: any day of the past can be looked at again."""

    __tablename__ = "standing"
    __table_args__ = (
        Index("standing_due", "tenant_id", "due", "since"),
        Index("standing_kept", "tenant_id", "opportunity_id", postgresql_where=text("until IS NULL")),
        {"postgresql_with": {"fillfactor": 80}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    decision_no: int = Field(primary_key=True, sa_type=BigInteger)
    since: datetime = moment()
    until: datetime | None = moment(nullable=True)
    object_type: str
    pipeline_key: str
    stage_key: str
    forecast: str
    earned_forecast: str
    rank: int
    earned_rank: int
    due: date | None
    amount: Decimal | None = Field(sa_type=Numeric, nullable=True)
    currency: str
    owner_id: str
    team_id: str
    segment: str


class EvaluationRow(Base, table=True):
    """A decision in which rules that may act were asked."""

    __tablename__ = "evaluation"
    __table_args__ = (Index("evaluation_decided", "tenant_id", "decided_at"),)

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    decision_no: int = Field(primary_key=True, sa_type=BigInteger)
    decided_at: datetime = moment()
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    owner_id: str
    team_id: str
    segment: str
    outcome: str
    asked: list[str] = Field(sa_type=JSONB)
    fired: str


visit = Base.metadata.tables["visit"]
standing = Base.metadata.tables["standing"]
evaluation = Base.metadata.tables["evaluation"]
