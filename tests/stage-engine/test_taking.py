"""What sources say of facts, and which word counts."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.decision import Code
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.taking import taken

CONDITIONS = [
    {"fact": "account.seats", "cell": "> 10"},
    {"fact": "account.industry", "cell": "known"},
    {"fact": "account.tags", "cell": "contains 'key'"},
    {"fact": "account.seen_at", "cell": "< now"},
    {"fact": "opportunity.type", "cell": "known"},
    {"fact": "contacts.champions", "cell": ">= 1"},
]
FACTS = [
    {"name": "account.seats", "type": "decimal", "sources": ["crm", "dialler"]},
    {"name": "account.industry", "type": "text"},
    {"name": "account.tags", "type": "texts"},
    {"name": "account.seen_at", "type": "instant"},
    {"name": "account.unread", "type": "text"},
]


@pytest.fixture(scope="module")
def pipeline(world: Any) -> Pipeline:
    return world.pipeline(facts=FACTS, rule_0={"conditions": CONDITIONS})


@pytest.fixture(scope="module")
def fresh(world: Any) -> Opportunity:
    return world.opportunity()


class TestTaken:
    def test_only_what_the_pipeline_reads_is_kept(self, world: Any, pipeline: Pipeline, fresh: Opportunity) -> None:
        facts = [world.fact("account.unread", "x"), world.fact("account.seats", 3), world.fact("nobody.knows", "x")]
        found = taken(fresh, pipeline, facts, world.start)
        assert (found.opportunity.facts.keys(), found.reasons) == ({"account.seats"}, ())
        assert found.changed == {"account.seats"}

    @pytest.mark.parametrize(
        ("name", "value", "given", "code"),
        [
            ("account.seats", "3", {}, Code.FACT_TYPE),
            ("account.seats", True, {}, Code.FACT_TYPE),
            ("account.seats", Decimal("NaN"), {}, Code.FACT_TYPE),
            ("account.seats", Decimal(10) ** 16, {}, Code.FACT_TYPE),
            ("account.seats", 3, {"source": "weather"}, Code.FACT_SOURCE),
            ("account.industry", frozenset({"x"}), {}, Code.FACT_TYPE),
            ("account.tags", "key", {}, Code.FACT_TYPE),
            ("account.industry", "x", {"observed_at": timedelta(minutes=6)}, Code.FACT_FUTURE),
            ("prospecting.score", 100, {}, Code.FACT_SOURCE),
        ],
    )
    def test_what_cannot_be_so_is_refused_with_a_reason(
        self, world: Any, fresh: Opportunity, name: str, value: Any, given: dict[str, Any], code: Code
    ) -> None:
        both = [*CONDITIONS, {"fact": "prospecting.score", "cell": "> 60"}]
        reading = world.pipeline(facts=FACTS, rule_0={"conditions": both})
        if "observed_at" in given:
            given = {"observed_at": world.start + given["observed_at"]}
        found = taken(
            fresh, reading, [world.fact(name, value, **given), world.fact("opportunity.type", "new")], world.start
        )
        assert ([r.code for r in found.reasons], found.reasons[0].fact) == ([code], name)
        assert found.changed == {"opportunity.type"}

    def test_a_clock_may_be_five_minutes_ahead(self, world: Any, pipeline: Pipeline, fresh: Opportunity) -> None:
        fact = world.fact("account.industry", "x", observed_at=world.at(5))
        assert taken(fresh, pipeline, [fact], world.start).changed == {"account.industry"}

    def test_unknown_replaces_a_value(self, world: Any, pipeline: Pipeline, fresh: Opportunity) -> None:
        known = taken(fresh, pipeline, [world.fact("account.industry", "x")], world.start).opportunity
        emptied = taken(known, pipeline, [world.fact("account.industry", None)], world.start)
        assert emptied.changed == {"account.industry"}
        assert emptied.opportunity.facts["account.industry"].value is None
        assert not taken(fresh, pipeline, [world.fact("account.industry", None)], world.start).changed

    def test_the_source_that_goes_first_is_in_force_while_it_knows(
        self, world: Any, pipeline: Pipeline, fresh: Opportunity
    ) -> None:
        other = taken(fresh, pipeline, [world.fact("account.seats", 5, "dialler")], world.start).opportunity
        both = taken(other, pipeline, [world.fact("account.seats", 9)], world.start)
        assert both.opportunity.facts["account.seats"].value == 9
        later = taken(both.opportunity, pipeline, [world.fact("account.seats", 6, "dialler")], world.start)
        assert not later.changed
        assert later.opportunity.facts["account.seats"].value == 9
        gone = taken(later.opportunity, pipeline, [world.fact("account.seats", None)], world.start)
        assert gone.opportunity.facts["account.seats"].value == 6

    def test_an_older_word_changes_nothing(self, world: Any, pipeline: Pipeline, fresh: Opportunity) -> None:
        first, second = world.fact("account.seats", 1), world.fact("account.seats", 2)
        now = taken(fresh, pipeline, [second], world.start).opportunity
        late = taken(now, pipeline, [first], world.start)
        assert ([r.code for r in late.reasons], late.opportunity) == ([Code.FACT_STALE], now)
        assert taken(now, pipeline, [second], world.start) == taken(now, pipeline, [second, second], world.start)

    def test_a_source_that_another_version_let_write_has_no_say(self, world: Any, fresh: Opportunity) -> None:
        before, now = (
            world.pipeline(facts=[{"name": "account.industry", "type": "text", "sources": sources}],
                           rule_0={"conditions": CONDITIONS[1:2]})
            for sources in ([], ["crm"])
        )  # fmt: skip
        said = taken(fresh, before, [world.fact("account.industry", "x", "dialler")], world.start).opportunity
        after = taken(said, now, [world.fact("account.industry", "y")], world.start).opportunity
        assert (after.facts["account.industry"].value, after.other_facts) == ("y", ())

    def test_of_a_fact_that_all_may_write_some_words_are_kept(
        self, world: Any, pipeline: Pipeline, fresh: Opportunity
    ) -> None:
        now = fresh
        for number in range(100):
            fact = world.fact("account.industry", f"v{number}", f"s{number:03}", observed_at=world.at(number))
            now = taken(now, pipeline, [fact], world.at(number)).opportunity
        assert now.facts["account.industry"].value == "v99"
        assert {fact.source for fact in now.other_facts} == {f"s{number:03}" for number in range(90, 99)}
        assert taken(now, pipeline, [world.fact("account.industry", "old", "s001")], world.start).opportunity == now

    @given(
        st.lists(st.tuples(st.sampled_from(["crm", "dialler"]), st.integers(0, 5), st.integers(0, 3)), max_size=8),
        st.randoms(use_true_random=False),
    )
    def test_any_order_of_arrival_ends_the_same(
        self, world: Any, pipeline: Pipeline, fresh: Opportunity, said: list[tuple[str, int, int]], random: Any
    ) -> None:
        once = {(source, number): value for source, number, value in said}
        facts = [
            FactInForce("account.seats", Decimal(value) if value else None, source, world.start, number)
            for (source, number), value in once.items()
        ]
        in_order = taken(fresh, pipeline, facts, world.start).opportunity
        random.shuffle(facts)
        one_by_one = fresh
        for fact in facts:
            one_by_one = taken(one_by_one, pipeline, [fact], world.start).opportunity
        assert one_by_one.facts == in_order.facts
        assert set(one_by_one.other_facts) == set(in_order.other_facts)
