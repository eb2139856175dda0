"""Score bands: a score as one of at most ten classes, few enough that past cases accumulate in each."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from kit.numbers import plain

MOST_BANDS = 10
_LOWEST = re.compile(r"\[?(-?\d+(?:\.\d+)?)")

#: The band of a submission whose score an unanswered question blocks: a class of its own, never imputed.
INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Banding:
    """A partition of one profile's scores into consecutive bands.

    `edges` are the bands' lowest scores, ascending; a score below the first belongs to the first. Names carry
    the range and the unit ("70", "10..30", "[40,50)%"), so that two versions of a profile share a band
    exactly when it means the same range.
    """

    edges: tuple[Decimal, ...]
    names: tuple[str, ...]

    def band(self, score: Decimal | None) -> str:
        if score is None:
            return INCOMPLETE
        return self.names[max(bisect_right(self.edges, score) - 1, 0)]


def banding(
    *, percent: bool, reachable_min: Decimal, reachable_max: Decimal, reachable_scores: Sequence[Decimal]
) -> Banding:
    """The bands of a profile, from the scores that can occur at all.

    Up to ten listed scores are a band each; more are cut into ten runs of equally many; without a list the
    range is cut into tenths: of the raw bounds, or of 0 to 100 when rules compare percentages.
    """
    unit = "%" if percent else ""
    if reachable_scores:
        return _listed(sorted(set(reachable_scores)), unit)
    return _tenths(Decimal(0), Decimal(100), unit) if percent else _tenths(reachable_min, reachable_max, unit)


def band_order(name: str) -> tuple[bool, Decimal]:
    """A key that sorts band names by their lowest score, the blocked ones first."""
    lowest = _LOWEST.match(name)
    return (True, Decimal(lowest.group(1))) if lowest else (False, Decimal(0))


def _listed(scores: Sequence[Decimal], unit: str) -> Banding:
    count = min(len(scores), MOST_BANDS)
    cuts = [index * len(scores) // count for index in range(count + 1)]
    runs = [scores[start:end] for start, end in pairwise(cuts)]
    return Banding(tuple(run[0] for run in runs), tuple(_run_name(run, unit) for run in runs))


def _run_name(run: Sequence[Decimal], unit: str) -> str:
    if len(run) == 1:
        return f"{plain(run[0])}{unit}"
    return f"{plain(run[0])}..{plain(run[-1])}{unit}"


def _tenths(low: Decimal, high: Decimal, unit: str) -> Banding:
    if high <= low:
        return Banding((low,), (f"{plain(low)}{unit}",))
    edges = [low + (high - low) * index / MOST_BANDS for index in range(MOST_BANDS)]
    names = [f"[{plain(a)},{plain(b)}){unit}" for a, b in pairwise(edges)]
    return Banding(tuple(edges), (*names, f"[{plain(edges[-1])},{plain(high)}]{unit}"))
