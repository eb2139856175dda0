"""Business hours."""

from datetime import date
from enum import StrEnum

from kit.http.read_back import ReadBack
from pydantic import BaseModel, ConfigDict, Field

from stage_engine.domain.calendar import Calendar, Hours

_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
SCOPE = r"^(tenant|(team|person):[A-Za-z0-9]{1,64})$"


class Weekday(StrEnum):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


_WEEK = tuple(Weekday)


class HoursBody(BaseModel):
    """Working hours of one weekday, by the wall clock of the time zone."""

    model_config = ConfigDict(extra="forbid")

    weekday: Weekday
    opens: str = Field(pattern=_TIME, examples=["09:00"])
    closes: str = Field(pattern=_TIME, examples=["17:00"], description="24:00 is the end of the day")


class CalendarBody(ReadBack):
    """When people work."""

    only_read = frozenset({"scope", "revision"})
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "zone": "Europe/Berlin",
                    "hours": [{"weekday": "monday", "opens": "09:00", "closes": "17:00"}],
                    "holidays": ["2026-12-25"],
                }
            ]
        },
    )

    zone: str = Field(max_length=64, description="a name of the IANA time zone database", examples=["Europe/Berlin"])
    hours: list[HoursBody] = Field(min_length=1, max_length=50, description="at least an hour in a week")
    holidays: list[date] = Field(default=[], max_length=1000)

    def calendar(self) -> Calendar:
        hours = (Hours(_WEEK.index(h.weekday), _minutes(h.opens), _minutes(h.closes)) for h in self.hours)
        in_order = sorted(hours, key=lambda each: (each.weekday, each.opens))
        return Calendar(self.zone, tuple(in_order), frozenset(self.holidays))


class CalendarOut(CalendarBody):
    """Business hours as they are in force."""

    scope: str
    revision: int


def shown(scope: str, revision: int, calendar: Calendar) -> CalendarOut:
    """The calendar as it was put."""
    return CalendarOut(
        scope=scope,
        revision=revision,
        zone=calendar.zone,
        hours=[
            HoursBody(weekday=_WEEK[h.weekday], opens=_time(h.opens), closes=_time(h.closes)) for h in calendar.hours
        ],
        holidays=sorted(calendar.holidays),
    )


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
