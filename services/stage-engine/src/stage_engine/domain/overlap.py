"""Which cells of one fact have a value in common, for many cells at once."""

from collections.abc import Iterable, Sequence

from stage_engine.domain.grammar import Among, Blank, Both, Cell, Is, OneOf, Presence, Range, Scale

# A value is a bit in each of these: what it is, and how far from now.
Mask = tuple[int, int]
_ALL = -1


class _Line:
    """Numbers cut at every bound: each bound and each stretch between two is a bit, from `first` on."""

    def __init__(self, cells: Iterable[Cell], scale: Scale, first: int) -> None:
        ranges = [c for c in cells if isinstance(c, (OneOf, Range)) and c.scale is scale]
        bounds = {b for c in ranges if isinstance(c, Range) for b in (c.low, c.high) if b is not None}
        bounds.update(v for c in ranges if isinstance(c, OneOf) for v in c.values if not isinstance(v, str))
        self.place = {number: first + 2 * i + 1 for i, number in enumerate(sorted(bounds))}
        self.first, self.top = first, first + 2 * len(bounds)
        self.all = (1 << self.top + 1) - (1 << first)

    def range(self, cell: Range) -> int:
        low = self.first if cell.low is None else self.place[cell.low] + (not cell.low_closed)
        high = self.top if cell.high is None else self.place[cell.high] - (not cell.high_closed)
        return (1 << high + 1) - (1 << low)


class _Map:
    """A bit for every value that these cells can tell apart."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.numbers = _Line(cells, Scale.NUMBER, 0)
        self.moments = _Line(cells, Scale.AT, self.numbers.top + 1)
        self.ahead = _Line(cells, Scale.AHEAD, 1)
        texts = dict.fromkeys(v for c in cells if isinstance(c, (Among, OneOf)) for v in c.values if isinstance(v, str))
        place = self.moments.top + 1
        # Every text named and one that is not; the set of each alone, of all together, and of nothing.
        self.text = {text: place + i for i, text in enumerate(texts)}
        self.other = place + len(texts)
        self.single = {text: self.other + 1 + i for i, text in enumerate(texts)}
        end = self.other + 1 + len(texts)
        self.other_single, self.all_texts, self.nothing, self.no, self.yes, self.unknown = range(end, end + 6)
        self.texts = (1 << self.other + 1) - (1 << place)
        self.sets = (1 << self.nothing + 1) - (1 << self.other + 1)

    def mask(self, cell: Cell) -> Mask:
        match cell:
            case Blank():
                return _ALL, _ALL
            case Presence(known):
                return (~(1 << self.unknown) if known else 1 << self.unknown), _ALL
            case Is(wanted):
                return 1 << (self.yes if wanted else self.no), _ALL
            case Among(values, has_one):
                return self._among(values, has_one=has_one), _ALL
            case OneOf(values, scale):
                place = {Scale.NUMBER: self.numbers, Scale.AT: self.moments, Scale.AHEAD: self.ahead}[scale].place
                return _bits(self.text[v] if isinstance(v, str) else place[v] for v in values), _ALL
            case Range(scale=Scale.NUMBER):
                return self.numbers.range(cell), _ALL
            case Range(scale=Scale.AT):
                return self.moments.range(cell), _ALL
            case Range():
                return self.moments.all, self.ahead.range(cell)
            case Both(cells):
                found = _ALL, _ALL
                for each in cells:
                    what, when = self.mask(each)
                    if isinstance(each, Among):
                        # Several sets at once need more than a bit can say; rather one overlap too many.
                        what |= self.sets
                    found = found[0] & what, found[1] & when
                return found

    def _among(self, values: tuple[str, ...], *, has_one: bool) -> int:
        named = _bits(place for v in values for place in (self.text[v], self.single[v]))
        if has_one:
            return named | 1 << self.all_texts
        every = self.texts | self.sets
        return every & ~named & ~(1 << self.all_texts)


def _bits(places: Iterable[int]) -> int:
    found = list(places)
    bits = bytearray(max(found) // 8 + 1)
    for place in found:
        bits[place // 8] |= 1 << place % 8
    return int.from_bytes(bits, "little")


def overlap_masks(cells: Sequence[Cell]) -> list[Mask]:
    """For each of these cells of one fact two sets of bits: two cells have a value in common exactly where both their
    sets have a bit in common."""
    parts = [part for cell in cells for part in (cell.cells if isinstance(cell, Both) else (cell,))]
    return [*map(_Map(parts).mask, cells)]
