"""Business time: by working hours, holidays and time zones, also where the clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stage_engine.domain.calendar import (
    DEFAULT,
    Calendar,
    Hours,
    add_business,
    business_between,
    business_days,
    faults,
    start_of,
)

BERLIN = Calendar("Europe/Berlin", DEFAULT.hours, frozenset({date(2026, 5, 1)}))
NIGHTS = Calendar("Europe/Berlin", tuple(Hours(day, 0, 6 * 60) for day in range(7)))
HOUR = timedelta(hours=1)


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Cairo", "Australia/Lord_Howe"]
    hours: list[Hours] = []
    for weekday in draw(st.sets(st.integers(0, 6), min_size=1)):
        edges = sorted(draw(st.sets(st.integers(0, 48), min_size=2, max_size=4)))
        hours += [Hours(weekday, a * 30, b * 30) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    holidays = draw(st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5))
    found = Calendar(draw(st.sampled_from(zones)), tuple(hours), holidays)
    assume(not list(faults(found)))
    return found


moments = st.integers(0, 330 * 86_400).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n))
durations = st.timedeltas(timedelta(0), timedelta(hours=60))


class TestBusinessTime:
    def test_a_lead_of_friday_evening_is_due_on_monday_morning(self) -> None:
        assert add_business(BERLIN, at("2026-03-06T16:55"), 2 * HOUR) == at("2026-03-09T10:55")

    def test_a_holiday_is_no_working_day(self) -> None:
        assert add_business(BERLIN, at("2026-04-30T16:30"), HOUR) == at("2026-05-04T09:30")
        assert business_between(BERLIN, at("2026-05-01T00:00"), at("2026-05-04T09:00")) == timedelta(0)

    def test_an_hour_in_which_the_clocks_change_is_as_long_as_any_other(self) -> None:
        spring, autumn = at("2026-03-29T00:00"), at("2026-10-25T00:00")
        assert business_between(NIGHTS, spring, at("2026-03-30T00:00")) == 5 * HOUR
        assert business_between(NIGHTS, autumn, at("2026-10-26T00:00")) == 7 * HOUR
        assert add_business(NIGHTS, spring, 5 * HOUR) == at("2026-03-29T06:00")

    def test_working_hours_within_the_jump_of_the_clock_begin_at_the_jump(self) -> None:
        inside = Calendar("Europe/Berlin", (Hours(6, 2 * 60 + 15, 4 * 60),))
        assert add_business(inside, at("2026-03-28T00:00"), timedelta(minutes=10)) == at("2026-03-29T03:10")

    def test_a_day_may_begin_with_the_jump_of_the_clock(self) -> None:
        cairo = Calendar("Africa/Cairo", DEFAULT.hours)
        assert start_of(cairo, date(2026, 4, 24)) == at("2026-04-24T01:00", "Africa/Cairo")

    @pytest.mark.parametrize("year", [2026, 8999])
    def test_what_was_left_by_other_hours_ends_within_the_calendar(self, year: int) -> None:
        """A subject that rests may get an owner who works an hour a week."""
        least = Calendar("Europe/Berlin", (Hours(0, 600, 660),), frozenset({date(2026, 5, 4)}))
        start = datetime(year, 1, 1, tzinfo=UTC)
        assert add_business(least, start, 2000 * HOUR).year == year + 38
        assert add_business(least, start, timedelta(days=20 * 365)).year == year + 59

    @given(calendars(), moments, durations)
    def test_adding_and_measuring_are_inverse(self, calendar: Calendar, start: datetime, duration: timedelta) -> None:
        assert business_between(calendar, start, add_business(calendar, start, duration)) == duration

    @given(calendars(), moments, durations, durations)
    def test_adding_is_monotone_and_additive(
        self, calendar: Calendar, start: datetime, first: timedelta, second: timedelta
    ) -> None:
        together = add_business(calendar, start, first + second)
        assert add_business(calendar, add_business(calendar, start, first), second) == together
        assert add_business(calendar, start, first) <= together

    @given(calendars(), moments, st.timedeltas(timedelta(0), timedelta(days=900)))
    def test_whole_months_are_as_long_as_their_days(
        self, calendar: Calendar, start: datetime, length: timedelta
    ) -> None:
        end, whole = start + length, timedelta(0)
        for number in range(length.days + 1):
            first = start + timedelta(days=number)
            whole += business_between(calendar, first, min(first + timedelta(days=1), end))
        assert business_between(calendar, start, end) == whole
        assert business_between(calendar, start, add_business(calendar, start, whole)) == whole

    @given(calendars(), moments, moments, moments)
    def test_measuring_is_additive_and_never_more_than_the_time(
        self, calendar: Calendar, first: datetime, second: datetime, third: datetime
    ) -> None:
        a, b, c = sorted((first, second, third))
        whole = business_between(calendar, a, c)
        assert business_between(calendar, a, b) + business_between(calendar, b, c) == whole
        assert timedelta(0) <= whole <= c - a


class TestCalendar:
    @pytest.mark.parametrize(
        ("hours", "said"),
        [
            ((), "at least one working hour"),
            ((Hours(0, 540, 560),), "at least one working hour"),
            ((Hours(0, 600, 540), Hours(1, 0, 1440)), "end after they begin"),
            ((Hours(0, 540, 720), Hours(0, 700, 800)), "must not overlap"),
        ],
    )
    def test_hours_that_people_could_not_work_by_are_named(self, hours: tuple[Hours, ...], said: str) -> None:
        assert any(said in fault for fault in faults(Calendar("UTC", hours)))

    def test_a_business_day_is_as_long_as_the_mean_working_day(self) -> None:
        assert (DEFAULT.day, list(faults(DEFAULT))) == (8 * HOUR, [])
        assert business_days(DEFAULT, 20 * HOUR) == 2
