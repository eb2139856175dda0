# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""Moves that wait for people: approvals and proposals."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from stage_engine.models.base import Base, counter, moment


class ApprovalRow(Base, table=True):
    """A move that waits for approval, or did: written with each decision about it. `number` is the decision that asked
    for it, `missing` what it lacked in the end."""

    __tablename__ = "approval"
    __table_args__ = (
        Index("approval_subject", "tenant_id", "opportunity_id", "approval_id"),
        Index("approval_state", "tenant_id", "state", "approval_id"),
        Index("approval_owner", "tenant_id", "owner_id", "state", "approval_id"),
        Index("approval_pipeline", "tenant_id", "pipeline_key", postgresql_where=text("state = 'pending'")),
    )

    tenant_id: str = Field(primary_key=True)
    approval_id: UUID = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int = counter()
    from_stage: str
    to_stage: str
    rule_id: str
    asked_by: str
    reason_code: str
    text: str
    needed: int
    approved_by: list[dict[str, Any]] = Field(sa_type=JSONB)
    asked_at: datetime = moment()
    expires_at: datetime = moment()
    state: str
    ended_at: datetime | None = moment(nullable=True)
    ended_by: str
    ended_text: str
    missing: list[dict[str, Any]] = Field(sa_type=JSONB)


class ApproverRow(Base, table=True):
    """Who may decide on a move that waits, or may not any more, by name; gone with the end of the waiting."""

    __tablename__ = "approver"
    __table_args__ = (Index("approver_name", "tenant_id", "name", "approval_id"),)

    tenant_id: str = Field(primary_key=True)
    approval_id: UUID = Field(primary_key=True)
    name: str = Field(primary_key=True)


class ProposalRow(Base, table=True):
    """A move that a rule proposes, or did, and what became of it; `why` are the facts that it rests on."""

    __tablename__ = "proposal"
    __table_args__ = (
        Index("proposal_subject", "tenant_id", "opportunity_id", "proposal_id"),
        Index("proposal_state", "tenant_id", "state", "proposal_id"),
        Index("proposal_owner", "tenant_id", "owner_id", "state", "proposal_id"),
        Index("proposal_rule", "tenant_id", "pipeline_key", "rule_id", "state", "owner_id"),
    )

    tenant_id: str = Field(primary_key=True)
    proposal_id: UUID = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int = counter()
    rule_id: str
    from_stage: str
    to_stage: str
    why: dict[str, str] = Field(sa_type=JSONB)
    made_at: datetime = moment()
    expires_at: datetime = moment()
    state: str
    ended_at: datetime | None = moment(nullable=True)
    ended_by: str
    ended_text: str
    missing: list[dict[str, Any]] = Field(sa_type=JSONB)


approval = Base.metadata.tables["approval"]
approver = Base.metadata.tables["approver"]
proposal = Base.metadata.tables["proposal"]
