"""What is switched without a new version."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from stage_engine.domain.modes import Switch
from stage_engine.domain.rules import RuleMode

_REASON = Field(min_length=1, max_length=500, examples=["too many opportunities moved"])


class RuleModeBody(BaseModel):
    """How far a rule may go in all versions that have it; null: as each version says."""

    model_config = ConfigDict(extra="forbid")

    mode: RuleMode | None
    reason: str = _REASON


class AutomationBody(BaseModel):
    """Whether rules may move opportunities by themselves."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(examples=[False])
    reason: str = _REASON


class BreakerSwitchBody(BaseModel):
    """Whether rules only propose, because they moved unusually many."""

    model_config = ConfigDict(extra="forbid")

    open: bool
    reason: str = _REASON


class SwitchedOut(BaseModel):
    """One thing that is switched."""

    rule_id: str = Field(description="empty: automation as a whole; @breaker: the breaker")
    switch: Switch
    reason: str
    changed_at: datetime
    changed_by: str


class ModesOut(BaseModel):
    """What is switched in a pipeline. Decisions name the revision."""

    pipeline_key: str
    revision: int
    automation: bool
    breaker_open: bool = Field(description="rules only propose until a person closes the breaker")
    switched: list[SwitchedOut]
