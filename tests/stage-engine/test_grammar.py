"""The grammar of cells."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.grammar import Blank, Cell, CellError, OneOf, Range, parse, to_text, to_zen
from stage_engine.engine import cell_fault

D = Decimal


class TestGrammar:
    @pytest.mark.parametrize(
        ("cell", "meaning"),
        [
            ("", Blank()),
            ("  ", Blank()),
            ("> 60", Range(D(60), False, None, False)),
            (">=60.50", Range(D("60.5"), True, None, False)),
            ("< -3", Range(None, False, D(-3), False)),
            ("<= 0", Range(None, False, D(0), True)),
            ("= 100", OneOf((D(100),))),
            ("100", OneOf((D(100),))),
            ("1.50", OneOf((D("1.5"),))),
            ("= 'hot'", OneOf(("hot",))),
            ("'a', 'b, c'", OneOf(("a", "b, c"))),
            ("1, 2, 1", OneOf((D(1), D(2)))),
            ("[10..20]", Range(D(10), True, D(20), True)),
            ("(10..20)", Range(D(10), False, D(20), False)),
            ("[-10.5 .. -2)", Range(D("-10.5"), True, D(-2), False)),
            ("[5..5]", Range(D(5), True, D(5), True)),
        ],
    )
    def test_reads(self, cell: str, meaning: Cell) -> None:
        assert parse(cell) == meaning
        assert parse(to_text(meaning)) == meaning
        assert cell_fault(cell) is None

    @pytest.mark.parametrize(
        ("cell", "position"),
        [
            ("> > 60", 2),
            (">", 1),
            ("60 >", 3),
            ("> 'a'", 2),
            ("1, 'a'", 3),
            ("'a', 1", 5),
            ("1,", 2),
            ("[10..20", 7),
            ("[10,20]", 3),
            ("[20..10]", 0),
            ("(5..5]", 0),
            ("hot", 0),
            ("'open", 0),
            ("> 60 and < 70", 5),
            ("$ > 60", 0),
            ("!= 5", 0),
            ("1e5", 1),
            ("true", 0),
            ("> 1234567890123456", 2),
            ("> 0.0000000000001", 2),
            ("'back\\slash'", 0),
        ],
    )
    def test_refuses_with_the_place_and_what_is_allowed(self, cell: str, position: int) -> None:
        with pytest.raises(CellError) as caught:
            parse(cell)
        assert caught.value.position == position
        assert caught.value.allowed

    @given(st.text(alphabet="0123456789.<>=[](),' ab-", max_size=12))
    def test_whatever_it_accepts_the_engine_accepts_too(self, cell: str) -> None:
        try:
            meaning = parse(cell)
        except CellError:
            return
        assert parse(to_text(meaning)) == meaning
        assert cell_fault(cell) is None

    def test_bare_forms_that_the_engine_would_never_match_are_not_used(self) -> None:
        assert to_zen(parse("= 100")) == "$ == 100"
        assert to_zen(parse("1.50")) == "$ == 1.5"
        assert to_zen(parse("'a', 'b'")) == "$ in ['a', 'b']"
