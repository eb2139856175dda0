"""The grammar of cells."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.cells import to_text
from stage_engine.domain.grammar import Among, Blank, Cell, CellError, Is, OneOf, Presence, Range, Scale, parse
from stage_engine.engine import cell_fault, to_zen

D = Decimal
_words = st.sampled_from(
    "> <= [ .. ] , + - 7 14d 36h now within last older than any none of contains known 'a' 2026-06-30".split()
)


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
            ("known", Presence(True)),
            ("unknown", Presence(False)),
            ("true", Is(True)),
            ("any of 'a', 'b'", Among(("a", "b"), True)),
            ("contains 'a'", Among(("a",), True)),
            ("none of 'a'", Among(("a",), False)),
            ("< 1970-01-02", Range(None, False, D(86400), False, Scale.AT)),
            (">= 1970-01-01T01:00+01:00", Range(D(0), True, None, False, Scale.AT)),
            ("1970-01-01, 1970-01-02", OneOf((D(0), D(86400)), Scale.AT)),
            ("< now - 14d", Range(None, False, D(-14 * 86400), False, Scale.AHEAD)),
            ("<now-2w", Range(None, False, D(-14 * 86400), False, Scale.AHEAD)),
            ("> now + 36h", Range(D(36 * 3600), False, None, False, Scale.AHEAD)),
            ("within 30d", Range(D(0), True, D(30 * 86400), True, Scale.AHEAD)),
            ("within last 30d", Range(D(-30 * 86400), True, D(0), True, Scale.AHEAD)),
            ("older than 2w", Range(None, False, D(-14 * 86400), False, Scale.AHEAD)),
            ("[now..now + 3d)", Range(D(0), True, D(3 * 86400), False, Scale.AHEAD)),
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
            ("known unknown", 6),
            ("any 'a'", 4),
            ("any of 5", 7),
            ("contains 'a', 'b'", 12),
            ("2026-02-30", 0),
            ("> now - 14", 8),
            ("within now", 7),
            ("[now..2026-06-30]", 6),
            ("older 14d", 6),
            ("= now", 2),
            ("14days", 0),
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

    @pytest.mark.parametrize("cell", ["yes", "= now", "..", "=", "2 days", "'a', b"])
    def test_what_is_out_of_place_may_be_replaced_by_any_of_what_is_named(self, cell: str) -> None:
        """Words that nothing quotes are texts to most people."""
        with pytest.raises(CellError) as caught:
            parse(cell)
        assert "a text in '...'" in caught.value.allowed or "nothing more" in caught.value.allowed

    @given(st.text(alphabet="0123456789.<>=[](),' ab-", max_size=12) | st.lists(_words, max_size=6).map(" ".join))
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
