"""The closed grammar of a rule's cell, so that what a rule means can be analysed exactly.

    cell        blank | presence | boolean | comparison | interval | list | set | recency
    presence    "known" | "unknown"
    boolean     "true" | "false"
    comparison  (">" | ">=" | "<" | "<=") bound
    interval    ("[" | "(") bound ".." bound ("]" | ")")
    list        ["="] literal {"," literal}
    set         ("any of" | "none of") text {"," text} | "contains" text
    recency     "within" ["last"] duration | "older than" duration
    bound       number | moment | "now" [("+" | "-") duration]
    literal     number | text | moment
    text        "'" characters "'"
    moment      a date such as 2026-06-30, or an instant such as 2026-06-30T12:00Z
    duration    digits ("w" | "d" | "h")

A blank cell holds for any fact, known or not, and `unknown` for an unknown one only; all others ask for a known value.
Everything else is refused with its position: zen-engine itself takes a malformed cell for one that never matches.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache

from stage_engine.domain.literals import DAY, Literal, exact_number, seconds
from stage_engine.domain.tokens import BEGINNINGS, CellError, Token, tokens_of

__all__ = [
    "Among", "Blank", "Both", "Cell", "CellError", "Is", "Literal", "OneOf", "Presence", "Range", "Scale",
    "exact_number", "is_empty", "parse",
]  # fmt: skip

UNITS = {"w": 7 * DAY, "d": DAY, "h": 3600}


class Scale(Enum):
    """What the numbers of a cell measure: the fact itself, seconds since the epoch, or seconds from now."""

    NUMBER = 0
    AT = 1
    AHEAD = 2


@dataclass(frozen=True, slots=True)
class Blank:
    """No condition."""


@dataclass(frozen=True, slots=True)
class Presence:
    """The fact is known, or it is not."""

    known: bool


@dataclass(frozen=True, slots=True)
class Is:
    """Equality with a boolean."""

    value: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equality with one of the values: all texts, or all numbers of one scale."""

    values: tuple[Decimal | str, ...]
    scale: Scale = Scale.NUMBER


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of numbers; None is unbounded."""

    low: Decimal | None
    low_closed: bool
    high: Decimal | None
    high_closed: bool
    scale: Scale = Scale.NUMBER


@dataclass(frozen=True, slots=True)
class Among:
    """A set of texts that has one of the values, or none of them. A text counts as a set of one."""

    values: tuple[str, ...]
    has_one: bool


@dataclass(frozen=True, slots=True)
class Both:
    """Cells that hold at once and do not make a single one. It comes of the algebra, never of a text."""

    cells: tuple["Cell", ...]


Cell = Blank | Presence | Is | OneOf | Range | Among | Both


class _Parser:
    def __init__(self, cell: str) -> None:
        self._tokens = tokens_of(cell)
        self._next = 0

    def take(self, kind: str, allowed: str, *texts: str) -> Token:
        token = self._tokens[self._next]
        if token.kind != kind or (texts and token.text not in texts):
            found = f"{token.text!r} is out of place" if token.kind != "end" else "the cell ends"
            raise CellError(token.position, found, allowed)
        self._next += 1
        return token

    def at(self, *texts: str) -> bool:
        token = self._tokens[self._next]
        return token.kind in ("mark", "word") and token.text in texts

    def whole(self, cell: Cell, allowed: str = "nothing more") -> Cell:
        self.take("end", allowed)
        return cell

    def cell(self) -> Cell:
        if self._tokens[0].kind == "end":
            return Blank()
        if self.at(">", ">=", "<", "<="):
            return self.comparison()
        if self.at("[", "("):
            return self.interval()
        if self.at("known", "unknown", "true", "false"):
            word = self.take("word", "a word").text
            return self.whole(Is(word == "true") if word in ("true", "false") else Presence(word == "known"))
        if self.at("any", "none", "contains"):
            return self.among()
        if self.at("within", "older"):
            return self.recency()
        return self.values()

    def comparison(self) -> Cell:
        sign = self.take("mark", "a comparison").text
        bound, scale = self.bound()
        closed = sign.endswith("=")
        if sign.startswith(">"):
            return self.whole(Range(bound, closed, None, False, scale))
        return self.whole(Range(None, False, bound, closed, scale))

    def interval(self) -> Cell:
        opening = self.take("mark", "[ or (")
        low, scale = self.bound()
        self.take("mark", "..", "..")
        place = self._tokens[self._next].position
        high, other = self.bound()
        if other is not scale:
            raise CellError(place, "the bounds are of two kinds", "a bound of the kind of the first")
        closing = self.take("mark", "] or )", "]", ")")
        cell = self.whole(Range(low, opening.text == "[", high, closing.text == "]", scale))
        if is_empty(cell):
            raise CellError(opening.position, "the interval holds nothing", "a lower bound below the upper one")
        return cell

    def bound(self) -> tuple[Decimal, Scale]:
        if self.at("now"):
            self.take("word", "now")
            if not self.at("+", "-"):
                return Decimal(0), Scale.AHEAD
            back = self.take("mark", "+ or -").text == "-"
            return (-self.duration() if back else self.duration()), Scale.AHEAD
        if self._tokens[self._next].kind == "moment":
            return self.moment(), Scale.AT
        return self.number("a number such as 60, a date such as 2026-06-30, or now - 14d"), Scale.NUMBER

    def number(self, allowed: str = "a number such as 60 or 12.5") -> Decimal:
        token = self.take("number", allowed)
        try:
            return exact_number(token.text)
        except ValueError as error:
            raise CellError(token.position, str(error), "a shorter number") from None

    def moment(self) -> Decimal:
        token = self.take("moment", "a date such as 2026-06-30")
        try:
            return seconds((datetime if "T" in token.text else date).fromisoformat(token.text))
        except (ValueError, OverflowError):
            raise CellError(token.position, f"{token.text} is no date", "a date of the calendar") from None

    def duration(self) -> Decimal:
        text = self.take("duration", "a duration such as 2w, 14d or 36h").text
        return Decimal(int(text[:-1]) * UNITS[text[-1]])

    def among(self) -> Cell:
        word = self.take("word", "a word").text
        if word != "contains":
            self.take("word", "of", "of")
        values = [self.text()]
        while word != "contains" and self.at(","):
            self.take("mark", ",")
            values.append(self.text())
        return self.whole(Among(tuple(dict.fromkeys(values)), word != "none"), "a comma and a text, or nothing more")

    def recency(self) -> Cell:
        if self.take("word", "a word").text == "within":
            if self.at("last"):
                self.take("word", "last")
                return self.whole(Range(-self.duration(), True, Decimal(0), True, Scale.AHEAD))
            return self.whole(Range(Decimal(0), True, self.duration(), True, Scale.AHEAD))
        self.take("word", "than", "than")
        return self.whole(Range(None, False, -self.duration(), False, Scale.AHEAD))

    def text(self) -> str:
        return self.take("text", "a text in '...'").text[1:-1]

    def values(self) -> Cell:
        if self.at("="):
            self.take("mark", "=")
        kind = self._tokens[self._next].kind
        if kind not in ("number", "text", "moment"):
            self.take("a value", BEGINNINGS)
        values = [self.literal(kind)]
        while self.at(","):
            self.take("mark", ",")
            values.append(self.literal(kind))
        scale = Scale.AT if kind == "moment" else Scale.NUMBER
        return self.whole(OneOf(tuple(dict.fromkeys(values)), scale), "a comma and another value, or nothing more")

    def literal(self, kind: str) -> Decimal | str:
        if kind == "text":
            return self.text()
        return self.moment() if kind == "moment" else self.number()


def is_empty(cell: Cell) -> bool:
    """Whether no number lies in the range."""
    if not isinstance(cell, Range) or cell.low is None or cell.high is None:
        return False
    return cell.low > cell.high or (cell.low == cell.high and not (cell.low_closed and cell.high_closed))


@lru_cache(4096)
def parse(cell: str) -> Cell:
    """The meaning of a cell; CellError outside the grammar."""
    return _Parser(cell).cell()
