"""Putting an opportunity off, and going on with it."""

from datetime import date, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stage_engine.schemas.moments import Moment
from stage_engine.schemas.pipelines import ConditionBody


class HoldBody(BaseModel):
    """Until when: a time, a date by the business hours of the owner, or a fact; with none of them until a person
    resumes it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"reason": "The budget comes with the new year.", "until_date": "2027-01-11"},
                {
                    "reason": "A decision maker is missing.",
                    "until_fact": {"fact": "contacts.decision_makers", "cell": "> 0"},
                },
            ]
        },
    )

    reason: str = Field(min_length=1, max_length=2000)
    until: Moment | None = None
    until_date: date | None = Field(None, description="from the beginning of this day on it goes on")
    until_fact: ConditionBody | None = Field(None, description="a fact that the pipeline reads")

    @model_validator(mode="after")
    def _names_one_time(self) -> Self:
        if self.until is not None and self.until_date is not None:
            raise ValueError("name a time or a date, not both")
        if self.until_date is not None and not 1970 <= self.until_date.year < 9000:
            raise ValueError("the date must lie between 1970 and 9000")
        return self


class ResumeBody(BaseModel):
    """Why it goes on."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=2000)


class HoldOut(BaseModel):
    """Since when an opportunity is on hold, and until when: rules do not move it, and its clocks rest."""

    since: datetime
    until: datetime | None
    until_fact: ConditionBody | None
    reason: str
    actor: str


class TimerOut(BaseModel):
    """A timer: when it fires next, null while it is paused and when it is over, and how often it has fired."""

    key: str
    due: datetime | None
    paused: bool
    fired: int
