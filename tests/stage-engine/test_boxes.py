"""The algebra over cells."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.boxes import contains, example, intersect
from stage_engine.domain.evaluate import measure, predicate
from stage_engine.domain.grammar import Blank, Cell, OneOf, Range, parse, to_text
from stage_engine.domain.pipeline import Category, Condition, Pipeline, Rule, RuleMode, SkipPolicy, Stage

D = Decimal

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

    @given(_ranges(), numbers)
    def test_a_margin_is_the_way_to_the_bound(self, cell: Cell, value: Decimal) -> None:
        margin = measure(cell)(value)
        assert margin is not None
        if margin != 0:
            assert predicate(cell)(value) == (margin > 0)
        assert isinstance(cell, Range)
        bounds = [b for b in (cell.low, cell.high) if b is not None]
        assert abs(margin) in [abs(value - b) for b in bounds]
