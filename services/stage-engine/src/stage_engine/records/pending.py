"""Moves that wait for people: approvals and proposals."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from stage_engine.domain.decision import Reason
from stage_engine.domain.pending import ApprovalState, ProposalState


@dataclass(frozen=True, slots=True)
class Agreement:
    """A person who agrees."""

    actor: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """A move that waits for approval, or did, and how it ended."""

    approval_id: UUID
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int
    from_stage: str
    to_stage: str
    rule_id: str
    asked_by: str
    reason_code: str
    text: str
    needed: int
    approved_by: tuple[Agreement, ...]
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState
    ended_at: datetime | None
    ended_by: str
    ended_text: str
    missing: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ApproverRecord:
    """Who may decide on a move that waits, by name."""

    approval_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A move that a rule proposes, or did, and what became of it."""

    proposal_id: UUID
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int
    rule_id: str
    from_stage: str
    to_stage: str
    why: Mapping[str, str]
    made_at: datetime
    expires_at: datetime
    state: ProposalState
    ended_at: datetime | None
    ended_by: str
    ended_text: str
    missing: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ProposalTotal:
    """How many proposals of a rule ended in one way, or are open."""

    rule_id: str
    state: ProposalState
    proposals: int
