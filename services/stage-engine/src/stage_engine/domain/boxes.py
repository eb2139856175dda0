"""Exact algebra over cells: which values meet several cells at once, and an example of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from stage_engine.domain.cells import bound_text, predicate
from stage_engine.domain.grammar import Among, Blank, Both, Cell, Is, OneOf, Presence, Range, Scale, is_empty
from stage_engine.domain.literals import Known, Moment


@dataclass(frozen=True, slots=True)
class Domain:
    """Values a fact can take: numbers between bounds (None: unbounded), or exactly the `values` when they are few."""

    low: Decimal | None = None
    high: Decimal | None = None
    values: tuple[Decimal, ...] = ()


def intersect(cells: Sequence[Cell]) -> Cell | None:
    """The cell that holds where all of them do; None when that is nowhere."""
    parts: list[Cell] = []
    for each in _parts(cells):
        cell, rest = each, []
        for part in parts:
            joint = _joint(part, cell)
            if joint is None:
                return None
            if isinstance(joint, Both):
                rest.append(part)
            else:
                cell = joint
        parts = [*rest, cell]
    if len(parts) > 1:
        return Both(tuple(parts))
    return parts[0] if parts else Blank()


def _parts(cells: Sequence[Cell]) -> list[Cell]:
    found: list[Cell] = []
    for cell in cells:
        if isinstance(cell, Both):
            found += cell.cells
        elif not isinstance(cell, Blank):
            found.append(cell)
    return found


def _joint(a: Cell, b: Cell) -> Cell | None:
    """Two cells in one, Both where no single cell says so much, None where they exclude one another."""
    if isinstance(b, Presence):
        a, b = b, a
    if isinstance(a, Presence):
        return b if a == b or (a.known and b != Presence(False)) else None
    if isinstance(a, Is) or isinstance(b, Is):
        return a if a == b else None
    if isinstance(b, OneOf):
        a, b = b, a
    if isinstance(a, OneOf):
        return _chosen(a, b)
    if isinstance(a, Among) and isinstance(b, Among):
        return _joint_sets(a, b)
    if not isinstance(a, Range) or not isinstance(b, Range):
        return None
    if a.scale is b.scale:
        narrow = _narrow(a, b)
        return None if is_empty(narrow) else narrow
    return None if Scale.NUMBER in (a.scale, b.scale) else Both((a, b))


def _chosen(some: OneOf, cell: Cell) -> Cell | None:
    """The values that meet the other cell too."""
    if isinstance(cell, Range) and {some.scale, cell.scale} == {Scale.AT, Scale.AHEAD}:
        return Both((some, cell))
    values = tuple(v for v in some.values if predicate(cell)(_value(v, some.scale)))
    return OneOf(values, some.scale) if values else None


def _value(value: Decimal | str, scale: Scale) -> Known:
    if isinstance(value, str) or scale is Scale.NUMBER:
        return value
    return Moment(value, value, bound_text(value, scale))


def _joint_sets(a: Among, b: Among) -> Cell | None:
    if a.has_one is b.has_one is False:
        return Among(tuple(dict.fromkeys((*a.values, *b.values))), False)
    if a.has_one is b.has_one:
        return a if set(a.values) == set(b.values) else Both((a, b))
    some, none = (a, b) if a.has_one else (b, a)
    return None if set(some.values) <= set(none.values) else Both((a, b))


def _narrow(a: Range, b: Range) -> Range:
    low, low_closed = a.low, a.low_closed
    if b.low is not None and (low is None or b.low > low or (b.low == low and not b.low_closed)):
        low, low_closed = b.low, b.low_closed
    high, high_closed = a.high, a.high_closed
    if b.high is not None and (high is None or b.high < high or (b.high == high and not b.high_closed)):
        high, high_closed = b.high, b.high_closed
    return Range(low, low_closed, high, high_closed, a.scale)


def within(domain: Domain) -> Cell:
    """The domain as a cell."""
    if domain.values:
        return OneOf(domain.values)
    if domain.low is None and domain.high is None:
        return Blank()
    return Range(domain.low, True, domain.high, True)


def contains(outer: Cell, inner: Cell) -> bool:
    """Whether every value of the inner cell is known to be one of the outer."""
    if isinstance(outer, Blank) or outer == inner:
        return True
    if isinstance(outer, Both):
        return all(contains(each, inner) for each in outer.cells)
    if isinstance(inner, Both):
        return any(contains(outer, each) for each in inner.cells)
    if isinstance(inner, (Blank, Presence)):
        return False
    if isinstance(outer, Presence):
        return outer.known
    if isinstance(inner, OneOf):
        same = not isinstance(outer, (OneOf, Range)) or outer.scale is inner.scale
        return same and all(predicate(outer)(_value(v, inner.scale)) for v in inner.values)
    if isinstance(inner, Among):
        return isinstance(outer, Among) and _contains_sets(outer, inner)
    if not isinstance(inner, Range):
        return False
    if isinstance(outer, OneOf):
        return outer.scale is inner.scale and inner.low is not None and inner.low == inner.high \
            and inner.low in outer.values  # fmt: skip
    return isinstance(outer, Range) and outer.scale is inner.scale and _narrow(outer, inner) == inner


def _contains_sets(outer: Among, inner: Among) -> bool:
    if outer.has_one is not inner.has_one:
        return False
    less, more = (inner, outer) if outer.has_one else (outer, inner)
    return set(less.values) <= set(more.values)


def example(cell: Cell) -> Known | None:
    """A value that meets the cell; None for one that any known or no value meets, or that names no value by itself."""
    match cell:
        case OneOf(values, scale):
            return _value(values[0], scale)
        case Is(wanted):
            return wanted
        case Among(values, has_one):
            return frozenset(values[:1]) if has_one else frozenset()
        case Range(scale=scale):
            number = _number_in(cell)
            return number if scale is Scale.NUMBER else Moment(number, number, bound_text(number, scale))
        case _:
            return None


def _number_in(cell: Range) -> Decimal:
    low, high = cell.low, cell.high
    if low is not None and high is not None:
        if cell.low_closed:
            return low
        return high if cell.high_closed else (low + high) / 2
    step = 1 if cell.scale is Scale.NUMBER else 86_400
    if low is not None:
        return low if cell.low_closed else low + step
    assert high is not None
    return high if cell.high_closed else high - step
