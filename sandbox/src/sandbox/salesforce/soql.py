"""A parser for the SOQL this org understands: text in, a tree out, no knowledge of objects or fields.

    SELECT COUNT() | path [, path ...] | FIELDS(ALL|STANDARD|CUSTOM)
    FROM name [WHERE condition] [ORDER BY path [ASC|DESC] [NULLS FIRST|LAST], ...] [LIMIT n] [OFFSET n]

A condition joins comparisons with AND or OR (mixed only through parentheses) and NOT.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, NoReturn

from sandbox.salesforce.clock import parse_time, wire_time
from sandbox.salesforce.errors import ApiError

MAX_LENGTH = 100_000
MAX_OFFSET = 2_000

Operator = Literal["=", "!=", "<", ">", "<=", ">=", "IN", "NOT IN", "LIKE"]
LiteralKind = Literal["string", "number", "boolean", "null", "date", "datetime"]


@dataclass(frozen=True, slots=True)
class Literal_:
    """A value with the form it was written in; dates and datetimes are held in wire form."""

    kind: LiteralKind
    value: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    path: str
    operator: Operator
    values: tuple[Literal_, ...]


@dataclass(frozen=True, slots=True)
class Not:
    term: "Condition"


@dataclass(frozen=True, slots=True)
class Join:
    word: Literal["AND", "OR"]
    terms: tuple["Condition", ...]


Condition = Comparison | Not | Join


@dataclass(frozen=True, slots=True)
class Order:
    path: str
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed statement. `paths` is empty for COUNT()."""

    paths: tuple[str, ...]
    object_name: str
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+\s-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d(?![\dT]))
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?![\w.]))
    | (?P<name>[A-Za-z_][\w.]*)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_RESERVED = frozenset({"from", "where", "order", "limit", "offset", "and", "or", "not", "in", "like", "group"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Query:
    """Parses one statement. Raises ApiError MALFORMED_QUERY that quotes the place."""
    if len(text) > MAX_LENGTH:
        raise ApiError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {MAX_LENGTH} characters.")
    return _Parser(text).query()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].lstrip()
            raise ApiError("MALFORMED_QUERY", f"line 1:{at} no viable alternative at character '{rest[:1]}'")
        tokens.append(_Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
        at = match.end()
    tokens.append(_Token("end", "<EOF>", end))
    return tokens


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def query(self) -> Query:
        self._expect("select")
        paths = self._selection()
        self._expect("from")
        name = self._name()
        where = self._condition() if self._accept("where") else None
        order: list[Order] = []
        if self._accept("order"):
            self._expect("by")
            order.append(self._order())
            while self._accept(","):
                order.append(self._order())
        limit = self._count() if self._accept("limit") else None
        offset = self._count() if self._accept("offset") else 0
        if self._peek.kind != "end":
            self._refuse()
        if offset > MAX_OFFSET:
            raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
        return Query(paths, name, where, tuple(order), limit, offset)

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _accept(self, word: str) -> bool:
        token = self._peek
        if token.kind in {"name", "sign"} and token.text.lower() == word:
            self._at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            self._refuse()

    def _refuse(self) -> NoReturn:
        token = self._peek
        start = max(0, token.at - 25)
        excerpt = f"{self._text[start : token.at + 25]}\n{' ' * (token.at - start)}^"
        message = f"\n{excerpt}\nERROR at Row:1:Column:{token.at + 1}\nunexpected token: '{token.text}'"
        raise ApiError("MALFORMED_QUERY", message)

    def _name(self) -> str:
        token = self._peek
        if token.kind != "name" or token.text.lower() in _RESERVED:
            self._refuse()
        self._at += 1
        return token.text

    def _count(self) -> int:
        token = self._peek
        if token.kind != "number" or not token.text.isdigit():
            self._refuse()
        self._at += 1
        return int(token.text)

    def _selection(self) -> tuple[str, ...]:
        first = self._name()
        if self._accept("("):
            if first.lower() == "count":
                self._expect(")")
                return ()
            if first.lower() != "fields":
                self._refuse()
            group = self._name().upper()
            self._expect(")")
            if group not in {"ALL", "STANDARD", "CUSTOM"}:
                self._refuse()
            return (f"FIELDS({group})",)
        paths = [first]
        while self._accept(","):
            paths.append(self._name())
        return tuple(paths)

    def _order(self) -> Order:
        path = self._name()
        descending = self._accept("desc")
        if not descending:
            self._accept("asc")
        nulls_last = descending
        if self._accept("nulls"):
            nulls_last = self._accept("last")
            if not nulls_last:
                self._expect("first")
        return Order(path, descending, nulls_last)

    def _condition(self) -> Condition:
        terms = [self._term()]
        word: Literal["AND", "OR"] | None = None
        while self._peek.text.lower() in {"and", "or"} and self._peek.kind == "name":
            found: Literal["AND", "OR"] = "AND" if self._peek.text.lower() == "and" else "OR"
            if word is not None and found != word:
                self._refuse()
            word = found
            self._at += 1
            terms.append(self._term())
        return terms[0] if word is None else Join(word, tuple(terms))

    def _term(self) -> Condition:
        if self._accept("not"):
            return Not(self._term())
        if self._accept("("):
            inner = self._condition()
            self._expect(")")
            return inner
        path = self._name()
        if self._accept("not"):
            self._expect("in")
            return Comparison(path, "NOT IN", self._values())
        if self._accept("in"):
            return Comparison(path, "IN", self._values())
        if self._accept("like"):
            return Comparison(path, "LIKE", (self._value(),))
        for sign, operator in _OPERATORS.items():
            if self._accept(sign):
                return Comparison(path, operator, (self._value(),))
        self._refuse()

    def _values(self) -> tuple[Literal_, ...]:
        self._expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        return tuple(values)

    def _value(self) -> Literal_:
        token = self._peek
        literal = _literal(token)
        if literal is None:
            self._refuse()
        self._at += 1
        return literal


_OPERATORS: dict[str, Operator] = {
    "=": "=", "!=": "!=", "<>": "!=", "<=": "<=", ">=": ">=", "<": "<", ">": ">",
}  # fmt: skip


def _literal(token: _Token) -> Literal_ | None:  # noqa: PLR0911
    match token.kind, token.text.lower():
        case "string", _:
            text = _ESCAPE.sub(lambda m: _ESCAPED.get(m[1].lower(), m[1]), token.text[1:-1])
            return Literal_("string", text)
        case "number", _:
            return Literal_("number", float(token.text))
        case "date", _:
            try:
                return Literal_("date", date.fromisoformat(token.text).isoformat())
            except ValueError:
                return None
        case "datetime", _:
            try:
                return Literal_("datetime", wire_time(parse_time(token.text)))
            except ValueError:
                return None
        case "name", "true" | "false":
            return Literal_("boolean", token.text.lower() == "true")
        case "name", "null":
            return Literal_("null", None)
    return None
