# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""What people do and owe: activities, actions, calendars, obligations, assignments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from stage_engine.models.base import Base, counter, created, moment


class ActivityRow(Base, table=True):
    """What was last heard of an activity about a subject, so that the same again, or something older, changes
    nothing."""

    __tablename__ = "activity"
    __table_args__ = (
        # Its end is the last moment of a kind, whatever was withdrawn before.
        Index("activity_last", "tenant_id", "subject_id", "kind", "occurred_at",
              postgresql_where=text("done AND NOT withdrawn")),
        # What took place in a period.
        Index("activity_done", "tenant_id", "occurred_at", postgresql_where=text("done AND NOT withdrawn")),
        Index("activity_last_inbound", "tenant_id", "subject_id", "kind", "occurred_at",
              postgresql_where=text("done AND NOT withdrawn AND inbound")),
        Index("activity_ahead", "occurred_at", "tenant_id",
              postgresql_where=text("kind = 'meeting' AND NOT done AND NOT withdrawn")),
    )  # fmt: skip

    tenant_id: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    activity_id: str = Field(primary_key=True)
    kind: str
    done: bool
    withdrawn: bool
    inbound: bool
    occurred_at: datetime = moment()
    committed_at: datetime = moment()
    person_id: str
    created_at: datetime = created()


class ActivityTotalRow(Base, table=True):
    """The activities of one kind that count for a subject. `changes` counts all that was heard of them."""

    __tablename__ = "activity_total"
    # Written again and again in place: with room in its page a row keeps its index entries.
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    tenant_id: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    count: int = counter()
    last_at: datetime | None = moment(nullable=True)
    last_inbound_at: datetime | None = moment(nullable=True)
    observed_at: datetime = moment()
    changes: int = counter()
    created_at: datetime = created()


class ActionRow(Base, table=True):
    """What a decision asked for, and what became of it. `addressee` is whom it is for; `state` is open until it is
    settled, once."""

    __tablename__ = "action"
    __table_args__ = (
        Index("action_subject", "tenant_id", "opportunity_id", "action_id"),
        Index("action_state", "tenant_id", "state", "action_id"),
        # Those that are open, of all tenants.
        Index("action_open", "requested_at", postgresql_where=text("state = 'open'")),
    )

    tenant_id: str = Field(primary_key=True)
    action_id: UUID = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    decision_id: UUID
    revision: int = counter()
    action_key: str
    kind: str
    phase: str
    text: str
    details: str
    addressee: str
    target: str
    fields: dict[str, str] = Field(sa_type=JSONB)
    due_at: datetime | None = moment(nullable=True)
    expires_at: datetime = moment()
    requested_at: datetime = moment()
    state: str
    code: str
    words: str
    record_id: str
    settled_at: datetime | None = moment(nullable=True)
    settled_by: str


class CalendarRow(Base, table=True):
    """A revision of the business hours of the tenant, a team or a person: decisions name the one they rest on."""

    __tablename__ = "calendar"

    tenant_id: str = Field(primary_key=True)
    scope: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    calendar: dict[str, Any] = Field(sa_type=JSONB)
    changed_at: datetime = created()
    changed_by: str


class ObligationRow(Base, table=True):
    """What the owner of an opportunity owed, or owes, by a time: the ledger that reports ask, never the activities. It
    is written with the decision that makes, settles or cancels it. `source` is where the subject came from, `hour` that
    of the day, by the owner's clock, in which it was made; both seconds count from then until it was met."""

    __tablename__ = "obligation"
    __table_args__ = (
        Index("obligation_due", "tenant_id", "due", "opportunity_id", "key", "made_at"),
        Index("obligation_of_owner", "tenant_id", "owner_id", "due"),
        Index("obligation_of_key", "tenant_id", "key", "due"),
        Index("obligation_open", "tenant_id", "due", postgresql_where=text("state = 'open'")),
        Index("obligation_made", "tenant_id", "key", "made_at"),
        {"postgresql_with": {"fillfactor": 80}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    made_at: datetime = Field(sa_type=DateTime(timezone=True), primary_key=True)  # pyright: ignore[reportArgumentType]
    object_type: str
    pipeline_key: str
    due: datetime = moment()
    owner_id: str
    state: str
    met_at: datetime | None = moment(nullable=True)
    by: str
    source: str
    hour: int
    wall_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    business_seconds: int | None = Field(sa_type=BigInteger, nullable=True)


class AssignmentRulesRow(Base, table=True):
    """A version of the rules by which subjects of one type are assigned: assignments name the one they rest on."""

    __tablename__ = "assignment_rules"

    tenant_id: str = Field(primary_key=True)
    object_type: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    document: dict[str, Any] = Field(sa_type=JSONB)
    changed_at: datetime = created()
    changed_by: str


class AssignmentRow(Base, table=True):
    """Who got a role of a subject, when, by which rule and why: written with the decision."""

    __tablename__ = "assignment"
    __table_args__ = (
        # Its end is when a person had the last turn.
        Index("assignment_turn", "tenant_id", "object_type", "person_id", "assigned_at"),
        Index("assignment_subject", "tenant_id", "opportunity_id", "assigned_at"),
    )

    tenant_id: str = Field(primary_key=True)
    decision_id: UUID = Field(primary_key=True)
    role: str = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    person_id: str
    rules_version: int
    rule_id: str
    pool: str
    reason: str
    by_person: bool
    assigned_at: datetime = moment()


calendar = Base.metadata.tables["calendar"]
action = Base.metadata.tables["action"]
assignment_rules = Base.metadata.tables["assignment_rules"]
assignment = Base.metadata.tables["assignment"]
obligation = Base.metadata.tables["obligation"]
activity = Base.metadata.tables["activity"]
activity_total = Base.metadata.tables["activity_total"]
