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
_THRESHOLD = re.compile(r"(?<![=!<>~])(==|>=|<=|>|<)\s*\d+(?:\.\d+)?(?![\d.])")


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
    """The conditions of an alert, one for each side of an `or`, with thresholds that any number meets. What follows
    `unless` holds only in a fault and is left out, as is `absent`, which finds nothing that exists."""
    sides = [_without_unless(side) for side in _split(expr, "or") if "absent(" not in side]
    # What is compared may be multiplied, so the bounds are numbers and not infinite.
    return [_THRESHOLD.sub(lambda sign: "< 1e9" if "<" in sign[1] else "> -1e9", side) for side in sides]


def _split(expr: str, word: str) -> list[str]:
    """The parts of an expression around an operator that is in no brackets."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(rf'"[^"]*"|[({{\[]|[)}}\]]|\b{word}\b', expr):
        if match.group() in "({[":
            depth += 1
        elif match.group() in ")}]":
            depth -= 1
        elif match.group() == word and depth == 0:
            parts.append(expr[start : match.start()])
            start = match.end()
    return [*parts, expr[start:]]


def _without_unless(expr: str) -> str:
    """The expression without each `unless` and its right side, up to the end of the brackets around both."""
    found = next((match for match in re.finditer(r'"[^"]*"|\bunless\b', expr) if match.group() == "unless"), None)
    if found is None:
        return expr
    depth = 0
    for match in re.finditer(r'"[^"]*"|[({\[]|[)}\]]|,|\bor\b', expr[found.end() :]):
        if match.group() in "({[":
            depth += 1
        elif depth == 0 and match.group()[0] != '"':
            return _without_unless(expr[: found.start()] + expr[found.end() + match.start() :])
        elif match.group() in ")}]":
            depth -= 1
    return expr[: found.start()]


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
