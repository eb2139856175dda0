"""Exact algebra over cells: which values meet several cells at once, and an example of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from stage_engine.domain.cells import predicate
from stage_engine.domain.grammar import Blank, Cell, Literal, OneOf, Range, is_empty


@dataclass(frozen=True, slots=True)
class Domain:
    """Values a fact can take: numbers between bounds (None: unbounded), or exactly the `values` when they are few."""

    low: Decimal | None = None
    high: Decimal | None = None
    values: tuple[Decimal, ...] = ()
    text: bool = False


def intersect(cells: Sequence[Cell]) -> Cell | None:
    """The one cell that holds where all of them do; None when that is nowhere."""
    result: Cell = Blank()
    for cell in cells:
        if isinstance(cell, Blank):
            continue
        if isinstance(result, Blank):
            result = cell
        elif isinstance(result, OneOf) or isinstance(cell, OneOf):
            one, other = (result, cell) if isinstance(result, OneOf) else (cell, result)
            assert isinstance(one, OneOf)
            values = tuple(v for v in one.values if predicate(other)(v))
            if not values:
                return None
            result = OneOf(values)
        else:
            result = _narrow(result, cell)
            if is_empty(result):
                return None
    return result


def _narrow(a: Range, b: Range) -> Range:
    low, low_closed = a.low, a.low_closed
    if b.low is not None and (low is None or b.low > low or (b.low == low and not b.low_closed)):
        low, low_closed = b.low, b.low_closed
    high, high_closed = a.high, a.high_closed
    if b.high is not None and (high is None or b.high < high or (b.high == high and not b.high_closed)):
        high, high_closed = b.high, b.high_closed
    return Range(low, low_closed, high, high_closed)


def overlap_masks(cells: Sequence[Cell]) -> list[int]:
    """For each of these cells of one fact a set of bits: two cells have a value in common exactly where their sets
    have a bit in common. Numbers are cut at every bound; a number and the stretch above it are a bit each."""
    literals = {v for cell in cells if isinstance(cell, OneOf) for v in cell.values}
    bounds = {b for cell in cells if isinstance(cell, Range) for b in (cell.low, cell.high) if b is not None}
    numbers = sorted(bounds.union(v for v in literals if isinstance(v, Decimal)))
    place: dict[Literal, int] = {number: 2 * i + 1 for i, number in enumerate(numbers)}
    top = 2 * len(numbers)
    place.update((text, top + 1 + i) for i, text in enumerate(v for v in literals if isinstance(v, str)))

    def mask(cell: Cell) -> int:
        if isinstance(cell, Blank):
            return -1
        if isinstance(cell, OneOf):
            bits = bytearray((top + len(literals)) // 8 + 1)
            for value in cell.values:
                bits[place[value] // 8] |= 1 << place[value] % 8
            return int.from_bytes(bits, "little")
        low = 0 if cell.low is None else place[cell.low] + (not cell.low_closed)
        high = top if cell.high is None else place[cell.high] - (not cell.high_closed)
        return (1 << high + 1) - (1 << low)

    return [mask(cell) for cell in cells]


def within(domain: Domain) -> Cell:
    """The domain as a cell."""
    if domain.values:
        return OneOf(domain.values)
    if domain.low is None and domain.high is None:
        return Blank()
    return Range(domain.low, True, domain.high, True)


def contains(outer: Cell, inner: Cell) -> bool:
    """Whether every value of the inner cell is one of the outer."""
    if isinstance(outer, Blank):
        return True
    if isinstance(inner, Blank):
        return False
    if isinstance(inner, OneOf):
        return all(predicate(outer)(v) for v in inner.values)
    if isinstance(outer, OneOf):
        return inner.low is not None and inner.low == inner.high and inner.low in outer.values
    return _narrow(outer, inner) == inner


def example(cell: Cell) -> Literal | None:
    """A value that meets the cell; None for a blank one."""
    if isinstance(cell, Blank):
        return None
    if isinstance(cell, OneOf):
        return cell.values[0]
    low, high = cell.low, cell.high
    if low is not None and high is not None:
        if cell.low_closed:
            return low
        return high if cell.high_closed else (low + high) / 2
    if low is not None:
        return low if cell.low_closed else low + 1
    assert high is not None
    return high if cell.high_closed else high - 1
