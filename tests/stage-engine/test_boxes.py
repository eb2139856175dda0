"""The algebra over cells."""

from decimal import Decimal
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.boxes import contains, example, intersect
from stage_engine.domain.cells import measure, predicate
from stage_engine.domain.grammar import Cell, Range
from stage_engine.domain.literals import Known, known
from stage_engine.domain.overlap import overlap_masks

from tests.rule_tables import NOW, cells, literals, numbers, ranges

D = Decimal


class TestBoxes:
    @given(cells, cells, literals.map(lambda v: known(v, NOW)))
    def test_an_intersection_holds_exactly_where_both_do(self, a: Cell, b: Cell, value: Known) -> None:
        both = predicate(a)(value) and predicate(b)(value)
        joint = intersect((a, b))
        assert (joint is not None and predicate(joint)(value)) == both

    @given(cells, cells, literals.map(lambda v: known(v, NOW)))
    def test_what_contains_a_cell_holds_wherever_it_does(self, a: Cell, b: Cell, value: Known) -> None:
        if contains(a, b) and predicate(b)(value):
            assert predicate(a)(value)

    @given(st.lists(cells, min_size=2, max_size=6))
    def test_masks_meet_exactly_where_two_cells_do(self, some: list[Cell]) -> None:
        for (a, mask), (b, other) in combinations(zip(some, overlap_masks(some), strict=True), 2):
            assert (mask[0] & other[0] != 0 and mask[1] & other[1] != 0) == (intersect((a, b)) is not None)

    @given(cells)
    def test_an_example_meets_its_cell(self, cell: Cell) -> None:
        value = example(cell)
        assert value is None or predicate(cell)(value)

    @given(ranges(), numbers)
    def test_a_margin_is_the_way_to_the_bound(self, cell: Cell, value: Decimal) -> None:
        margin = measure(cell)(value)
        assert margin is not None
        if margin != 0:
            assert predicate(cell)(value) == (margin > 0)
        assert isinstance(cell, Range)
        bounds = [b for b in (cell.low, cell.high) if b is not None]
        assert abs(margin) in [abs(value - b) for b in bounds]
