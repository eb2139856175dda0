"""The engine against our own reading of the rules."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_engine.domain.cells import predicate, to_text
from stage_engine.domain.evaluate import EngineDisagreement, Ruleset, findings_of
from stage_engine.domain.grammar import Cell, Range
from stage_engine.domain.literals import Known, known
from stage_engine.domain.parsed import Tables
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import Rule, RuleMode
from stage_engine.domain.stages import Condition
from stage_engine.engine import ZenMatcher, compiled

from tests.rule_tables import FACTS, NOW, known_facts, numbers, pipeline_of, ranges, tables

D = Decimal


class TestEngine:
    @settings(max_examples=300, deadline=None)
    @given(tables(), st.lists(known_facts(FACTS), min_size=1, max_size=6))
    def test_it_agrees_with_our_reading_on_every_table(
        self, pipeline: Pipeline, samples: list[dict[str, Known]]
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
    @given(ranges(), numbers, st.sampled_from([D(0), D("0.01"), D("-0.01"), D("0.000000000001")]))
    def test_it_agrees_at_the_very_bounds(self, cell: Cell, other: Decimal, step: Decimal) -> None:
        assert isinstance(cell, Range)
        bound = cell.low if cell.low is not None else cell.high
        assert bound is not None
        rule = Rule("r", "a", "b", (Condition("demo.score", to_text(cell)),), RuleMode.AUTO)
        rules = compiled(pipeline_of([rule]))
        for value in (bound + step, bound - step, other):
            assert bool(rules.hits("a", {"demo.score": value})) == predicate(cell)(value)

    def test_digits_that_a_float_would_lose_still_count(self) -> None:
        rule = Rule("r", "a", "won", (Condition("demo.score", "= 100"),), RuleMode.AUTO)
        engine = ZenMatcher(Tables.of(pipeline_of([rule])))
        assert engine("a", {"demo.score": D("99.99999999999")}) == []
        assert engine("a", {"demo.score": D("100.000")}) == ["r"]

    @pytest.mark.parametrize(
        ("cell", "yes", "no"),
        [
            ("known", D(0), None),
            ("unknown", None, ""),
            ("true", True, D(1)),
            ("false", False, D(0)),
            ("= 1", D(1), True),
            ("any of 'a', 'b'", frozenset({"b", "c"}), frozenset({"c"})),
            ("contains 'a'", "a", "b"),
            ("none of 'a', 'b'", frozenset(), frozenset({"a"})),
            ("none of 'a'", "b", None),
            ("< 2026-06-15", date(2026, 6, 14), date(2026, 6, 15)),
            ("= 2026-06-15", date(2026, 6, 15), NOW),
            (">= 2026-06-15T13:30Z", NOW, NOW - timedelta(seconds=1)),
            # Of a date, now is today: a date of today is not past.
            ("< now", date(2026, 6, 14), date(2026, 6, 15)),
            ("< now", NOW - timedelta(seconds=1), NOW),
            ("within 2w", date(2026, 6, 29), date(2026, 6, 30)),
            ("within last 36h", NOW - timedelta(hours=36), NOW - timedelta(hours=37)),
            ("within 36h", NOW + timedelta(hours=36), NOW + timedelta(hours=37)),
            ("older than 14d", date(2026, 5, 31), date(2026, 6, 1)),
            ("> now + 3d", date(2026, 6, 19), date(2026, 6, 18)),
            ("[now - 1d..now + 1d]", NOW - timedelta(days=1), date(2026, 6, 17)),
        ],
    )
    def test_each_kind_of_cell_means_the_same_to_both(self, cell: str, yes: Any, no: Any) -> None:
        rule = Rule("r", "a", "b", (Condition("opportunity.thing", cell),), RuleMode.AUTO)
        rules = compiled(pipeline_of([rule]))
        for value, expected in ((yes, True), (no, False)):
            facts = {} if value is None else {"opportunity.thing": known(value, NOW)}
            assert bool(rules.hits("a", facts)) == expected, value

    def test_a_disagreement_is_never_decided_by_one_side(self) -> None:
        rule = Rule("r", "a", "b", (Condition("demo.score", "> 60"),), RuleMode.AUTO)
        rules = Ruleset(Tables.of(pipeline_of([rule])), lambda stage, facts: [])
        with pytest.raises(EngineDisagreement):
            rules.hits("a", {"demo.score": D(70)})

    def test_a_disagreement_becomes_a_rejected_decision_that_keeps_the_evidence(self, world: Any) -> None:
        opportunity = world.opportunity()
        broken = Ruleset(Tables.of(world.pipeline()), lambda stage, facts: [])
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), broken)
        assert [r.code for r in decision.reasons] == ["ENGINE_DISAGREEMENT"]
        assert decision.opportunity.stage_key == "prospecting"
        assert decision.opportunity.scores["prospecting"].score == 70

    def test_a_fault_while_the_guards_of_a_skip_are_asked_is_no_guess_either(self, world: Any) -> None:
        pipeline = world.pipeline(rule_0={"to_stage": "demo"}, skip_policy="if_guards_hold")
        engine = ZenMatcher(Tables.of(pipeline))
        rules = Ruleset(
            Tables.of(pipeline), lambda stage, facts: engine(stage, facts) if stage == "prospecting" else ["?"]
        )
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert [r.code for r in decision.reasons] == ["ENGINE_DISAGREEMENT"]
