"""The funnel and the optimism gap."""

from datetime import datetime

from kit.wire import PlainDecimal
from pydantic import BaseModel, Field

from stage_engine.domain.pipeline import Category


class Total(BaseModel):
    """Opportunities and the sum of their amounts; one without an amount counts with 0."""

    opportunities: int
    amount: PlainDecimal


class FunnelStage(BaseModel):
    """One stage of the funnel. Conversions are null where no opportunity entered that can be judged yet."""

    key: str
    name: str
    category: Category
    claimed: Total
    earned: Total
    entered: int = Field(description="opportunities that entered within the window, each once")
    censored: int = Field(description="still open and younger than the horizon: not judged yet")
    reached_later: int = Field(description="reached a later open stage or won within the horizon")
    reached_next: int = Field(description="did so without skipping a stage")
    conversion: PlainDecimal | None = Field(description="reached_later ÷ (entered − censored)")
    strict_conversion: PlainDecimal | None = Field(description="reached_next ÷ (entered − censored)")


class Funnel(BaseModel):
    """Where opportunities are, where the evidence puts them, and how they get on."""

    pipeline_key: str
    pipeline_version: int
    since: datetime
    until: datetime
    horizon_days: int
    stages: list[FunnelStage]


class Gap(BaseModel):
    """Open opportunities, and those of them that claim more than they earned."""

    open: Total
    ahead: Total
    gap: PlainDecimal | None = Field(
        description="amount ahead ÷ open amount; null without open amount", examples=["0.25"]
    )
    mean_rank_gap: PlainDecimal | None = Field(description="stages ahead on average", examples=["0.5"])


class OwnerGap(Gap):
    """The gap of one owner."""

    owner_id: str


class OptimismGap(BaseModel):
    """How much of the open value is claimed further than the evidence reaches."""

    overall: Gap
    by_owner: list[OwnerGap]
