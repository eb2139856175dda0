"""What is held for a reviewer."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from assessment.domain.holding import HeldOutcome, HoldReason
from assessment.records import HeldRecord
from assessment.schemas.capture import MAX_INTEGER, VisitBody


class HeldSubmissionOut(BaseModel):
    """A submission that moves nothing until it is accepted; `outcome` is null while it waits."""

    submission_id: UUID
    reason: HoldReason
    opportunity_id: str
    assessment_key: str
    assessment_version: int = Field(description="the version that it says was answered")
    visit: VisitBody | None = Field(description="as it was handed in")
    submitted_by: str
    captured_at: datetime
    received_at: datetime
    outcome: HeldOutcome | None
    settled_at: datetime | None
    settled_by: str | None
    note: str


class HeldAnswersOut(HeldSubmissionOut):
    """A held submission with its answers, and the move that accepting it asks for."""

    answers: dict[str, Any]
    move: dict[str, Any] | None = Field(None, description="as it was handed in; made if the evidence supports it")

    @classmethod
    def of(cls, held: HeldRecord) -> "HeldAnswersOut":
        """The record with the answers from its body."""
        plain = HeldSubmissionOut.model_validate(held, from_attributes=True)
        body = json.loads(held.body)
        return cls(**dict(plain), answers=body["answers"], move=body.get("move"))


class Acceptance(BaseModel):
    """By which version the answers are judged, and what a reviewer adds."""

    model_config = ConfigDict(extra="forbid")

    assessment_version: int | None = Field(
        None,
        ge=1,
        le=MAX_INTEGER,
        description="a published version; absent: the one that the submission names",
        examples=[1],
    )
    note: str = Field("", max_length=500)


class Discard(BaseModel):
    """Why a held submission will never count."""

    model_config = ConfigDict(extra="forbid")

    note: str = Field(min_length=1, max_length=500, examples=["It is about another opportunity."])
