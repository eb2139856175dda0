"""A person's figures beside those of the team: comparable, with how much they rest on, and no verdict on too little."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from statistics import median

from stage_engine.domain.figures.catalogue import Figure
from stage_engine.domain.figures.kinds import Row

# With fewer cases a figure says nothing of a person; with fewer people a median nothing of a team.
FEWEST_CASES = 5
FEWEST_PEOPLE = 3

# What a conversation is about, in its order.
COACHED = (
    "activities", "meetings", "created", "won", "win_rate", "conversion", "strict_conversion", "sales_cycle",
    "time_in_stage", "regress_rate", "rework_rate", "adherence", "override_rate", "optimism_gap", "stalled_rate",
    "rotten_rate", "slip_rate", "obligations_in_time", "time_to_meet",
)  # fmt: skip


class Verdict(StrEnum):
    """How a person's figure lies to the median of the team."""

    TOO_FEW = "too_few_to_judge"
    NO_TEAM = "no_team_to_compare"
    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a person and currency; `people` are those of the team whose figure rests on enough."""

    figure: Figure
    currency: str
    value: Decimal | None
    n: int
    team_median: Decimal | None
    people: int
    verdict: Verdict


def compared(figure: Figure, rows: Sequence[Row], person_id: str) -> list[Comparison]:
    """The figure of a person beside the team's, from rows by person; one for each currency that the person has."""
    own = {row.currency: row for row in rows if row.group == person_id}
    return [
        _comparison(figure, row, [each for each in rows if each.currency == row.currency]) for row in own.values()
    ] or [Comparison(figure, "", None, 0, _median(rows), _judged(rows), Verdict.TOO_FEW)]


def _comparison(figure: Figure, own: Row, team: Sequence[Row]) -> Comparison:
    middle = _median(team)
    return Comparison(figure, own.currency, own.value, own.n, middle, _judged(team), _verdict(figure, own, middle))


def _is_judged(row: Row) -> bool:
    return row.value is not None and row.n >= FEWEST_CASES


def _judged(rows: Iterable[Row]) -> int:
    return sum(_is_judged(row) for row in rows)


def _median(rows: Sequence[Row]) -> Decimal | None:
    values = [row.value for row in rows if _is_judged(row) and row.value is not None]
    return median(values) if len(values) >= FEWEST_PEOPLE else None


def _verdict(figure: Figure, own: Row, middle: Decimal | None) -> Verdict:
    if own.value is None or not _is_judged(own):
        return Verdict.TOO_FEW
    if middle is None:
        return Verdict.NO_TEAM
    if own.value == middle:
        return Verdict.SAME
    higher = figure.is_better_higher
    if higher is None:
        return Verdict.DIFFERENT
    return Verdict.BETTER if (own.value > middle) is higher else Verdict.WORSE


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """What a person did in a period, and what came of it."""

    person: str
    period: str
    activities: int
    meetings: int
    opportunities: int
    won: int


STEPS = ("activities", "meetings", "created", "won")


def funnel_of(counts: Mapping[str, Mapping[tuple[str, str], int]]) -> list[FunnelRow]:
    """The funnel from counts by person and period, one of each step."""
    places = sorted({place for step in STEPS for place in counts[step]}, key=lambda each: (each[1], each[0]))
    return [FunnelRow(*place, *(counts[step].get(place, 0) for step in STEPS)) for place in places]
