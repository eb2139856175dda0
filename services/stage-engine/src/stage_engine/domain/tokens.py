"""The words of a cell, before their order is looked at."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<moment>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d))?)|(?P<duration>\d{1,6}[wdh]\b)"
    r"|(?P<number>-?\d+(?:\.\d+)?(?!\d*[wdh]))|(?P<text>'[^'\\\x00-\x1f]*')|(?P<word>[a-z]+)"
    r"|(?P<mark>>=|<=|\.\.|[><=\[\](),+-]))"
)

# How a cell may begin.
BEGINNINGS = "a number, a text in '...', a date, > >= < <= =, an interval such as [10..20), or a word such as known"


class CellError(ValueError):
    """A cell outside the grammar: where, and what is allowed there."""

    def __init__(self, position: int, found: str, allowed: str) -> None:
        super().__init__(f"at {position}: {found}; allowed here: {allowed}")
        self.position = position
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Token:
    """A word with its place in the cell."""

    position: int
    kind: str
    text: str


def tokens_of(cell: str) -> list[Token]:
    """Every word and mark, with the end as the last; CellError where a character belongs to none."""
    tokens, position = [], 0
    end = len(cell.rstrip())
    while position < end:
        match = _TOKEN.match(cell, position)
        if match is None:
            position += len(cell[position:]) - len(cell[position:].lstrip())
            raise CellError(position, f"{cell[position]!r} is not understood", BEGINNINGS)
        kind = match.lastgroup or ""
        tokens.append(Token(match.start(kind), kind, match.group(kind)))
        position = match.end()
    tokens.append(Token(end, "end", ""))
    return tokens
