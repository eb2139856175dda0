"""Modes of rules, competing rules, skips."""

from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.decision import Code, Outcome, TransitionKind

from tests.decisions import after, codes


class TestRules:
    def test_a_shadow_rule_is_recorded_and_moves_nothing(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "shadow"})
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert (decision.outcome, codes(decision)) == (Outcome.NO_OP, [Code.RULE_SHADOW])
        assert decision.rule_id == "prospecting_to_discovery"
        assert after(decision).earned_stage == "prospecting"

    def test_a_rule_that_is_off_does_not_exist(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "off"})
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert (decision.outcome, decision.reasons) == (Outcome.NO_OP, ())

    @pytest.mark.parametrize(("priority", "expected"), [(0, "closed_lost"), (5, "discovery")])
    def test_a_disqualifier_beats_a_pass_unless_priorities_say_otherwise(
        self, world: Any, priority: int, expected: str
    ) -> None:
        lost = {
            "rule_id": "zz_disqualified", "from_stage": "prospecting", "to_stage": "closed_lost", "mode": "auto",
            "conditions": [{"fact": "prospecting.score", "cell": ">= 65"}], "priority": priority,
        }  # fmt: skip
        rules = world.ruleset(rules=[*world.document()["rules"], lost])
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert after(decision).stage_key == expected

    def test_an_unknown_fact_disables_the_rule_until_it_is_known(self, world: Any) -> None:
        conditions = [{"fact": "prospecting.score", "cell": "> 60"}, {"fact": "opportunity.amount", "cell": "> 0"}]
        rules = world.ruleset(rule_0={"conditions": conditions})
        opportunity = world.opportunity(rules=rules, amount=None)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert [(r.code, r.fact) for r in decision.reasons] == [(Code.MISSING, "opportunity.amount")]
        unrelated = world.decide(after(decision), world.observation("prospecting", amount=None, owner_id="x"), rules)
        assert unrelated.outcome is Outcome.NO_OP
        supplied = world.decide(after(unrelated), world.observation("prospecting", amount=Decimal(5)), rules)
        assert (supplied.outcome, after(supplied).stage_key) == (Outcome.ACCEPTED, "discovery")
        assert supplied.crm_target_stage == "discovery"

    def test_an_unrelated_change_does_not_fire_a_threshold_again(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "propose"})
        opportunity = world.opportunity(rules=rules)
        opportunity = after(world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules))
        decision = world.decide(opportunity, world.observation("prospecting", amount=Decimal(77)), rules)
        assert (decision.outcome, decision.reasons) == (Outcome.NO_OP, ())
        assert after(decision).amount == 77

    def test_one_input_moves_an_opportunity_once(self, world: Any) -> None:
        stages = world.document()["stages"]
        stages[1]["assessment_keys"] = ["prospecting", "discovery"]
        onward = {"conditions": [{"fact": "prospecting.score", "cell": "> 60"}]}
        rules = world.ruleset(stages=stages, rule_1=onward)
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert after(decision).stage_key == "discovery"


class TestSkip:
    skipping = {"to_stage": "demo"}  # noqa: RUF012 - a literal for several tests

    def test_a_rule_may_not_skip_where_the_pipeline_forbids(self, world: Any) -> None:
        rules = world.ruleset(rule_0=self.skipping)
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert codes(decision) == [Code.SKIP_FORBIDDEN]

    def test_a_rule_may_skip_when_the_guards_of_the_skipped_stages_hold(self, world: Any) -> None:
        rules = world.ruleset(rule_0=self.skipping, skip_policy="if_guards_hold")
        opportunity = world.opportunity(rules=rules)
        refused = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert [(r.code, r.fact) for r in refused.reasons] == [(Code.MISSING, "discovery.score")]
        proven = after(world.decide(opportunity, world.submission("discovery", "80", opportunity), rules))
        decision = world.decide(proven, world.submission("prospecting", "70", proven), rules)
        assert decision.transition is not None
        assert (decision.transition.kind, decision.transition.skipped) == (TransitionKind.SKIP, ("discovery",))
        assert after(decision).visit_no == proven.visit_no + 1
