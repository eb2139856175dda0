"""Reads choice labels such as "1-2", "over 5" or "≤ 3 hours" as ranges; finds their overlaps and holes."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_NUMBER = r"[$€£]?\s*([0-9][0-9,]{0,15}(?:\.[0-9]{1,10})?)\s*([km]?)\s*%?"
_UNIT = r"(?:\s+(?:(?!\b(?:or|to|and|than)\b)[^\W\d_]+[\s/]*)+)?"
_BETWEEN = re.compile(rf"{_NUMBER}\s*(?:-|–|—|to)\s*{_NUMBER}{_UNIT}", re.IGNORECASE)
_OPEN = (
    (re.compile(rf"(?:>=|≥|at least|from)\s*{_NUMBER}{_UNIT}", re.IGNORECASE), "lower", True),
    (re.compile(rf"(?:>|over|more than|above)\s*{_NUMBER}{_UNIT}", re.IGNORECASE), "lower", False),
    (re.compile(rf"(?:<=|≤|at most|up to)\s*{_NUMBER}{_UNIT}", re.IGNORECASE), "upper", True),
    (
        re.compile(rf"(?:<|under|less than|below|fewer than)\s*{_NUMBER}{_UNIT}", re.IGNORECASE),
        "upper",
        False,
    ),
    (re.compile(rf"{_NUMBER}\s*\+{_UNIT}", re.IGNORECASE), "lower", True),
    (re.compile(rf"{_NUMBER}{_UNIT}\s+or\s+more{_UNIT}", re.IGNORECASE), "lower", True),
    (re.compile(rf"{_NUMBER}{_UNIT}\s+or\s+(?:less|fewer){_UNIT}", re.IGNORECASE), "upper", True),
)
_EXACT = re.compile(rf"{_NUMBER}{_UNIT}", re.IGNORECASE)
_SCALE = {"": 1, "k": 1_000, "m": 1_000_000}
_LONGEST_LABEL = 80


@dataclass(frozen=True, slots=True)
class LabelRange:
    """The numbers a label speaks of; None means unbounded on that side."""

    label: str
    lower: Decimal | None
    upper: Decimal | None
    includes_lower: bool = True
    includes_upper: bool = True


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


def parse_label(label: str) -> LabelRange | None:
    """The range a label means, or None when it is not one."""
    text = label.strip()
    if len(text) > _LONGEST_LABEL:
        return None
    if match := _BETWEEN.fullmatch(text):
        lower, upper = _amount(match[1], match[2] or match[4]), _amount(match[3], match[4])
        return LabelRange(label, lower, upper) if lower <= upper else None
    for pattern, side, inclusive in _OPEN:
        if match := pattern.fullmatch(text):
            bound = _amount(match[1], match[2])
            if side == "lower":
                return LabelRange(label, bound, None, includes_lower=inclusive)
            return LabelRange(label, None, bound, includes_upper=inclusive)
    if match := _EXACT.fullmatch(text):
        return LabelRange(label, _amount(match[1], match[2]), _amount(match[1], match[2]))
    return None


def _amount(digits: str, scale: str) -> Decimal:
    return Decimal(digits.replace(",", "")) * _SCALE[scale.lower()]


def inspect_labels(labels: Sequence[str]) -> Iterator[Overlap | Hole]:
    """Overlaps and holes among the labels of one question, when at least two of them are true ranges.

    Labels that are not ranges ("I do not know") are ignored. Two neighbours whose bounds are whole numbers
    one apart ("1-2", "3-4") count whole things and leave no hole.
    """
    ranges = [found for found in map(parse_label, labels) if found is not None]
    if sum(found.lower != found.upper for found in ranges) < 2:
        return
    ranges.sort(key=lambda found: (found.lower is not None, found.lower or 0, not found.includes_lower))
    lowest = ranges[0]
    if lowest.lower is not None and lowest.lower >= 0 and not _contains(lowest, Decimal(0)):
        yield Hole(None, lowest, Decimal(0))
    reach = lowest
    for found in ranges[1:]:
        if (witness := _common(reach, found)) is not None:
            yield Overlap(reach, found, witness)
        elif (witness := _between(reach, found)) is not None:
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


def _between(first: LabelRange, second: LabelRange) -> Decimal | None:
    """A number above `first` and below `second`, a whole one where there is one."""
    lower, upper = first.upper, second.lower
    assert lower is not None and upper is not None
    start = lower.to_integral_value(ROUND_FLOOR) + 1 if first.includes_upper else lower.to_integral_value(ROUND_CEILING)
    if start < upper or (start == upper and not second.includes_lower):
        return start
    whole = lower == lower.to_integral_value() and upper == upper.to_integral_value()
    return None if lower == upper or (whole and upper - lower == 1) else (lower + upper) / 2
