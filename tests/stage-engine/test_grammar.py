"""The grammar of cells."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.grammar import Blank, Cell, CellError, OneOf, Range, parse, to_text, to_zen
from stage_engine.domain.pipeline import Category, Condition, Pipeline, Rule, RuleMode, SkipPolicy, Stage
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


numbers = st.decimals(-1000, 1000, places=2) | st.integers(-5, 5).map(D) | st.sampled_from([D("59.999999999999")])

texts = st.sampled_from(["a", "b", "it is", "ü", ""])


def _ranges() -> st.SearchStrategy[Cell]:
    one_sided = st.builds(lambda sign, n: parse(f"{sign} {n:f}"), st.sampled_from([">", ">=", "<", "<="]), numbers)
    two_sided = st.builds(
        lambda a, b, lc, hc: Range(min(a, b), lc or a == b, max(a, b), hc or a == b),
        numbers, numbers, st.booleans(), st.booleans(),
    )  # fmt: skip
    return one_sided | two_sided


cells: st.SearchStrategy[Cell] = (
    st.just(Blank())
    | _ranges()
    | st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda v: OneOf(tuple(v)))
    | st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda v: OneOf(tuple(v)))
)

FACTS = ("demo.score", "sales-feedback.score", "opportunity.amount", "opportunity.owner_id")


def _pipeline(rules: list[Rule]) -> Pipeline:
    stages = (
        Stage("a", "A", Category.OPEN, ("demo", "sales-feedback")),
        Stage("b", "B", Category.OPEN),
        Stage("won", "Won", Category.WON),
        Stage("lost", "Lost", Category.LOST),
    )
    return Pipeline("p", 1, "P", stages, tuple(rules), SkipPolicy.FORBID)


@st.composite
def tables(draw: st.DrawFn) -> Pipeline:
    rules = []
    for number in range(draw(st.integers(1, 5))):
        conditions = draw(st.lists(st.tuples(st.sampled_from(FACTS), cells), min_size=1, max_size=3))
        rules.append(
            Rule(
                f"r{number}",
                draw(st.sampled_from(["a", None])),
                draw(st.sampled_from(["b", "won", "lost"])),
                tuple(Condition(fact, to_text(cell)) for fact, cell in conditions),
                draw(st.sampled_from([RuleMode.AUTO, RuleMode.SHADOW, RuleMode.OFF])),
                draw(st.integers(-1, 2)),
            )
        )
    return _pipeline(rules)
