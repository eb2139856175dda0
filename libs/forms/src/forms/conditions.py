"""When a question is shown: a declared subset of the SurveyJS expression grammar, parsed once.

    condition  := all ("or" all)*
    all        := one ("and" one)*
    one        := "!" negatable | operand [comparison operand] | reference set_operator literal
                | reference ("empty" | "notempty") | "(" condition ")"
    negatable  := reference | "true" | "false" | "(" condition ")" | "!" negatable
    comparison := "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="
    set_operator := "contains" | "notcontains" | "anyof" | "allof" | "noneof"
    operand    := reference | literal           reference := "{" question key "}"
    literal    := 'text' | "text" | number | true | false | "[" literal ("," literal)* "]"

`and` binds tighter than `or`; operator words are case-insensitive. A quote inside a text is written with a backslash
before it; any other backslash is itself. Evaluation is in `forms.evaluation`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from forms.syntax import (
    And,
    Comparison,
    Condition,
    Emptiness,
    Literal,
    Not,
    Operand,
    Or,
    Reference,
    Truth,
    leaves,
    operands,
    references,
)

__all__ = [
    "And",
    "Comparison",
    "Condition",
    "ConditionSyntaxError",
    "Emptiness",
    "Literal",
    "Not",
    "Operand",
    "Or",
    "Reference",
    "Truth",
    "leaves",
    "operands",
    "parse",
    "read",
    "references",
]

MAX_LENGTH = 2000
MAX_DEPTH = 20
MAX_DIGITS = 15


class ConditionSyntaxError(ValueError):
    """A condition outside the grammar; `position` counts characters from 0."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(f"at character {position + 1}: {message}")
        self.position = position
        self.message = message


SET_OPERATORS = frozenset({"contains", "notcontains", "anyof", "allof", "noneof"})
_SPELLINGS = {"==": "=", "<>": "!="}
_COMPARISONS = frozenset({"=", "!=", "<", "<=", ">", ">="})
_WORDS = SET_OPERATORS | {"and", "or", "empty", "notempty", "true", "false"}
_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
      (?P<reference>\{(?P<key>[^{}\s](?:[^{}]*[^{}\s])?)\})
    | (?P<text>'(?:[^'"\\]|\\['"]|\\(?!['"]))*'|"(?:[^'"\\]|\\['"]|\\(?!['"]))*")
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?![A-Za-z0-9_.]))
    | (?P<symbol>==|!=|<>|<=|>=|[=<>!()\[\],])
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
# survey-core replaces these before it reads a condition.
_REWRITTEN = re.compile("=>|=<|<>|equals")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _tokens(source: str) -> Iterator[_Token]:
    position = 0
    while True:
        match = _TOKEN.match(source, position)
        if match is None:
            start = position + len(source[position:]) - len(source[position:].lstrip(" \t\n\r"))
            raise ConditionSyntaxError(start, f"unexpected {source[start : start + 10]!r}")
        kind = match.lastgroup
        if (match["reference"] or match["text"]) and (rewritten := _REWRITTEN.search(match[0])):
            raise ConditionSyntaxError(match.start(), f"a form's page rewrites {rewritten[0]!r}, even inside a text")
        if match["reference"] is not None:
            yield _Token("reference", match["key"], match.start("reference"))
        elif match["word"] is not None:
            word = match["word"].lower()
            if word not in _WORDS:
                raise ConditionSyntaxError(
                    match.start("word"),
                    f"unknown word {match['word']!r}: quote a text, put a question in braces",
                )
            yield _Token("word", word, match.start("word"))
        else:
            assert kind is not None
            yield _Token(kind, match[kind], match.start(kind))
            if kind == "end":
                return
        position = match.end()


@lru_cache(maxsize=1000)
def parse(source: str) -> Condition:
    """The condition of a non-empty source, remembered for the next time; raises ConditionSyntaxError."""
    return read(source)


def read(source: str) -> Condition:
    """The condition of a non-empty source; raises ConditionSyntaxError."""
    if len(source) > MAX_LENGTH:
        raise ConditionSyntaxError(MAX_LENGTH, f"a condition has at most {MAX_LENGTH} characters")
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = tuple(_tokens(source))
        self._index = 0
        self._depth = 0

    def whole(self) -> Condition:
        condition = self._any()
        if self._next.kind != "end":
            raise self._expected("'and', 'or' or the end")
        return condition

    @property
    def _next(self) -> _Token:
        return self._tokens[self._index]

    def _take(self, *texts: str) -> str | None:
        token = self._next
        if token.kind in ("symbol", "word") and token.text in texts:
            self._index += 1
            return token.text
        return None

    def _expected(self, what: str) -> ConditionSyntaxError:
        found = "the end" if self._next.kind == "end" else repr(self._next.text)
        return ConditionSyntaxError(self._next.position, f"expected {what}, found {found}")

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Condition:
        if self._take("!"):
            return Not(self._negatable())
        if self._next.text == "(" and self._next.kind == "symbol":
            return self._group()
        left = self._operand()
        if isinstance(left, Reference) and (operator := self._take("empty", "notempty")):
            return Emptiness(left, operator == "empty")
        if operator := self._take(*_COMPARISONS, *_SPELLINGS):
            return Comparison(_SPELLINGS.get(operator, operator), left, self._operand())
        if isinstance(left, Reference) and (operator := self._take(*SET_OPERATORS)):
            return Comparison(operator, left, self._literal())
        if isinstance(left, Reference | bool):
            return Truth(left)
        raise self._expected("a comparison")

    def _negatable(self) -> Condition:
        with_parentheses = "parentheses around the comparison after '!'"
        if self._next.kind == "symbol" and self._next.text in ("(", "!"):
            return self._group() if self._next.text == "(" else self._double_negation()
        operand = self._operand()
        if not isinstance(operand, Reference | bool) or self._next.text in _COMPARISONS | SET_OPERATORS:
            raise self._expected(with_parentheses)
        if self._next.kind == "word" and self._next.text in ("empty", "notempty"):
            raise self._expected(with_parentheses)
        return Truth(operand)

    def _double_negation(self) -> Condition:
        self._enter()
        self._take("!")
        condition = Not(self._negatable())
        self._depth -= 1
        return condition

    def _group(self) -> Condition:
        self._enter()
        self._take("(")
        condition = self._any()
        if not self._take(")"):
            raise self._expected("')'")
        self._depth -= 1
        return condition

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionSyntaxError(self._next.position, f"nested deeper than {MAX_DEPTH}")

    def _operand(self) -> Operand:
        if self._next.kind == "reference":
            key = self._next.text
            self._index += 1
            return Reference(key)
        return self._literal()

    def _literal(self) -> Literal:
        if not self._take("["):
            return self._scalar()
        items = [self._scalar()]
        while self._take(","):
            items.append(self._scalar())
        if not self._take("]"):
            raise self._expected("',' or ']'")
        return tuple(items)

    def _scalar(self) -> str | Decimal | bool:
        token = self._next
        if token.kind == "text":
            self._index += 1
            return re.sub(r"\\(['\"])", r"\1", token.text[1:-1])
        if token.kind == "number":
            self._index += 1
            if len(token.text.strip("-0.").replace(".", "")) > MAX_DIGITS:
                # More digits would not survive in a browser.
                raise ConditionSyntaxError(token.position, f"a number has at most {MAX_DIGITS} digits")
            return Decimal(token.text)
        if word := self._take("true", "false"):
            return word == "true"
        raise self._expected("a text, number, true, false or {question}")
