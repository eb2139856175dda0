"""Takes PromQL apart as far as tests need it: which series an expression asks for, and by which labels it groups."""

import re
from dataclasses import dataclass

GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2"}
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<number>\d[\w.]*)
      | (?P<name>[A-Za-z_:][\w:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Matcher:
    label: str
    sign: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.sign}{self.value}"


@dataclass(frozen=True)
class Selector:
    """One `metric{label="value"}` of an expression, without range and offset."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def __str__(self) -> str:
        return f"{self.metric}{{{', '.join(map(str, self.matchers))}}}"

    def without(self, *labels: str) -> "Selector":
        """The same for all values of these labels."""
        return Selector(self.metric, tuple(each for each in self.matchers if each.label not in labels))


@dataclass(frozen=True)
class Expression:
    """The selectors of an expression in their order, and the labels by which it groups or matches."""

    selectors: tuple[Selector, ...]
    grouped_by: frozenset[str]


def substituted(expr: str, *, rate_interval: str, period: str, **chosen: str) -> str:
    """The expression as Grafana sends it: variables replaced by what the reader chose. Raises ValueError for a variable
    that has no value."""
    values = {"__rate_interval": rate_interval, "__range": period, **chosen}
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${{{name}}}", values[name]).replace(f"${name}", values[name])
    if "$" in re.sub(r'"[^"]*"', "", expr):
        raise ValueError(f"a variable without a value: {expr}")
    return expr


def relaxed(expr: str) -> list[str]:
    """The conditions of an alert with thresholds that any number meets. What follows `unless` holds only in a fault and
    is left out; `absent` asks for nothing that exists, so there is no condition left."""
    conditions: list[str] = []
    for part in re.split(r"\bor\b(?![^(]*\))", expr) if "absent(" in expr else [expr]:
        if "absent(" in part:
            continue
        kept = re.split(r"\bunless\b", part)[0]
        conditions.append(re.sub(r"(?<![=!<>~])(?:==|!=|>=|<=|>|<)\s*(?:bool\s+)?(\d[\d.]*)", ">= -Inf", kept))
    return conditions


def parse(expr: str) -> Expression:
    tokens = [(kind, match.group()) for match in _TOKEN.finditer(expr) if (kind := match.lastgroup or "") != "space"]
    selectors: list[Selector] = []
    labels: set[str] = set()
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and text in GROUPING:
            if following == "(":
                end = _end(tokens, place + 1, ")")
                labels |= {word for kind, word in tokens[place + 2 : end] if kind == "name"}
                place = end
        elif kind == "name" and text.lower() not in WORDS and following not in ("(", "by", "without"):
            end = _end(tokens, place + 1, "}") if following == "{" else place
            selectors.append(Selector(text, _matchers(tokens[place + 2 : end])))
            place = end
        elif text == "{":
            end = _end(tokens, place, "}")
            selectors.append(Selector("", _matchers(tokens[place + 1 : end])))
            place = end
        elif text == "[":
            place = _end(tokens, place, "]")
        place += 1
    return Expression(tuple(selectors), frozenset(labels))


def _end(tokens: list[tuple[str, str]], start: int, sign: str) -> int:
    return next(place for place in range(start, len(tokens)) if tokens[place] == ("sign", sign))


def _matchers(tokens: list[tuple[str, str]]) -> tuple[Matcher, ...]:
    words = [text for _, text in tokens if text != ","]
    return tuple(Matcher(*words[place : place + 3]) for place in range(0, len(words), 3))
