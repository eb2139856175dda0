"""What a figure is, and how its value follows from what was counted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from math import sqrt

# Of the normal distribution: 95 percent lie within.
_Z = 1.959964
_PLACES = Decimal("0.0001")
_DAY = 86_400


class Unit(StrEnum):
    """What the value is in."""

    SHARE = "share"
    RATIO = "ratio"
    DAYS = "days"
    COUNT = "count"
    STAGES = "stages"
    AMOUNT = "amount"
    AMOUNT_PER_DAY = "amount_per_day"


class Group(StrEnum):
    """By what a figure can be cut. Person and team are those of the time that is counted."""

    PERSON = "person"
    TEAM = "team"
    PIPELINE = "pipeline"
    STAGE = "stage"
    SEGMENT = "segment"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    PATH = "path"
    RULE = "rule"
    CATEGORY = "category"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted of one group, currency and part: `extra` is a third sum, for figures that need it; the `p...`
    are percentiles of single numerators, by nearest rank."""

    group: str
    currency: str
    part: str
    n: int
    numerator: Decimal
    denominator: Decimal
    extra: Decimal
    censored: int
    excluded: int
    p50: Decimal | None = None
    p75: Decimal | None = None
    p90: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of one group and currency. `low` and `high` are Wilson's band of a share of cases; percentiles and mean
    are those of times."""

    group: str
    currency: str
    value: Decimal | None
    n: int
    numerator: Decimal
    denominator: Decimal
    censored: int
    excluded: int
    low: Decimal | None = None
    high: Decimal | None = None
    p75: Decimal | None = None
    p90: Decimal | None = None
    mean: Decimal | None = None
    stated: Decimal | None = None


def rounded(value: Fraction | Decimal | float | int) -> Decimal:
    """To four places, halves up."""
    exact = Fraction(value)
    with localcontext(prec=60):
        return (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(_PLACES, ROUND_HALF_UP)


def quotient(part: Decimal | Fraction, whole: Decimal | Fraction) -> Fraction | None:
    """None when there is nothing to divide by."""
    return Fraction(part) / Fraction(whole) if whole else None


def wilson(hits: int, n: int) -> tuple[Decimal, Decimal] | None:
    """The band in which the true share lies in 19 of 20 cases."""
    if n == 0:
        return None
    share = hits / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return rounded(max(0.0, centre - half)), rounded(min(1.0, centre + half))


Value = Callable[[Sequence[Tally]], Fraction | None]


def _sums(parts: Sequence[Tally]) -> tuple[Decimal, Decimal, Decimal]:
    return (
        sum((each.numerator for each in parts), Decimal(0)),
        sum((each.denominator for each in parts), Decimal(0)),
        sum((each.extra for each in parts), Decimal(0)),
    )


def _quotient(parts: Sequence[Tally]) -> Fraction | None:
    return quotient(*_sums(parts)[:2])


def _sum(parts: Sequence[Tally]) -> Fraction | None:
    return Fraction(_sums(parts)[0])


def _median_days(parts: Sequence[Tally]) -> Fraction | None:
    found = parts[0].p50
    return None if found is None else Fraction(found) / _DAY


def _median(parts: Sequence[Tally]) -> Fraction | None:
    found = parts[0].p50
    return None if found is None else Fraction(found)


def _mean_days(parts: Sequence[Tally]) -> Fraction | None:
    found = _quotient(parts)
    return None if found is None else found / _DAY


def _velocity(parts: Sequence[Tally]) -> Fraction | None:
    """Qualified × won ÷ qualified × mean value ÷ mean days: what remains is value × won ÷ days."""
    value, seconds, won = _sums(parts)
    return quotient(Fraction(value) * Fraction(won) * _DAY, Fraction(seconds))


def _accuracy(parts: Sequence[Tally]) -> Fraction | None:
    forecast, actual, _ = _sums(parts)
    missed = quotient(abs(forecast - actual), actual)
    return None if missed is None else 1 - missed


def _absolute_error(parts: Sequence[Tally]) -> Fraction | None:
    """Of all parts, each a person: only of those that won something is there a share to miss by."""
    judged = [each for each in parts if each.denominator]
    missed = sum((abs(each.numerator - each.denominator) for each in judged), Decimal(0))
    return quotient(missed, sum((each.denominator for each in judged), Decimal(0)))


def _bias(parts: Sequence[Tally]) -> Fraction | None:
    forecast, actual, _ = _sums(parts)
    return quotient(forecast - actual, actual)


def _widest_gap(parts: Sequence[Tally]) -> Fraction | None:
    """Of all parts the largest distance of what is documented, the denominator, from what is so, the numerator."""
    gaps = [quotient(abs(each.denominator - each.numerator), each.numerator) for each in parts]
    return max((gap for gap in gaps if gap is not None), default=None)


class Kind(StrEnum):
    """How the value follows from what was counted."""

    SHARE = "share"
    QUOTIENT = "quotient"
    SUM = "sum"
    MEDIAN_DAYS = "median_days"
    MEDIAN = "median"
    MEAN_DAYS = "mean_days"
    VELOCITY = "velocity"
    ACCURACY = "accuracy"
    ABSOLUTE_ERROR = "absolute_error"
    BIAS = "bias"
    WIDEST_GAP = "widest_gap"

    @property
    def has_percentiles(self) -> bool:
        return self in (Kind.MEDIAN_DAYS, Kind.MEDIAN)


_VALUES: dict[Kind, Value] = {
    Kind.SHARE: _quotient,
    Kind.QUOTIENT: _quotient,
    Kind.SUM: _sum,
    Kind.MEDIAN_DAYS: _median_days,
    Kind.MEDIAN: _median,
    Kind.MEAN_DAYS: _mean_days,
    Kind.VELOCITY: _velocity,
    Kind.ACCURACY: _accuracy,
    Kind.ABSOLUTE_ERROR: _absolute_error,
    Kind.BIAS: _bias,
    Kind.WIDEST_GAP: _widest_gap,
}


def row_of(kind: Kind, parts: Sequence[Tally]) -> Row:
    """The figure of one group and currency from its parts."""
    first, (numerator, denominator, extra) = parts[0], _sums(parts)
    n = sum(each.n for each in parts)
    value = _VALUES[kind](parts) if n else None
    is_share = kind is Kind.SHARE and numerator == int(numerator) and denominator == n
    band = wilson(int(numerator), n) if is_share else None
    scale = _DAY if kind is Kind.MEDIAN_DAYS else 1
    mean = quotient(numerator, denominator) if kind.has_percentiles and n else None
    return Row(
        group=first.group,
        currency=first.currency,
        value=None if value is None else rounded(value),
        n=n,
        numerator=numerator,
        denominator=denominator,
        censored=sum(each.censored for each in parts),
        excluded=sum(each.excluded for each in parts),
        low=None if band is None else band[0],
        high=None if band is None else band[1],
        p75=None if first.p75 is None else rounded(Fraction(first.p75) / scale),
        p90=None if first.p90 is None else rounded(Fraction(first.p90) / scale),
        mean=None if mean is None else rounded(mean / scale),
        stated=rounded(Fraction(extra) / n) if kind is Kind.SHARE and extra and n else None,
    )


def rows_of(kind: Kind, tallies: Iterable[Tally]) -> list[Row]:
    """The figure of each group and currency, in the order of both."""
    found: dict[tuple[str, str], list[Tally]] = {}
    for each in tallies:
        found.setdefault((each.group, each.currency), []).append(each)
    return [row_of(kind, found[place]) for place in sorted(found)]
