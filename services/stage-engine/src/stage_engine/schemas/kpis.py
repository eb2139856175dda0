"""The funnel and the optimism gap."""

from datetime import datetime

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, Field

from stage_engine.domain.stages import Category
from stage_engine.schemas.unplaced import Aside


class Money(BaseModel):
    """A sum of amounts in one currency; they are never converted."""

    currency: str = Field(description="ISO 4217; empty in an org of one", examples=["EUR"])
    amount: PlainDecimal


class Total(BaseModel):
    """Opportunities and the sums of their amounts; one without an amount counts with 0."""

    opportunities: int
    amounts: list[Money]


class Share(BaseModel):
    """An estimated share, and the band in which the true one lies in 19 of 20 cases."""

    value: PlainDecimal = Field(examples=["0.3000"])
    low: PlainDecimal = Field(examples=["0.2411"])
    high: PlainDecimal = Field(examples=["0.3662"])


class FunnelStage(BaseModel):
    """One stage of the funnel. Conversions are estimated from all that entered, each for as long as it was watched;
    they are null for closed stages, and where no opportunity was watched for long enough."""

    key: str
    name: str
    category: Category
    claimed: Total
    earned: Total
    entered: int = Field(description="opportunities that entered within the window, each once")
    judged: int = Field(description="got on or ended within the horizon, or were open for all of it")
    censored: int = Field(description="still open and younger than the horizon: not judged yet")
    reached_later: int = Field(description="reached a later open stage or won within the horizon")
    reached_next: int = Field(description="did so without skipping a stage")
    conversion: Share | None = Field(description="the share that reaches a later open stage or wins")
    strict_conversion: Share | None = Field(description="the share that does so without skipping a stage")
    median_days: int | None = Field(description="days after which half had got on or ended; null while not known")


class Funnel(BaseModel):
    """Where opportunities are, where the evidence puts them, and how they get on."""

    object_type: str
    pipeline_key: str
    pipeline_version: int
    since: datetime
    until: datetime
    horizon_days: int
    stages: list[FunnelStage]
    reassigned: int = Field(description="came from other pipelines within the window: no conversion counts them")
    unplaced: list[Aside] = Field(description="records of this type that no pipeline takes")
    quarantined: list[Aside] = Field(description="records of this type that are quarantined, whatever their stage")


class CurrencyGap(BaseModel):
    """The gap among the amounts of one currency."""

    currency: str = Field(examples=["EUR"])
    gap: PlainDecimal | None = Field(
        description="amount ahead ÷ open amount; null without open amount", examples=["0.25"]
    )


class Gap(BaseModel):
    """Open opportunities, and those of them that claim more than they earned."""

    open: Total
    ahead: Total
    gaps: list[CurrencyGap]
    mean_rank_gap: PlainDecimal | None = Field(description="stages ahead on average", examples=["0.50"])


class OwnerGap(Gap):
    """The gap of one owner."""

    owner_id: str


class OptimismGap(BaseModel):
    """How much of the open value is claimed further than the evidence reaches."""

    overall: Gap
    by_owner: list[OwnerGap]
    unplaced: list[Aside] = Field(description="records of this type that no pipeline takes")
    quarantined: list[Aside] = Field(description="records of this type that are quarantined, whatever their stage")
