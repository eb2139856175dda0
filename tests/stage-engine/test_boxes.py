"""The algebra over cells."""

from decimal import Decimal

from hypothesis import given
from stage_engine.domain.boxes import contains, example, intersect
from stage_engine.domain.cells import measure, predicate
from stage_engine.domain.grammar import Cell, Range

from tests.rule_tables import cells, numbers, ranges, texts

D = Decimal


class TestBoxes:
    @given(cells, cells, numbers | texts)
    def test_an_intersection_holds_exactly_where_both_do(self, a: Cell, b: Cell, value: Decimal | str) -> None:
        both = predicate(a)(value) and predicate(b)(value)
        joint = intersect((a, b))
        assert (joint is not None and predicate(joint)(value)) == both

    @given(cells, cells, numbers | texts)
    def test_what_contains_a_cell_holds_wherever_it_does(self, a: Cell, b: Cell, value: Decimal | str) -> None:
        if contains(a, b) and predicate(b)(value):
            assert predicate(a)(value)

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
