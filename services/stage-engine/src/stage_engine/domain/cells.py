"""What a cell asks of one known value."""

from collections.abc import Callable
from decimal import Decimal

from stage_engine.domain.grammar import Blank, Cell, Literal, OneOf


def predicate(cell: Cell) -> Callable[[Literal], bool]:
    """A test of whether a known value meets the cell. A value of the other type meets nothing."""
    if isinstance(cell, OneOf):
        return cell.values.__contains__
    if isinstance(cell, Blank):
        return lambda value: True
    low, high = cell.low, cell.high
    above = None if low is None else low.__le__ if cell.low_closed else low.__lt__
    below = None if high is None else high.__ge__ if cell.high_closed else high.__gt__

    def holds(value: Literal) -> bool:
        return not isinstance(value, str) and (above is None or above(value)) and (below is None or below(value))

    return holds


def measure(cell: Cell) -> Callable[[Literal], Decimal | None]:
    """A measure of how far a value lies within the cell, or outside when negative; None where that has no meaning."""
    if isinstance(cell, Blank):
        return lambda value: None
    if isinstance(cell, OneOf):
        numbers = [v for v in cell.values if isinstance(v, Decimal)]
        if not numbers:
            return lambda value: None
        return lambda value: None if isinstance(value, str) else -min([abs(value - v) for v in numbers])
    low, high = cell.low, cell.high
    if high is None:
        assert low is not None
        return lambda value: None if isinstance(value, str) else value - low
    if low is None:
        return lambda value: None if isinstance(value, str) else high - value
    return lambda value: None if isinstance(value, str) else min(value - low, high - value)
