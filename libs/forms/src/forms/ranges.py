"""Finds overlaps and holes among the ranges that the labels of one question speak of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from forms.labels import LabelRange, alike, parse_label


@dataclass(frozen=True, slots=True)
class Overlap:
    first: LabelRange
    second: LabelRange
    witness: Decimal


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers no label covers, after `below` (None: from 0) and before `above`."""

    below: LabelRange | None
    above: LabelRange
    witness: Decimal


@dataclass(frozen=True, slots=True)
class MixedUnits:
    """Two labels that count different things, so that their numbers say nothing about each other."""

    first: LabelRange
    second: LabelRange


def inspect_labels(labels: Sequence[str]) -> Iterator[Overlap | Hole | MixedUnits]:
    """Overlaps and holes among the labels of one question, when at least two of them are true ranges.

    Labels that are not ranges ("I do not know") are ignored. Two neighbours whose bounds are whole numbers
    one apart ("1-2", "3-4") count whole things and leave no hole. Labels with different units are never compared.
    """
    ranges = [found for found in map(parse_label, labels) if found is not None]
    true_ranges = [found for found in ranges if found.lower != found.upper]
    if len(true_ranges) < 2:
        return
    longest = max(true_ranges, key=lambda found: len(found.unit))
    other = next((found for found in true_ranges if not alike(found.unit, longest.unit)), None)
    if other is None:
        yield from _inspect([found for found in ranges if alike(found.unit, longest.unit)])
        return
    yield MixedUnits(*sorted((longest, other), key=true_ranges.index))
    # What another unit covers is not known here, so a hole cannot be found.
    for unit in dict.fromkeys(found.unit for found in true_ranges):
        same = [found for found in ranges if found.unit == unit]
        yield from (found for found in _inspect(same) if isinstance(found, Overlap))


def _inspect(ranges: list[LabelRange]) -> Iterator[Overlap | Hole]:
    ranges.sort(key=lambda found: (found.lower is not None, found.lower or 0, not found.includes_lower))
    lowest = ranges[0]
    if lowest.lower is not None and lowest.lower >= 0 and not _contains(lowest, Decimal(0)):
        yield Hole(None, lowest, Decimal(0))
    reach = lowest
    for found in ranges[1:]:
        if (witness := _common(reach, found)) is not None:
            yield Overlap(reach, found, witness)
        elif (witness := _left_out(reach, found)) is not None:
            yield Hole(reach, found, witness)
        reach = max(reach, found, key=lambda each: (each.upper is None, each.upper or 0, each.includes_upper))


def _common(first: LabelRange, second: LabelRange) -> Decimal | None:
    """A number in both ranges; `first` starts no later than `second`."""
    if first.lower is None and second.lower is None:
        return min(first.upper or Decimal(0), second.upper or Decimal(0)) - 1
    lower = second.lower
    assert lower is not None
    uppers = [each for each in (first, second) if each.upper is not None]
    if not uppers:
        return lower + 1
    upper = min((each.upper for each in uppers if each.upper is not None), default=lower)
    if lower < upper:
        return lower if second.includes_lower and _contains(first, lower) else (lower + upper) / 2
    return lower if lower == upper and _contains(first, lower) and _contains(second, lower) else None


def _contains(found: LabelRange, number: Decimal) -> bool:
    if found.lower is not None and (number < found.lower or (number == found.lower and not found.includes_lower)):
        return False
    return found.upper is None or number < found.upper or (number == found.upper and found.includes_upper)


def _left_out(first: LabelRange, second: LabelRange) -> Decimal | None:
    """A number above `first` and below `second`, a whole one where there is one."""
    lower, upper = first.upper, second.lower
    assert lower is not None and upper is not None
    start = lower.to_integral_value(ROUND_FLOOR) + 1 if first.includes_upper else lower.to_integral_value(ROUND_CEILING)
    if start < upper or (start == upper and not second.includes_lower):
        return start
    whole = lower == lower.to_integral_value() and upper == upper.to_integral_value()
    return None if lower == upper or (whole and upper - lower == 1) else (lower + upper) / 2
