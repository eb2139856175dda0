"""The circuit breaker of a pipeline: rules that move unusually many subjects are held back until a person looks."""

from dataclasses import dataclass
from datetime import timedelta

from stage_engine.domain.clocks import duration_of


@dataclass(frozen=True, slots=True)
class Breaker:
    """It opens when rules have moved at least so many subjects within the window, and so many `times` as many as they
    usually do in such a time: on average over `trailing`, the time before the window."""

    window: str = "1h"
    trailing: str = "7d"
    times: int = 5
    at_least: int = 50

    def __str__(self) -> str:
        return f"from {self.at_least} moves in {self.window} on, {self.times} times those of {self.trailing}"


def length_of(text: str) -> timedelta:
    """A duration by the wall clock; ValueError for one in business time."""
    duration = duration_of(text)
    if duration.in_business_time:
        raise ValueError(f"{text} is in business time; a breaker looks at the wall clock")
    return timedelta(**{_UNITS[duration.unit]: duration.number})


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def opens(breaker: Breaker, recent: int, trailing: int) -> bool:
    """Whether so many moves in the window are abnormal, beside those of the trailing time."""
    usual = trailing * (length_of(breaker.window) / length_of(breaker.trailing))
    return recent >= breaker.at_least and recent > breaker.times * usual
