"""What a cell asks of one value, and what it says in the grammar."""

from collections.abc import Callable
from decimal import ROUND_UP, Decimal

from kit.numbers import plain

from stage_engine.domain.grammar import Among, Blank, Both, Cell, Is, OneOf, Presence, Range, Scale
from stage_engine.domain.literals import DAY, Known, Moment, moment_text

_CENT = Decimal("0.01")


def predicate(cell: Cell) -> Callable[[Known | None], bool]:
    """A test of whether a value meets the cell; None is an unknown one. A value of another type meets nothing."""
    match cell:
        case Blank():
            return lambda value: True
        case Presence(known):
            return lambda value: (value is not None) is known
        case Is(wanted):
            return lambda value: value is wanted
        case Among(values, has_one):
            return _among(frozenset(values), has_one)
        case Both(cells):
            tests = [predicate(each) for each in cells]
            return lambda value: all(holds(value) for holds in tests)
        case OneOf(values, scale):
            if isinstance(values[0], str):
                return values.__contains__
            return _of_number(scale, values.__contains__)
        case Range(scale=scale):
            return _of_number(scale, _inside(cell))


def _among(values: frozenset[str], has_one: bool) -> Callable[[Known | None], bool]:
    def holds(value: Known | None) -> bool:
        if isinstance(value, str):
            return (value in values) is has_one
        return isinstance(value, frozenset) and values.isdisjoint(value) is not has_one

    return holds


def _inside(cell: Range) -> Callable[[Decimal], bool]:
    low, high = cell.low, cell.high
    above = None if low is None else low.__le__ if cell.low_closed else low.__lt__
    below = None if high is None else high.__ge__ if cell.high_closed else high.__gt__
    if below is None:
        return above or (lambda number: True)
    if above is None:
        return below
    return lambda number: above(number) and below(number)


def _of_number(scale: Scale, holds: Callable[[Decimal], bool]) -> Callable[[Known | None], bool]:
    if scale is Scale.NUMBER:
        return lambda value: value.__class__ is Decimal and holds(value)  # pyright: ignore[reportArgumentType]
    if scale is Scale.AT:
        return lambda value: isinstance(value, Moment) and holds(value.at)
    return lambda value: isinstance(value, Moment) and holds(value.ahead)


def measure(cell: Cell) -> Callable[[Known], Decimal | None]:
    """A measure of how far a value lies within the cell, or outside when negative, in its own unit: days for dates and
    instants; None where that has no meaning."""
    if not isinstance(cell, (OneOf, Range)) or (isinstance(cell, OneOf) and isinstance(cell.values[0], str)):
        return lambda value: None
    distance = _distance(cell)
    if cell.scale is Scale.NUMBER:
        return lambda value: distance(value) if value.__class__ is Decimal else None  # pyright: ignore[reportArgumentType]
    if cell.scale is Scale.AT:
        return lambda value: _days(distance(value.at)) if isinstance(value, Moment) else None
    return lambda value: _days(distance(value.ahead)) if isinstance(value, Moment) else None


def _distance(cell: OneOf | Range) -> Callable[[Decimal], Decimal]:
    if isinstance(cell, OneOf):
        numbers = [v for v in cell.values if isinstance(v, Decimal)]
        return lambda number: -min([abs(number - v) for v in numbers])
    low, high = cell.low, cell.high
    if high is None:
        assert low is not None
        return lambda number: number - low
    if low is None:
        return lambda number: high - number
    return lambda number: min(number - low, high - number)


def _days(seconds: Decimal) -> Decimal:
    """Away from zero, so that what lies outside never looks as if it were at the bound."""
    whole, rest = divmod(seconds, DAY)
    return whole if rest == 0 else (seconds / DAY).quantize(_CENT, ROUND_UP)


def side(cell: Cell, value: Known) -> str:
    """On which side of the cell a value lies that does not meet it, in a word; empty where it has no side."""
    if isinstance(cell, OneOf):
        return "off"
    if not isinstance(cell, Range):
        return ""
    number = value if isinstance(value, Decimal) else _on(cell.scale, value)
    if number is None:
        return ""
    below = cell.low is not None and number <= cell.low
    if cell.scale is Scale.NUMBER:
        return "short" if below else "over"
    return "early" if below else "late"


def _on(scale: Scale, value: Known) -> Decimal | None:
    if not isinstance(value, Moment):
        return None
    return value.at if scale is Scale.AT else value.ahead


def to_text(cell: Cell) -> str:
    """The cell in the grammar again, canonical."""
    match cell:
        case Blank():
            return ""
        case Presence(known):
            return "known" if known else "unknown"
        case Is(wanted):
            return "true" if wanted else "false"
        case Among(values, has_one):
            return f"{'any' if has_one else 'none'} of {', '.join(map(_quoted, values))}"
        case Both(cells):
            return " and ".join(map(to_text, cells))
        case OneOf(values, scale):
            texts = ", ".join(_quoted(v) if isinstance(v, str) else bound_text(v, scale) for v in values)
            return f"= {texts}" if len(values) == 1 else texts
        case Range(low, low_closed, None, _, scale) if low is not None:
            return f"{'>=' if low_closed else '>'} {bound_text(low, scale)}"
        case Range(None, _, high, high_closed, scale) if high is not None:
            return f"{'<=' if high_closed else '<'} {bound_text(high, scale)}"
        case Range(low, low_closed, high, high_closed, scale):
            assert low is not None and high is not None
            low_text, high_text = bound_text(low, scale), bound_text(high, scale)
            return f"{'[' if low_closed else '('}{low_text}..{high_text}{']' if high_closed else ')'}"


def _quoted(text: str) -> str:
    return f"'{text}'"


def bound_text(bound: Decimal, scale: Scale) -> str:
    """A bound as the grammar has it."""
    if scale is Scale.NUMBER:
        return plain(bound)
    if scale is Scale.AT:
        return moment_text(bound)
    if bound == 0:
        return "now"
    days, rest = divmod(abs(bound), DAY)
    duration = f"{days:f}d" if rest == 0 else f"{abs(bound) / 3600:f}h"
    return f"now {'-' if bound < 0 else '+'} {duration}"
