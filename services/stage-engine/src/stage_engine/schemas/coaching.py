"""A person beside the team, and the funnel from activities to wins."""

from datetime import datetime

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, Field

from stage_engine.domain.figures.coaching import Verdict
from stage_engine.domain.figures.kinds import Group, Unit


class Comparison(BaseModel):
    """One figure of the person beside the team's median."""

    key: str
    title: str
    unit: Unit
    currency: str
    value: PlainDecimal | None
    n: int = Field(description="cases that the person's value rests on")
    team_median: PlainDecimal | None = Field(description="null where fewer than three have enough cases")
    people: int = Field(description="people of the team with enough cases")
    verdict: Verdict


class CoachingOut(BaseModel):
    """A person beside those who report to the same manager."""

    person: str
    since: datetime | None = Field(serialization_alias="from")
    until: datetime | None = Field(serialization_alias="to")
    fewest_cases: int = Field(description="with fewer cases a figure is too few to judge")
    figures: list[Comparison]


class FunnelRow(BaseModel):
    """What a person did in a period, and what came of it."""

    person: str
    period: str = Field(examples=["2026-03"])
    activities: int
    meetings: int
    opportunities: int = Field(description="created in the period")
    won: int = Field(description="won in the period")


class ActivityFunnel(BaseModel):
    """From activities to wins, by person and period."""

    since: datetime | None = Field(serialization_alias="from")
    until: datetime | None = Field(serialization_alias="to")
    period: Group
    rows: list[FunnelRow]
