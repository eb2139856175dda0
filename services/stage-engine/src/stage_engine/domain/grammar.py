"""The closed grammar of a rule's cell, so that what a rule means can be analysed exactly.

    cell        blank | test
    test        comparison | interval | list
    comparison  (">" | ">=" | "<" | "<=") number
    interval    ("[" | "(") number ".." number ("]" | ")")
    list        ["="] literal {"," literal}
    literal     number | "'" text "'"

A blank cell holds for any fact, known or not. Everything else is refused with its position: zen-engine itself
takes a malformed cell for one that never matches.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from stage_engine.domain.literals import exact_number, plain

__all__ = [
    "Blank", "Cell", "CellError", "Literal", "OneOf", "Range",
    "exact_number", "is_empty", "parse", "plain", "to_text", "to_zen",
]  # fmt: skip

Literal = Decimal | str

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<text>[^'\\\x00-\x1f]*)'|(?P<mark>>=|<=|\.\.|[><=\[\](),]))"
)


class CellError(ValueError):
    """A cell outside the grammar: where, and what is allowed there."""

    def __init__(self, position: int, found: str, allowed: str) -> None:
        super().__init__(f"at {position}: {found}; allowed here: {allowed}")
        self.position = position
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Blank:
    """No condition."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equality with one of the values, all numbers or all texts."""

    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of numbers; None is unbounded."""

    low: Decimal | None
    low_closed: bool
    high: Decimal | None
    high_closed: bool


Cell = Blank | OneOf | Range


@dataclass(frozen=True, slots=True)
class _Token:
    position: int
    kind: str
    text: str


def _tokens(cell: str) -> list[_Token]:
    tokens, position = [], 0
    end = len(cell.rstrip())
    while position < end:
        match = _TOKEN.match(cell, position)
        if match is None:
            position += len(cell[position:]) - len(cell[position:].lstrip())
            raise CellError(position, f"{cell[position]!r} is not understood", "a number, a text in '...', "
                            "> >= < <= =, an interval such as [10..20)")  # fmt: skip
        kind = match.lastgroup or ""
        start = match.start(kind) - (kind == "text")
        tokens.append(_Token(start, kind, match.group(kind)))
        position = match.end()
    tokens.append(_Token(end, "end", ""))
    return tokens


class _Parser:
    def __init__(self, cell: str) -> None:
        self._tokens = _tokens(cell)
        self._next = 0

    def take(self, kind: str, allowed: str, *marks: str) -> _Token:
        token = self._tokens[self._next]
        if token.kind != kind or (marks and token.text not in marks):
            found = f"{token.text!r} is out of place" if token.kind != "end" else "the cell ends"
            raise CellError(token.position, found, allowed)
        self._next += 1
        return token

    def at(self, *marks: str) -> bool:
        token = self._tokens[self._next]
        return token.kind == "mark" and token.text in marks

    def done(self, allowed: str) -> None:
        self.take("end", allowed)

    def number(self) -> Decimal:
        token = self.take("number", "a number such as 60 or 12.5")
        try:
            return exact_number(token.text)
        except ValueError as error:
            raise CellError(token.position, str(error), "a shorter number") from None

    def cell(self) -> Cell:
        if self._tokens[0].kind == "end":
            return Blank()
        if self.at(">", ">=", "<", "<="):
            return self.comparison()
        if self.at("[", "("):
            return self.interval()
        return self.values()

    def comparison(self) -> Range:
        sign = self.take("mark", "a comparison").text
        bound = self.number()
        self.done("nothing more")
        closed = sign.endswith("=")
        if sign.startswith(">"):
            return Range(bound, closed, None, False)
        return Range(None, False, bound, closed)

    def interval(self) -> Range:
        opening = self.take("mark", "[ or (")
        low = self.number()
        self.take("mark", "..", "..")
        high = self.number()
        closing = self.take("mark", "] or )", "]", ")")
        self.done("nothing more")
        cell = Range(low, opening.text == "[", high, closing.text == "]")
        if is_empty(cell):
            raise CellError(opening.position, "the interval holds nothing", "a lower bound below the upper one")
        return cell

    def values(self) -> OneOf:
        if self.at("="):
            self.take("mark", "=")
        values = [self.literal(None)]
        while self.at(","):
            self.take("mark", ",")
            values.append(self.literal(values[0]))
        self.done("a comma and another value, or nothing more")
        return OneOf(tuple(dict.fromkeys(values)))

    def literal(self, like: Literal | None) -> Literal:
        token = self._tokens[self._next]
        if token.kind == "text" and not isinstance(like, Decimal):
            self._next += 1
            return token.text
        if isinstance(like, str):
            self.take("text", "another text in '...'")
        return self.number()


def is_empty(cell: Range) -> bool:
    """Whether no number lies in the range."""
    if cell.low is None or cell.high is None:
        return False
    return cell.low > cell.high or (cell.low == cell.high and not (cell.low_closed and cell.high_closed))


@lru_cache(4096)
def parse(cell: str) -> Cell:
    """The meaning of a cell; CellError outside the grammar."""
    return _Parser(cell).cell()


def _literal(value: Literal) -> str:
    return plain(value) if isinstance(value, Decimal) else f"'{value}'"


def to_zen(cell: Cell) -> str:
    """The cell as a unary test of zen-engine. `$` is always written out: the bare forms `= 100` and `1.50` pass for
    tests that never match."""
    match cell:
        case Blank():
            return ""
        case OneOf(values) if len(values) == 1:
            return f"$ == {_literal(values[0])}"
        case OneOf(values):
            return f"$ in [{', '.join(_literal(v) for v in values)}]"
        case Range(low, low_closed, high, high_closed):
            tests = []
            if low is not None:
                tests.append(f"$ {'>=' if low_closed else '>'} {plain(low)}")
            if high is not None:
                tests.append(f"$ {'<=' if high_closed else '<'} {plain(high)}")
            return " and ".join(tests)


def to_text(cell: Cell) -> str:
    """The cell in this grammar again, canonical."""
    match cell:
        case Blank():
            return ""
        case OneOf(values):
            texts = ", ".join(_literal(v) for v in values)
            return f"= {texts}" if len(values) == 1 else texts
        case Range(low, low_closed, None, _) if low is not None:
            return f"{'>=' if low_closed else '>'} {plain(low)}"
        case Range(None, _, high, high_closed) if high is not None:
            return f"{'<=' if high_closed else '<'} {plain(high)}"
        case Range(low, low_closed, high, high_closed):
            assert low is not None and high is not None
            return f"{'[' if low_closed else '('}{plain(low)}..{plain(high)}{']' if high_closed else ')'}"
