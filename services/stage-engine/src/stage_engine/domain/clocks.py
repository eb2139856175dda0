"""What is timed of an opportunity: durations, timers as a pipeline declares them and as they run, and holds."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from stage_engine.domain.actions import Action
from stage_engine.domain.calendar import NO_TIME, Calendar, add_business, business_between
from stage_engine.domain.value import value

_DURATION = re.compile(r"([0-9]{1,5})(m|h|d|w|bh|bd)")
_WALL = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# Ten years by the wall clock. In business time about a year of work: where little is done in a week, it takes many.
_MOST = {"m": 99_999, "h": 87_600, "d": 3650, "w": 520, "bh": 2000, "bd": 500}


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration such as `90d`, or `2bh` in business hours and `3bd` in business days."""

    number: int
    unit: str

    @property
    def in_business_time(self) -> bool:
        return self.unit.startswith("b")

    def length(self, calendar: Calendar) -> timedelta:
        """In the time that it counts in."""
        if self.unit == "bd":
            return self.number * calendar.day
        return self.number * (timedelta(hours=1) if self.unit == "bh" else _WALL[self.unit])

    def after(self, start: datetime, calendar: Calendar, times: int = 1) -> datetime:
        """When it is over, or so many of it in a row."""
        length = times * self.length(calendar)
        return add_business(calendar, start, length) if self.in_business_time else start + length

    def passed(self, start: datetime, end: datetime, calendar: Calendar) -> timedelta:
        """The time of its kind from one moment to a later one."""
        return business_between(calendar, start, end) if self.in_business_time else max(NO_TIME, end - start)

    def resumed(self, now: datetime, left: timedelta, calendar: Calendar) -> datetime:
        """When what was left is over."""
        return add_business(calendar, now, left) if self.in_business_time else now + left


@lru_cache(1024)
def duration_of(text: str) -> Duration:
    """The duration of a text, ValueError where it is none, no time at all, or too long."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration such as 30m, 36h, 90d, 2w, or 2bh and 3bd in business time")
    number, unit = int(match[1]), match[2]
    if not number:
        raise ValueError(f"{text} is no time at all; at least 1{unit} is allowed")
    if number > _MOST[unit]:
        raise ValueError(f"{text} is too long; at most {_MOST[unit]}{unit} are allowed")
    return Duration(number, unit)


class Starts(StrEnum):
    """From when a timer runs: from entering its stage, from the first sight of the opportunity, or from the moment that
    a fact holds, or from when a fact of another type was observed."""

    ON_ENTRY = "on_entry"
    ON_FIRST_SIGHT = "on_first_sight"
    AFTER_FACT = "after_fact"


# So begin the keys of timers that are the engine's own.
ENGINES_OWN = "@"


@dataclass(frozen=True, slots=True)
class Timer:
    """When it fires, `timers.<key>.fired` becomes true, or counts up where it repeats; rules that read it decide.
    It moves nothing by itself."""

    key: str
    after: str
    starts: Starts = Starts.ON_ENTRY
    # Of `after_fact`.
    fact: str = ""
    # A duration between firings; empty: it fires once.
    repeats: str = ""
    # What it asks for each time it fires, whatever rules make of it.
    actions: tuple[Action, ...] = ()

    @property
    def name(self) -> str:
        return self.key

    @property
    def reads(self) -> str:
        """The fact that tells of it."""
        return f"timers.{self.key}.fired"


@dataclass(frozen=True, slots=True)
class Obligation:
    """What the owner owes `within` a time: met once `met_by`, a fact such as `activity.call.last_at`, meets `cell`. The
    time runs from the entry into `stage_key`, or any stage, or from the first sight, and again after each `repeats`."""

    key: str
    name: str
    within: str
    met_by: str
    cell: str = "known"
    starts: Starts = Starts.ON_ENTRY
    # Of `on_entry`; empty: every open stage.
    stage_key: str = ""
    repeats: str = ""


@value
class Running:
    """A timer of an opportunity. `anchor` is the moment that it counts from, `set_by` the number of the decision that
    set it: both together with its key are its identity. `due` is None while it is paused, with what was left, and when
    it is over."""

    anchor: datetime
    set_by: int
    visit_no: int
    due: datetime | None
    left: timedelta | None = None
    fired: int = 0


@value
class Hold:
    """The opportunity is put off: rules do not move it, its clocks rest. It goes on at `until`, when `fact` meets
    `cell`, or when a person says so."""

    since: datetime
    until: datetime | None
    fact: str
    cell: str
    reason: str
    actor: str
    # As it was asked for, where it was a date.
    until_day: date | None = None


@value
class Held:
    """For how long it was put off: in this visit by the wall clock and in business time, and since its creation."""

    visit: timedelta = NO_TIME
    visit_business: timedelta = NO_TIME
    ever: timedelta = NO_TIME
    # When it last went on.
    last_end: datetime | None = None


NEVER_HELD = Held()
