"""Random cells of rules, and random pipelines made of them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from stage_engine.domain.cells import to_text
from stage_engine.domain.grammar import Among, Blank, Cell, Is, OneOf, Presence, Range, Scale, parse
from stage_engine.domain.literals import DAY, Known, known, seconds
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import SkipPolicy
from stage_engine.domain.rules import Rule, RuleMode
from stage_engine.domain.stages import Category, Condition, Stage

D = Decimal

numbers = st.decimals(-1000, 1000, places=2) | st.integers(-5, 5).map(D) | st.sampled_from([D("59.999999999999")])

texts = st.sampled_from(["a", "b", "it is", "ü", ""])


def ranges() -> st.SearchStrategy[Cell]:
    """Cells with one bound or two."""
    one_sided = st.builds(lambda sign, n: parse(f"{sign} {n:f}"), st.sampled_from([">", ">=", "<", "<="]), numbers)
    two_sided = st.builds(
        lambda a, b, lc, hc: Range(min(a, b), lc or a == b, max(a, b), hc or a == b),
        numbers, numbers, st.booleans(), st.booleans(),
    )  # fmt: skip
    return one_sided | two_sided


def times() -> st.SearchStrategy[Cell]:
    """Cells about dates and instants, fixed or counted from now."""
    days = st.integers(-40, 40)
    fixed = days.map(lambda n: to_text(Range(seconds(NOW.date()) + n * DAY, True, None, False, Scale.AT))[3:])
    clock = days.map(lambda n: f"now {'-' if n < 0 else '+'} {abs(n)}{'h' if n % 3 == 0 else 'd'}")
    sign = st.sampled_from([">", ">=", "<", "<="])
    compared = st.builds(lambda sign, bound: parse(f"{sign} {bound}"), sign, fixed | clock)
    recent = st.builds(
        lambda word, n: parse(f"{word} {n}d"),
        st.sampled_from(["within", "within last", "older than"]),
        st.integers(0, 40),
    )
    return compared | recent | fixed.map(parse)


NOW = datetime(2026, 6, 15, 13, 30, tzinfo=UTC)
_days = st.integers(-41, 41)
moments = _days.map(lambda n: (NOW + timedelta(days=n)).date()) | _days.map(lambda n: NOW + timedelta(hours=7 * n))
sets = st.frozensets(texts, max_size=3)
# What a fact may be worth, whatever a cell asks of it.
literals = numbers | texts | st.booleans() | moments | sets


def known_facts(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Known]]:
    """Facts of random types, some of them unknown."""
    return st.dictionaries(st.sampled_from(names), literals.map(lambda value: known(value, NOW)))


cells: st.SearchStrategy[Cell] = (
    st.just(Blank())
    | ranges()
    | st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda v: OneOf(tuple(v)))
    | st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda v: OneOf(tuple(v)))
    | st.builds(Presence, st.booleans())
    | st.builds(Is, st.booleans())
    | st.builds(lambda v, has: Among(tuple(v), has), st.lists(texts, min_size=1, unique=True), st.booleans())
    | times()
)


def largest_pipeline(shape: str = "all overlap") -> dict[str, Any]:
    """As many stages, rules and conditions as a pipeline may have, whose rules are hard to tell apart."""

    def cell(rule: int, number: int) -> str:
        if shape == "lists":
            return ", ".join(str(12 * rule * (number == 4) + j) for j in range(12))
        apart = shape != "all overlap" and number == 4
        return f"[{2 * rule}..{2 * rule + 1}]" if apart else f"> {rule}.{number}"

    keys = [f"q{i}" for i in range(20)]
    stages = [{"key": f"s{i}", "name": "S", "category": "open", "assessment_keys": keys} for i in range(49)]
    rules = [
        {
            "rule_id": f"r{rule}",
            "from_stage": None,
            "to_stage": "won",
            "priority": rule,
            "conditions": [{"fact": f"q{i}.score", "cell": cell(rule, i)} for i in range(5)],
        }
        for rule in range(200)
    ]
    won = {"key": "won", "name": "Won", "category": "won"}
    rest = {"skip_policy": "forbid", "is_default": True, "stages": [*stages, won], "rules": rules}
    return {"key": "largest", "name": "Largest", **rest}


FACTS = ("demo.score", "sales-feedback.score", "opportunity.amount", "opportunity.owner_id")


def pipeline_of(rules: list[Rule]) -> Pipeline:
    """A pipeline of two open stages with these rules."""
    stages = (
        Stage("a", "A", Category.OPEN, ("demo", "sales-feedback")),
        Stage("b", "B", Category.OPEN),
        Stage("won", "Won", Category.WON),
        Stage("lost", "Lost", Category.LOST),
    )
    return Pipeline("p", 1, "P", stages, tuple(rules), SkipPolicy.FORBID)


@st.composite
def tables(draw: st.DrawFn) -> Pipeline:
    """A pipeline with up to five random rules."""
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
    return pipeline_of(rules)
