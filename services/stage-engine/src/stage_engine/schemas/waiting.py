"""What waits for people, as its subject shows it."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel


class WaitingOut(BaseModel):
    """A move that waits for approval, as its subject shows it."""

    approval_id: UUID
    to_stage: str
    asked_by: str
    rule_id: str
    needed: int
    approved_by: list[str]
    asked_at: datetime
    expires_at: datetime


class ProposedOut(BaseModel):
    """What a rule proposes, as its subject shows it."""

    proposal_id: UUID
    rule_id: str
    to_stage: str
    why: dict[str, str]
    made_at: datetime
    expires_at: datetime
