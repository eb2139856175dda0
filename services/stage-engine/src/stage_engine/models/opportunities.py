# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""Opportunities and other subjects, with what was decided about them."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Index, Numeric, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from stage_engine.models.base import Base, counter, created, moment

OF_ACCOUNT = "account_id <> '' AND category = 'open' AND NOT deleted"

LOAD = "category = 'open' AND NOT deleted"

TO_CONFIRM = "earned_rank > stage_rank AND category = 'open' AND NOT deleted"


class OpportunityRow(Base, table=True):
    """One opportunity, or another subject: no two of them share an id. `state` is the whole of it as JSON; the other
    columns are what queries need of it: `due_at` when the first of its timers fires, `stalled_at` from when on it is
    stalled if nothing happens."""

    __tablename__ = "opportunity"
    __table_args__ = (
        Index("opportunity_type", "tenant_id", "object_type", "opportunity_id"),
        Index("opportunity_stage", "tenant_id", "stage_key", "opportunity_id"),
        Index("opportunity_pipeline", "tenant_id", "pipeline_key", "category"),
        Index("opportunity_owner", "tenant_id", "owner_id", "opportunity_id"),
        # What a person has to do; what came lately.
        Index("opportunity_assignee", "tenant_id", "assignee_id", "object_type", postgresql_where=text(LOAD)),
        Index("opportunity_created", "tenant_id", "object_type", "created_at"),
        # Those with a timer that runs; those that will be stalled; those on hold.
        Index("opportunity_due", "tenant_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "opportunity_stalled",
            "tenant_id",
            "stalled_at",
            "opportunity_id",
            postgresql_where=text("stalled_at IS NOT NULL"),
        ),
        Index("opportunity_on_hold", "tenant_id", "opportunity_id", postgresql_where=text("on_hold")),
        # Those that wait for a person to confirm what the evidence has earned.
        Index("opportunity_to_confirm", "tenant_id", "opportunity_id", postgresql_where=text(TO_CONFIRM)),
        # What is due to close.
        Index("opportunity_closing", "tenant_id", "close_date", postgresql_where=text(LOAD)),
        # The portfolio of accounts, and what is open with each.
        Index(
            "opportunity_accounts",
            "tenant_id",
            "owner_id",
            "account_type",
            "stage_key",
            postgresql_where=text("object_type = 'account' AND NOT deleted"),
        ),
        Index("opportunity_of_account", "tenant_id", "account_id", postgresql_where=text(OF_ACCOUNT)),
        Index("opportunity_quarantined", "updated_at", postgresql_where=text("quarantined AND NOT deleted")),
        # Written again and again in place: with room in its page a row keeps its index entries.
        {"postgresql_with": {"fillfactor": 70}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_rank: int
    category: str
    earned_stage: str
    earned_rank: int
    amount: Decimal | None = Field(sa_type=Numeric, nullable=True)
    currency: str
    owner_id: str
    assignee_id: str
    account_id: str = Field(sa_column_kwargs={"server_default": ""})
    account_type: str = Field(sa_column_kwargs={"server_default": ""})
    deleted: bool
    quarantined: bool
    quarantine_code: str
    other_pipeline: str
    revision: int = counter()
    state: str = Field(sa_type=Text)
    created_at: datetime = created()
    updated_at: datetime = moment()
    due_at: datetime | None = moment(nullable=True)
    stalled_at: datetime | None = moment(nullable=True)
    on_hold: bool = Field(sa_column_kwargs={"server_default": "false"})
    visit_opened_at: datetime = moment()
    close_date: date | None
    # When its visit has lasted as long as expected, and half as much again.
    expected_at: datetime | None = moment(nullable=True)
    rotten_at: datetime | None = moment(nullable=True)
    forecast: str
    earned_forecast: str
    segment: str


class UnplacedRow(Base, table=True):
    """A record that no pipeline takes, as it was last observed: `observation` is JSON, `number` its place among all
    reports of the record, `since` when it was first seen without a pipeline. Of a deleted one only the number counts,
    so that what was observed before does not bring it back."""

    __tablename__ = "unplaced"

    tenant_id: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)
    object_type: str
    owner_id: str
    code: str
    reason: str
    deleted: bool
    number: int = counter()
    observation: str = Field(sa_type=Text)
    since: datetime = moment()


class PlacementRow(Base, table=True):
    """A tenant whose unplaced records are looked at again, in the order of ids behind `after`: a pipeline was
    published."""

    __tablename__ = "placement"

    tenant_id: str = Field(primary_key=True)
    after: str
    started_at: datetime = created()


class DecisionRow(Base, table=True):
    """A decision with everything it rests on: `before`, `given`, `decision` and `after` are JSON texts, so that
    deciding again can be compared byte for byte."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("decision_number", "tenant_id", "opportunity_id", "decision_no", unique=True),
        # The identity leads, which names an id with its time: what is decided now is close together in the index.
        Index("decision_identity", "tenant_id", "identity", "opportunity_id", unique=True),
        # Rows of two or three kB, written once and seldom read: compressing each would cost more than writing it.
        {"postgresql_with": {"toast_tuple_target": 8160}},
    )

    tenant_id: str = Field(primary_key=True)
    decision_id: UUID = Field(primary_key=True)
    opportunity_id: str
    decision_no: int = counter()
    identity: str
    pipeline_key: str
    pipeline_version: int
    outcome: str
    decided_at: datetime = moment()
    before: str | None = Field(sa_type=Text)
    given: str = Field(sa_type=Text)
    decision: str = Field(sa_type=Text)
    after: str = Field(sa_type=Text)


class TransitionRow(Base, table=True):
    """One move. It opens a visit that lasts until the next revision of the opportunity."""

    __tablename__ = "transition"
    __table_args__ = (
        Index("transition_revision", "tenant_id", "opportunity_id", "revision", unique=True),
        Index("transition_entry", "tenant_id", "pipeline_key", "to_stage", "changed_at"),
        Index("transition_by_rule", "tenant_id", "pipeline_key", "changed_at", postgresql_where=text("cause = 'rule'")),
    )

    tenant_id: str = Field(primary_key=True)
    transition_id: UUID = Field(primary_key=True)
    opportunity_id: str
    revision: int = counter()
    decision_id: UUID
    kind: str
    from_stage: str
    to_stage: str
    from_rank: int | None
    to_rank: int
    to_category: str
    skipped: list[str] = Field(sa_type=JSONB)
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
    changed_at: datetime = moment()


opportunity = Base.metadata.tables["opportunity"]
decision = Base.metadata.tables["decision"]
transition = Base.metadata.tables["transition"]
unplaced = Base.metadata.tables["unplaced"]
placement = Base.metadata.tables["placement"]
