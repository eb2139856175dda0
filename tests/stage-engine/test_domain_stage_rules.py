"""The grammar of cells, and the engine against our own reading of it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_engine.domain.boxes import contains, example, intersect
from stage_engine.domain.evaluate import EngineDisagreement, Ruleset, findings_of, measure, predicate
from stage_engine.domain.grammar import Blank, Cell, CellError, OneOf, Range, parse, to_text, to_zen
from stage_engine.domain.pipeline import Category, Condition, Pipeline, Rule, RuleMode, SkipPolicy, Stage
from stage_engine.engine import RuleEngine, cell_fault, compiled

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


class TestEngine:
    @settings(max_examples=300, deadline=None)
    @given(tables(), st.lists(st.dictionaries(st.sampled_from(FACTS), numbers | texts), min_size=1, max_size=6))
    def test_it_agrees_with_our_reading_on_every_table(
        self, pipeline: Pipeline, samples: list[dict[str, Decimal | str]]
    ) -> None:
        rules = compiled(pipeline)
        for facts in samples:
            hits = rules.hits("a", facts)
            order = [(p.rule.priority, p.kind, p.rule.rule_id) for p in hits]
            assert order == sorted(order)
            assert hits == [p for p in rules.tables["a"] if not findings_of(p, facts).unmet]

    @given(tables(), st.frozensets(st.sampled_from(FACTS)))
    def test_a_rule_is_asked_when_a_fact_it_reads_has_changed(
        self, pipeline: Pipeline, changed: frozenset[str]
    ) -> None:
        rules = compiled(pipeline)
        for _ in range(2):
            asked = rules.asked("a", changed)
            reading = [p for p in rules.tables["a"] if changed & {c.fact for c in p.conditions}]
            assert list(asked.rules) == reading
            assert list(asked.acting) == [p for p in reading if p.acts]
            assert list(asked.facts) == sorted({c.fact for p in reading for c in p.conditions})

    @settings(max_examples=200, deadline=None)
    @given(_ranges(), numbers, st.sampled_from([D(0), D("0.01"), D("-0.01"), D("0.000000000001")]))
    def test_it_agrees_at_the_very_bounds(self, cell: Cell, other: Decimal, step: Decimal) -> None:
        assert isinstance(cell, Range)
        bound = cell.low if cell.low is not None else cell.high
        assert bound is not None
        rule = Rule("r", "a", "b", (Condition("demo.score", to_text(cell)),), RuleMode.AUTO)
        rules = compiled(_pipeline([rule]))
        for value in (bound + step, bound - step, other):
            assert bool(rules.hits("a", {"demo.score": value})) == predicate(cell)(value)

    def test_digits_that_a_float_would_lose_still_count(self) -> None:
        rule = Rule("r", "a", "won", (Condition("demo.score", "= 100"),), RuleMode.AUTO)
        engine = RuleEngine(_pipeline([rule]))
        assert engine("a", {"demo.score": D("99.99999999999")}) == []
        assert engine("a", {"demo.score": D("100.000")}) == ["r"]

    def test_a_disagreement_is_never_decided_by_one_side(self) -> None:
        rule = Rule("r", "a", "b", (Condition("demo.score", "> 60"),), RuleMode.AUTO)
        rules = Ruleset(_pipeline([rule]), lambda stage, facts: [])
        with pytest.raises(EngineDisagreement):
            rules.hits("a", {"demo.score": D(70)})

    def test_a_disagreement_becomes_a_rejected_decision_that_keeps_the_evidence(self, world: Any) -> None:
        deal = world.deal()
        broken = Ruleset(world.pipeline(), lambda stage, facts: [])
        decision = world.decide(deal, world.submission("prospecting", "70", deal), broken)
        assert [r.code for r in decision.reasons] == ["ENGINE_DISAGREEMENT"]
        assert decision.instance.stage_key == "prospecting"
        assert decision.instance.scores["prospecting"].score == 70

    def test_a_fault_while_the_guards_of_a_skip_are_asked_is_no_guess_either(self, world: Any) -> None:
        pipeline = world.pipeline(rule_0={"to_stage": "demo"}, skip_policy="if_guards_hold")
        engine = RuleEngine(pipeline)
        rules = Ruleset(pipeline, lambda stage, facts: engine(stage, facts) if stage == "prospecting" else ["?"])
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert [r.code for r in decision.reasons] == ["ENGINE_DISAGREEMENT"]


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
