"""Figures over HTTP: what there is, rows and the cases behind them."""

from datetime import datetime
from typing import Literal

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, Field

from stage_engine.domain.figures.kinds import Group, Unit


class FigureSummary(BaseModel):
    """A figure and how it is counted."""

    key: str = Field(examples=["conversion"])
    title: str
    formula: str
    unit: Unit
    period: str = Field(description="what `from` and `to` bound")
    censored: str = Field(description="what is too young to judge, and counted apart")
    excluded: str = Field(description="what is left out, and counted apart")
    group_by: list[Group] = Field(description="what it can be cut by")
    filters: list[str] = Field(description="which cases can be asked for")
    has_horizon: bool = Field(description="cases are judged `horizon_days` after they began")
    in_currency: bool = Field(description="a row for each currency: amounts are never mixed")


class LeftOut(BaseModel):
    """A figure that is not given here, and why."""

    key: str
    reason: str


class FigureList(BaseModel):
    """All figures, and what is left out."""

    figures: list[FigureSummary]
    left_out: list[LeftOut]


class FigureRow(BaseModel):
    """One group. `n` are the cases that were counted."""

    group: str = Field(description="empty for all together, and where the group is not known")
    currency: str = Field(description="of amounts; empty in an org of one, and of other figures", examples=["EUR"])
    value: PlainDecimal | None = Field(description="null when there is nothing to divide by", examples=["0.4286"])
    n: int
    numerator: PlainDecimal
    denominator: PlainDecimal
    censored: int
    excluded: int
    low: PlainDecimal | None = Field(None, description="of a share of cases: the lower end of Wilson's band")
    high: PlainDecimal | None = Field(
        None, description="of a share of cases: its upper end; in 19 of 20 times the true one is within"
    )
    p75: PlainDecimal | None = Field(None, description="of a median: the third quartile, by nearest rank")
    p90: PlainDecimal | None = Field(None, description="of a median: nine in ten are below, by nearest rank")
    mean: PlainDecimal | None = Field(None, description="of a median: the mean, never mixed with it")
    stated: PlainDecimal | None = Field(None, description="of reliability: the mean of the stated probabilities")


class FigureOut(BaseModel):
    """A figure of a period, by group."""

    key: str
    title: str
    formula: str
    unit: Unit
    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    as_of: datetime
    horizon_days: int
    group_by: Group | None
    rows: list[FigureRow]
    has_more: bool = Field(description="there are more groups: ask for a shorter period or of fewer people")


class CaseOut(BaseModel):
    """A case behind a row."""

    opportunity_id: str
    number: int = Field(description="the revision or decision of the opportunity that makes the case")
    at: datetime
    state: Literal["counted", "censored", "excluded"]
    group: str
    currency: str
    numerator: PlainDecimal | None = Field(description="null of what never came")
    denominator: PlainDecimal
