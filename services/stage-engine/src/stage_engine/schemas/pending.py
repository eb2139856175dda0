"""Moves that wait for approval, and what rules propose."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.schemas.opportunities import ReasonOut


class ConsentBody(BaseModel):
    """Yes, with a word to it if need be."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(default="", max_length=2000)


class RefusalBody(BaseModel):
    """No, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "The discount is too deep."}]})

    reason: str = Field(min_length=1, max_length=2000, pattern=r"\S")


class AgreementOut(BaseModel):
    """A person who agrees."""

    actor: str
    at: datetime
    text: str


class ApprovalOut(BaseModel):
    """A move that waits for approval, or did. The subject stays in `from_stage` meanwhile."""

    approval_id: UUID
    opportunity_id: str = Field(description="of the subject, whatever its type")
    object_type: str
    pipeline_key: str
    owner_id: str
    from_stage: str
    to_stage: str
    rule_id: str = Field(description="that asks, or whose proposal was accepted; empty: a person's own wish")
    asked_by: str
    reason_code: str
    text: str
    needed: int = Field(description="how many have to agree")
    approved_by: list[AgreementOut]
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState
    ended_at: datetime | None
    ended_by: str
    ended_text: str
    missing: list[ReasonOut] = Field(description="of one that is no longer valid: what it lacks")


class ProposalOut(BaseModel):
    """A move that a rule proposes, or did, with the facts that it rests on."""

    proposal_id: UUID
    opportunity_id: str = Field(description="of the subject, whatever its type")
    object_type: str
    pipeline_key: str
    owner_id: str
    rule_id: str
    from_stage: str
    to_stage: str
    why: dict[str, str] = Field(examples=[{"prospecting.score": "70"}])
    made_at: datetime
    expires_at: datetime
    state: ProposalState
    ended_at: datetime | None
    ended_by: str
    ended_text: str
    missing: list[ReasonOut] = Field(description="of one that is no longer valid: what it lacks")


class ProposalTotalOut(BaseModel):
    """How many proposals of a rule ended in one way, or are open."""

    rule_id: str
    state: ProposalState
    proposals: int


class ProposalTotals(BaseModel):
    """What became of all that the rules of a pipeline proposed."""

    pipeline_key: str
    totals: list[ProposalTotalOut]
