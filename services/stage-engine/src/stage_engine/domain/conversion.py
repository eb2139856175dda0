"""Conversion from opportunities of which some are still under way.

To leave out the young ones that have not got on would count mostly those that did. So every opportunity counts for as
long as it was watched: the Aalen-Johansen estimator of getting on, with being lost as the competing end.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

# Of the normal distribution: 95 percent lie within.
_Z = 1.959964


class End(StrEnum):
    """What became of an entry: reached the very next stage, a later one or a win, ended without, or still open."""

    NEXT = "next"
    LATER = "later"
    ENDED = "ended"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Watched:
    """Entries that ended so, or were last seen open, after this number of whole days."""

    day: int
    end: End
    entries: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with the band in which the true one lies in 19 of 20 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the entries of one stage got on. `censored` were open for less than the horizon, the others are `judged`.
    The estimates are None where no entry was watched for long enough to say; `median_days` is when half had got on or
    ended, None while that is not known."""

    entered: int
    judged: int
    reached: int
    reached_next: int
    conversion: Estimate | None
    strict: Estimate | None
    median_days: int | None

    @property
    def censored(self) -> int:
        return self.entered - self.judged


NOTHING = Conversion(0, 0, 0, 0, None, None, None)

_GOT_ON = frozenset({End.NEXT, End.LATER})


def conversion_of(watched: Iterable[Watched], horizon_days: int) -> Conversion:
    """What these entries say of the share that gets on within the horizon."""
    ends: dict[int, Counter[End]] = {}
    full = entered = 0
    for each in watched:
        entered += each.entries
        if each.day >= horizon_days:
            full += each.entries
        else:
            ends.setdefault(each.day, Counter())[each.end] += each.entries
    total: Counter[End] = sum(ends.values(), Counter())
    known = full > 0 or (entered > 0 and total[End.OPEN] == 0) or _all_left(ends, entered)
    return Conversion(
        entered=entered,
        judged=entered - total[End.OPEN],
        reached=total[End.NEXT] + total[End.LATER],
        reached_next=total[End.NEXT],
        conversion=_share(ends, entered, _GOT_ON) if known else None,
        strict=_share(ends, entered, frozenset({End.NEXT})) if known else None,
        median_days=_median(ends, entered),
    )


def _all_left(ends: dict[int, Counter[End]], entered: int) -> bool:
    """Whether the last entries watched ended, so that nothing is left to happen."""
    return bool(ends) and ends[max(ends)][End.OPEN] == 0 and entered > 0


def _share(ends: dict[int, Counter[End]], entered: int, of: frozenset[End]) -> Estimate:
    """The cumulative incidence at the horizon; its variance by the delta method."""
    steps: list[tuple[int, int, int, float]] = []
    at_risk, left, incidence = entered, 1.0, 0.0
    incidences: list[float] = []
    for day in sorted(ends):
        happened = ends[day]
        hits, left_now = sum(happened[end] for end in of), happened.total() - happened[End.OPEN]
        steps.append((at_risk, hits, left_now, left))
        incidence += left * hits / at_risk
        incidences.append(incidence)
        left *= 1 - left_now / at_risk
        at_risk -= happened.total()
    variance = 0.0
    for (n, hits, ended, before), so_far in zip(steps, incidences, strict=True):
        rest = incidence - so_far
        if ended < n:
            variance += rest**2 * ended / (n * (n - ended))
        variance += before**2 * hits * (n - hits) / n**3 - 2 * rest * before * hits / n**2
    return _band(incidence, variance, entered)


def _band(share: float, variance: float, entered: int) -> Estimate:
    """Wilson's interval for as many observations as would have this variance."""
    n = share * (1 - share) / variance if variance > 1e-12 and 0 < share < 1 else entered
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


def _median(ends: dict[int, Counter[End]], entered: int) -> int | None:
    at_risk, left = entered, 1.0
    for day in sorted(ends):
        left *= 1 - (ends[day].total() - ends[day][End.OPEN]) / at_risk
        if left <= 0.5:
            return day
        at_risk -= ends[day].total()
    return None
