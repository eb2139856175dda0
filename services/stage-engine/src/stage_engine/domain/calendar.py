"""Business time: the hours in which people work, by the wall clock of where they do.

Business time passes only within working hours and is measured in elapsed time, so an hour in which the clocks change is
as long as any other. A wall clock that jumps over a time shows it at the moment of the jump; one that shows a time
twice means the first.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from stage_engine.domain.value import value

NO_TIME = timedelta(0)
# Nothing is timed from before or after: adding the longest duration stays within the calendar.
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
# What takes longer than the longest duration at an hour a week, as where the hours change meanwhile, takes so long.
_LONGEST = timedelta(days=60 * 365)
_MINUTES_OF_A_DAY = 1440
# With less, business time would take years to pass.
_LEAST_MINUTES_OF_A_WEEK = 60


@value
class Hours:
    """Working hours of one weekday, Monday is 0, in minutes after midnight; 1440 is the midnight that ends the day."""

    weekday: int
    opens: int
    closes: int


@value
class Calendar:
    """When people work. Hours of a weekday neither overlap nor are they empty; there are some in a week. `name` says
    which revision of whose calendar it is, empty of the one that is built in."""

    zone: str
    hours: tuple[Hours, ...]
    holidays: frozenset[date] = frozenset()
    name: str = ""

    @property
    def day(self) -> timedelta:
        """The length of a business day: the mean of the days of the week that have working hours."""
        minutes = sum(each.closes - each.opens for each in self.hours)
        return timedelta(minutes=minutes) / len({each.weekday for each in self.hours})


DEFAULT = Calendar("UTC", tuple(Hours(weekday, 9 * 60, 17 * 60) for weekday in range(5)))


def faults(calendar: Calendar) -> Iterator[str]:
    """Why no person could work by it."""
    last: Hours | None = None
    for each in sorted(calendar.hours, key=lambda each: (each.weekday, each.opens)):
        if not 0 <= each.opens < each.closes <= _MINUTES_OF_A_DAY:
            yield "working hours end after they begin, within one day: cut a night shift at 24:00"
        elif last is not None and last.weekday == each.weekday and each.opens < last.closes:
            yield "working hours of one day must not overlap"
        last = each
    if sum(each.closes - each.opens for each in calendar.hours) < _LEAST_MINUTES_OF_A_WEEK:
        yield "a week needs at least one working hour"


def add_business(calendar: Calendar, start: datetime, duration: timedelta) -> datetime:
    """The first moment at which so much business time has passed since `start`: that moment itself for no time."""
    if duration <= NO_TIME:
        return start
    left, first = duration, _date(calendar, start) - _DAY
    day = first
    while day <= first + _LONGEST:
        if day.day == 1 and day > first + 2 * _DAY and (month := _of_month(calendar, day)) < left:
            left, day = left - month, _first_of_next_month(day)
            continue
        for opens, closes in _of_day(calendar, day):
            begins = max(opens, start)
            if closes > start and closes - begins >= left:
                return begins + left
            left -= max(NO_TIME, closes - begins)
        day += _DAY
    return start + _LONGEST


def business_between(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """How much business time passes from one moment to a later one; none when it is not later."""
    passed = NO_TIME
    if end <= start:
        return passed
    first, last = _date(calendar, start) - _DAY, _date(calendar, end) + _DAY
    day = first
    while day <= last:
        if day.day == 1 and day > first + 2 * _DAY and _first_of_next_month(day) < last - 2 * _DAY:
            passed, day = passed + _of_month(calendar, day), _first_of_next_month(day)
            continue
        for opens, closes in _of_day(calendar, day):
            passed += max(NO_TIME, min(closes, end) - max(opens, start))
        day += _DAY
    return passed


def business_days(calendar: Calendar, passed: timedelta) -> Decimal:
    """Whole business days in a duration of business time."""
    return Decimal(passed // calendar.day)


def start_of(calendar: Calendar, day: date) -> datetime:
    """When a date begins by this calendar's wall clock."""
    return _moment(calendar.zone, day, 0)


def _date(calendar: Calendar, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(calendar.zone)).date()


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + 32 * _DAY).replace(day=1)


@lru_cache(8192)
def _of_month(calendar: Calendar, first: date) -> timedelta:
    """The business time of a whole month, so that long durations do not go day by day."""
    days = (first + number * _DAY for number in range((_first_of_next_month(first) - first).days))
    return sum((closes - opens for day in days for opens, closes in _of_day(calendar, day)), NO_TIME)


@lru_cache(8192)
def _of_day(calendar: Calendar, day: date) -> tuple[tuple[datetime, datetime], ...]:
    if day in calendar.holidays:
        return ()
    found = (
        (_moment(calendar.zone, day, each.opens), _moment(calendar.zone, day, each.closes))
        for each in sorted(calendar.hours, key=lambda each: each.opens)
        if each.weekday == day.weekday()
    )
    return tuple((opens, closes) for opens, closes in found if opens < closes)


def _moment(zone: str, day: date, minute: int) -> datetime:
    """The first moment at which the wall clock shows this time, or a later one of a time that it jumps over."""
    place = ZoneInfo(zone)
    local = datetime.combine(day, time()) + timedelta(minutes=minute)
    late = local.replace(tzinfo=place, fold=0).astimezone(UTC)
    if late.astimezone(place).replace(tzinfo=None) == local:
        return late
    early = local.replace(tzinfo=place, fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(place).replace(tzinfo=None) < local:
            early = middle
        else:
            late = middle
    return late
