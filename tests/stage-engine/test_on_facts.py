"""Facts that sources report, and what rules make of them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.decision import Code, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Occasion

from tests.decisions import after, codes

INDUSTRY = {"name": "account.industry", "type": "text"}


@pytest.fixture(scope="module")
def rules(world: Any) -> Ruleset:
    conditions = [
        {"fact": "account.industry", "cell": "none of 'Tobacco'"},
        {"fact": "contacts.decision_makers", "cell": ">= 2"},
    ]
    return world.ruleset(facts=[INDUSTRY], rule_0={"conditions": conditions})


class TestOnFacts:
    def test_a_rule_fires_when_the_last_fact_it_reads_arrives(self, world: Any, rules: Ruleset) -> None:
        opportunity = world.opportunity(rules=rules)
        first = world.decide(opportunity, world.facts(world.fact("account.industry", "Retail")), rules)
        assert (first.outcome, codes(first)) == (Outcome.NO_OP, [Code.MISSING])
        short = world.decide(after(first), world.facts(world.fact("contacts.decision_makers", 1)), rules)
        assert short.near_misses[0].margin == -1
        assert short.reasons[0].message.endswith("needed: >= 2; 1 contact short")
        moved = world.decide(after(short), world.facts(world.fact("contacts.decision_makers", 2)), rules)
        assert (moved.outcome, after(moved).stage_key) == (Outcome.ACCEPTED, "discovery")
        assert dict(moved.facts) == {"account.industry": "Retail", "contacts.decision_makers": "2"}

    def test_a_fact_that_did_not_change_fires_nothing(self, world: Any, rules: Ruleset) -> None:
        first = world.facts(world.fact("account.industry", "Retail"))
        opportunity = after(world.decide(world.opportunity(rules=rules), first, rules))
        again = world.decide(opportunity, world.facts(world.fact("account.industry", "Retail")), rules)
        assert (again.outcome, again.reasons) == (Outcome.NO_OP, ())

    def test_facts_of_a_closed_or_deleted_opportunity_are_kept_and_move_nothing(
        self, world: Any, rules: Ruleset
    ) -> None:
        both = (world.fact("account.industry", "Retail"), world.fact("contacts.decision_makers", 2))
        closed = world.opportunity("closed_lost", rules=rules)
        decision = world.decide(closed, world.facts(*both), rules)
        assert (decision.outcome, codes(decision)) == (Outcome.NO_OP, [Code.TERMINAL])
        assert len(after(decision).facts) == 2
        gone = after(
            world.decide(world.opportunity(rules=rules), world.observation("", occasion=Occasion.DELETED), rules)
        )
        assert codes(world.decide(gone, world.facts(*both), rules)) == [Code.TERMINAL]

    def test_an_unknown_subject_is_refused(self, world: Any, rules: Ruleset) -> None:
        decision = world.decide(None, world.facts(world.fact("account.industry", "Retail")), rules)
        assert (decision.outcome, decision.opportunity) == (Outcome.REJECTED, None)

    def test_facts_older_than_an_override_do_not_undo_it(self, world: Any, rules: Ruleset) -> None:
        opportunity = after(world.decide(world.opportunity("discovery", rules=rules), world.observation(
            "prospecting", committed_at=world.at(10)), rules, world.at(10)))  # fmt: skip
        old = (world.fact("account.industry", "Retail"), world.fact("contacts.decision_makers", 2))
        held = world.decide(opportunity, world.facts(*old), rules, world.at(11))
        assert Code.OVERRIDE_ACTIVE in codes(held)
        new = world.facts(world.fact("contacts.decision_makers", 3, observed_at=world.at(11)))
        assert world.decide(after(held), new, rules, world.at(11)).outcome is Outcome.ACCEPTED

    def test_an_observation_brings_facts_too(self, world: Any, rules: Ruleset) -> None:
        both = (world.fact("account.industry", "Retail"), world.fact("contacts.decision_makers", 2))
        opportunity = world.opportunity(rules=rules)
        future = tuple(world.fact(f.name, f.value, observed_at=world.at(60)) for f in both)
        decision = world.decide(opportunity, world.observation("prospecting", facts=future), rules)
        assert after(decision).stage_key == "discovery"
        assert after(decision).facts["account.industry"].observed_at == world.start


class TestTime:
    def test_what_is_late_says_so_in_days(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"conditions": [{"fact": "opportunity.close_date", "cell": "within 30d"}]})
        opportunity = world.opportunity(rules=rules, close_date="")
        today = world.start.date()
        for day, words in ((today + timedelta(days=33), "3 days late"), (today - timedelta(days=1), "1 day early")):
            decision = world.decide(opportunity, world.observation("prospecting", close_date=day.isoformat()), rules)
            assert decision.reasons[0].message.endswith(words)
            assert decision.reasons[0].unit == "days"
        at_last = world.observation("prospecting", close_date=(today + timedelta(days=30)).isoformat())
        assert world.decide(opportunity, at_last, rules).outcome is Outcome.ACCEPTED

    def test_money_falls_short_in_its_currency(self, world: Any) -> None:
        rules = world.ruleset(
            currency="EUR", rule_0={"conditions": [{"fact": "opportunity.amount", "cell": ">= 12000"}]}
        )
        decision = world.decide(
            world.opportunity(rules=rules, amount=None),
            world.observation("prospecting", amount=Decimal(10000), currency="EUR"),
            rules,
        )
        assert decision.reasons[0].message.endswith("2,000 EUR short")

    def test_ages_count_whole_days_until_the_decision(self, world: Any) -> None:
        conditions = [
            {"fact": "opportunity.age_days", "cell": "= 10"},
            {"fact": "visit.age_days", "cell": "= 3"},
            {"fact": "opportunity.type", "cell": "known"},
        ]
        rules = world.ruleset(rule_0={"conditions": conditions})
        created = world.fact("opportunity.created_at", world.start - timedelta(days=7))
        opportunity = after(world.decide(world.opportunity(rules=rules), world.facts(created), rules))
        for days, outcome in ((2.9, Outcome.NO_OP), (3, Outcome.ACCEPTED)):
            given = world.facts(world.fact("opportunity.type", "new"))
            assert world.decide(opportunity, given, rules, world.start + timedelta(days=days)).outcome is outcome


class TestEvidence:
    def test_answers_and_sections_are_facts_of_their_assessment(self, world: Any) -> None:
        conditions = [
            {"fact": "prospecting.sections.budget", "cell": ">= 10"},
            {"fact": "prospecting.answers.sponsor", "cell": "true"},
            {"fact": "prospecting.answers.tools", "cell": "any of 'sheet', 'crm'"},
            {"fact": "prospecting.answers.since", "cell": "unknown"},
        ]
        rules = world.ruleset(rule_0={"conditions": conditions})
        opportunity = world.opportunity(rules=rules)
        details = {"sections.budget": Decimal(10), "answers.sponsor": True, "answers.tools": frozenset({"crm"})}
        for name, wrong in (
            ("sections.budget", Decimal(9)),
            ("answers.sponsor", False),
            ("answers.since", world.start),
        ):
            given = world.submission("prospecting", "5", opportunity, details=tuple({**details, name: wrong}.items()))
            decision = world.decide(opportunity, given, rules)
            assert [r.fact for r in decision.reasons] == [f"prospecting.{name}"]
        given = world.submission("prospecting", "5", opportunity, details=tuple(details.items()))
        assert world.decide(opportunity, given, rules).outcome is Outcome.ACCEPTED
