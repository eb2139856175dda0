"""Reads choice labels such as "1-2", "over 5" or "≤ 3 hours" as ranges.

A label is cut into tokens and read from left to right, each token once, so that no label takes long:

    label  := low amount | amount ("-" | "to") amount | ["from" | "between"] amount ("-" | "to" | "and") amount
            | amount "+" [unit] | amount "or" ("more" | "less" | "fewer") [unit] | amount
    amount := ["$" | "€" | "£"] number ["k" | "m"] ["%"] [unit]           unit := word (["/"] word)*
"""

import re
from dataclasses import dataclass
from decimal import Decimal

_TOKEN = re.compile(r"\s*(?:([0-9][0-9,]{0,15}(?:\.[0-9]{1,10})?)|([^\W\d_]+)|(>=|<=|[<>≥≤+%$€£/–—-]))")
# Which side a label that begins so bounds, and whether the bound belongs to it.
_OPENINGS = {
    ("at", "least"): ("lower", True),
    ("from",): ("lower", True),
    (">=",): ("lower", True),
    ("≥",): ("lower", True),
    ("more", "than"): ("lower", False),
    ("over",): ("lower", False),
    ("above",): ("lower", False),
    (">",): ("lower", False),
    ("at", "most"): ("upper", True),
    ("up", "to"): ("upper", True),
    ("<=",): ("upper", True),
    ("≤",): ("upper", True),
    ("less", "than"): ("upper", False),
    ("fewer", "than"): ("upper", False),
    ("under",): ("upper", False),
    ("below",): ("upper", False),
    ("<",): ("upper", False),
}
_BETWEEN = {"-", "–", "—", "to"}
_SCALE = {"k": 1_000, "m": 1_000_000}
_NO_UNIT = {"or", "to", "and", "than"}
_CURRENCIES = {"$", "€", "£"}
_LONGEST_LABEL = 80

Unit = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelRange:
    """The numbers a label speaks of; None means unbounded on that side. The unit is in lower case and singular; empty
    when the label names none."""

    label: str
    lower: Decimal | None
    upper: Decimal | None
    includes_lower: bool = True
    includes_upper: bool = True
    unit: Unit = ()


class _NotARange(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Amount:
    number: Decimal
    scale: int
    unit: Unit


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _NotARange
            self._tokens.append(match[match.lastindex or 0])
            position = match.end()
        self._at = 0

    @property
    def next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, *wanted: str) -> bool:
        """Pass over these tokens if they come next."""
        found = tuple(self._tokens[self._at : self._at + len(wanted)]) == wanted
        self._at += len(wanted) if found else 0
        return found

    def one_of(self, wanted: set[str]) -> str:
        """Pass over the next token if it is one of these."""
        found = self.next if self.next in wanted else ""
        self._at += bool(found)
        return found

    def end(self) -> None:
        if self.next:
            raise _NotARange

    def amount(self) -> _Amount:
        currency = self.one_of(_CURRENCIES)
        digits = self.next
        if not digits[:1].isdecimal():
            raise _NotARange
        self._at += 1
        scale = _SCALE.get(self.one_of(set(_SCALE)), 1)
        sign = self.one_of({"%"})
        unit = tuple(filter(None, (currency, sign))) + self.unit()
        return _Amount(Decimal(digits.replace(",", "")), scale, unit)

    def unit(self) -> Unit:
        words: list[str] = []
        while (word := self.next) and (word.isalpha() or word == "/") and word not in _NO_UNIT:
            self._at += 1
            words.append("per" if word == "/" else _singular(word))
        return tuple(words)


def _singular(word: str) -> str:
    if word == "people":
        return "person"
    return word.removesuffix("ies") + "y" if word.endswith("ies") else word.removesuffix("s")


def parse_label(label: str) -> LabelRange | None:
    """The range a label means, or None when it is not one."""
    text = label.strip().lower()
    if len(text) > _LONGEST_LABEL:
        return None
    try:
        return _range(label, _Reader(text))
    except _NotARange:
        return None


def _range(label: str, reader: _Reader) -> LabelRange:
    side, inclusive = next((bound for words, bound in _OPENINGS.items() if reader.take(*words)), ("", True))
    between = not side and reader.take("between")
    first = reader.amount()
    if (not side or (side, inclusive) == ("lower", True)) and (
        reader.one_of(_BETWEEN) or (between and reader.take("and"))
    ):
        return _between(label, first, reader.amount(), reader)
    if between:
        raise _NotARange
    unit = first.unit
    if not side:
        if reader.take("+") or reader.take("or", "more"):
            side = "lower"
        elif reader.take("or", "less") or reader.take("or", "fewer"):
            side = "upper"
        unit += reader.unit() if side else ()
    reader.end()
    bound = first.number * first.scale
    if not side:
        return LabelRange(label, bound, bound, unit=unit)
    if side == "lower":
        return LabelRange(label, bound, None, includes_lower=inclusive, unit=unit)
    return LabelRange(label, None, bound, includes_upper=inclusive, unit=unit)


def _between(label: str, first: _Amount, second: _Amount, reader: _Reader) -> LabelRange:
    reader.end()
    # "1-2k" means 1,000 to 2,000, and "1-2 hours" counts hours on both sides.
    lower = first.number * (first.scale if first.scale > 1 else second.scale)
    upper = second.number * second.scale
    if lower > upper or not alike(first.unit, second.unit):
        raise _NotARange
    return LabelRange(label, lower, upper, unit=max(first.unit, second.unit, key=len))


def alike(first: Unit, second: Unit) -> bool:
    """Whether one says no more than the beginning of the other: "hours" and "hours per week"."""
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]
