"""Actions that decisions ask for, and what became of them."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from stage_engine.domain.actions import ActionKind, ActionState, Phase
from stage_engine.domain.next_steps import StepKind, Supplies


class Outcome(StrEnum):
    """What a program may say became of an action; it expires by itself."""

    DONE = "done"
    REFUSED = "refused"


class SettlementBody(BaseModel):
    """What became of an action that the caller carried out. A refusal says why in words."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"state": "done", "record_id": "sent-20411"},
                {"state": "refused", "code": "UNSUBSCRIBED", "words": "The contact wants no e-mail."},
            ]
        },
    )

    state: Outcome
    code: str = Field("", max_length=100)
    words: str = Field("", max_length=2000)
    record_id: str = Field("", max_length=200, description="what was created, by the id that it has there")

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.state is Outcome.REFUSED and not self.words:
            raise ValueError("a refusal says why in words")
        return self


class StepOut(BaseModel):
    """A step in plain words. `supplied_by` names the assessment, question, field or activity that gives it; `key` is
    that of the criterion, the rule or the action."""

    kind: StepKind
    text: str = Field(examples=["For Discovery: prospecting.score is 50; needed: > 60; 10 points short."])
    supplies: Supplies
    supplied_by: str = Field(examples=["hours"])
    key: str
    to_stage: str
    due_at: datetime | None
    late: bool


class NextSteps(BaseModel):
    """What to do next, what goes first in front."""

    items: list[StepOut]


class ActionOut(BaseModel):
    """What a decision asked for: when the opportunity moved, in which phase of the move, and what became of it."""

    action_id: UUID
    opportunity_id: str
    object_type: str
    decision_id: UUID
    revision: int
    action_key: str
    kind: ActionKind
    phase: Phase
    text: str
    details: str
    to: str = Field(validation_alias=AliasChoices("to", "addressee"), description="whom it is for")
    target: str
    fields: dict[str, str]
    due_at: datetime | None
    expires_at: datetime
    requested_at: datetime
    state: ActionState
    code: str
    words: str
    record_id: str
    settled_at: datetime | None
    settled_by: str
