"""What owners owe."""

from datetime import date, datetime

from kit.contracts.wire import PlainDecimal
from pydantic import BaseModel, Field

from stage_engine.domain.owed import OwedState


class Obligation(BaseModel):
    """What an owner owes or owed by a time."""

    opportunity_id: str
    object_type: str
    pipeline_key: str
    key: str = Field(examples=["first_call"])
    made_at: datetime
    due: datetime
    owner_id: str = Field(description="whose it is while it is open, and was when it was settled")
    state: OwedState = Field(description="late: missed, and met afterwards")
    met_at: datetime | None
    by: str = Field(description="who met it; empty while it is not met")
    source: str = Field(description="where the subject came from; empty where that is not known", examples=["Web"])
    hour: int = Field(description="of the day by the owner's clock, in which it was made")
    wall_seconds: int | None = Field(description="from then until it was met")
    business_seconds: int | None = Field(description="the same in the owner's working hours")


class OwedOut(BaseModel):
    """What the owner of a subject owes or owed by a time."""

    key: str
    made_at: datetime
    due: datetime
    owner_id: str
    state: OwedState
    met_at: datetime | None
    by: str


class OwedTotal(BaseModel):
    """What came due in a period, of a person, or of all who report to one. Cancelled ones are left out."""

    who: str = Field(description="the owner, or the manager of the owners; empty where none is known")
    period: date = Field(description="its first day")
    key: str
    owed: int = Field(description="met + late + missed + open")
    met: int
    late: int
    missed: int
    open: int
    not_in_time: list[str] = Field(description="subjects of what was late or missed, up to 100, the longest due first")


class NotReport(BaseModel):
    """Who did not do all that was owed."""

    since: datetime
    until: datetime
    totals: list[OwedTotal]


class LeadTime(BaseModel):
    """How long it took. One that was never met took longer than any: a median or p90 that falls on such is null."""

    group: str = Field(description="the owner, hour or source; empty in all, and where it is not known")
    judged: int = Field(description="n: their time is over, or they were met")
    censored: int = Field(description="still open: not judged yet")
    met: int
    in_time: int
    share_in_time: PlainDecimal | None = Field(description="in_time ÷ judged; null without any", examples=["0.75"])
    wall_median: int | None = Field(description="seconds")
    wall_p90: int | None = Field(description="seconds")
    business_median: int | None = Field(description="seconds of working hours")
    business_p90: int | None = Field(description="seconds of working hours")


class SpeedToLead(BaseModel):
    """How fast leads were called: from when the obligation was made until it was met."""

    key: str
    since: datetime
    until: datetime
    overall: LeadTime
    by_owner: list[LeadTime]
    by_hour: list[LeadTime]
    by_source: list[LeadTime]
