"""The earned stage follows what is in force."""

from datetime import timedelta
from typing import Any

import pytest
from stage_engine.domain.decision import Code
from stage_engine.domain.earning import Support, earned_stage, support_of

from tests.decisions import OVERRIDE, after, codes


class TestEarnedStage:
    def test_it_falls_when_its_evidence_does(self, world: Any) -> None:
        opportunity = world.opportunity()
        first = world.submission("prospecting", "70", opportunity)
        opportunity = after(world.decide(opportunity, first))
        assert (opportunity.stage_key, opportunity.earned_stage) == ("discovery", "discovery")
        worse = world.submission("prospecting", "40", None, attempt_no=2)
        fallen = world.decide(opportunity, worse)
        assert (after(fallen).stage_key, after(fallen).earned_stage) == ("discovery", "prospecting")
        assert codes(fallen) == [Code.NOT_CURRENT_STAGE, Code.NO_LONGER_SUPPORTED]

    def test_an_override_stays_when_support_falls(self, world: Any) -> None:
        opportunity = world.opportunity()
        command = world.command(opportunity, "discovery", **OVERRIDE)
        opportunity = after(world.decide(opportunity, command, now=world.at(60)))
        weak = world.submission("discovery", "10", opportunity, captured_at=world.at(61))
        after_it = after(world.decide(opportunity, weak))
        assert after_it.override == opportunity.override
        assert (after_it.stage_key, after_it.earned_stage) == ("discovery", "prospecting")

    def test_later_steps_count_as_soon_as_the_missing_one_is_proven(self, world: Any) -> None:
        opportunity = world.opportunity("negotiation")
        for assessment, earned in (("discovery", "prospecting"), ("prospecting", "demo"), ("demo", "negotiation")):
            opportunity = after(world.decide(opportunity, world.submission(assessment, "90", opportunity)))
            assert opportunity.earned_stage == earned

    def test_a_new_cycle_does_not_live_on_evidence_of_the_old(self, world: Any) -> None:
        opportunity = world.opportunity("negotiation")
        won = after(world.decide(opportunity, world.submission("sales_feedback", "100", opportunity)))
        reopened = after(world.decide(won, world.command(won, "negotiation", reason_code="BOUNCED")))
        late = after(world.decide(reopened, world.submission("demo", "90", reopened)))
        assert late.earned_stage == "prospecting"
        assert earned_stage(late, world.rules, world.start) == late.earned_stage


class TestAge:
    @pytest.mark.parametrize("limit", [{"evidence_max_age": 30}, {"assessment_max_age": {"prospecting": 30}}])
    def test_evidence_counts_for_so_many_days(self, world: Any, limit: dict[str, Any]) -> None:
        rules = world.ruleset(rule_0={"mode": "propose"}, **limit)
        opportunity = world.opportunity(rules=rules)
        given = world.submission("prospecting", "70", opportunity, captured_at=world.start)
        opportunity = after(world.decide(opportunity, given, rules))
        assert opportunity.earned_stage == "discovery"
        for days, earned in ((30, "discovery"), (30.01, "prospecting")):
            seen = world.decide(
                opportunity, world.observation("prospecting"), rules, world.start + timedelta(days=days)
            )
            assert after(seen).earned_stage == earned
            assert (Code.NO_LONGER_SUPPORTED in codes(seen)) == (earned == "prospecting")

    def test_evidence_that_arrives_too_late_moves_nothing(self, world: Any) -> None:
        rules = world.ruleset(evidence_max_age=30)
        opportunity = world.opportunity(rules=rules)
        given = world.submission("prospecting", "70", opportunity, captured_at=world.start)
        late = world.decide(opportunity, given, rules, world.start + timedelta(days=31))
        assert codes(late) == [Code.EXPIRED]
        assert after(late).stage_key == "prospecting"


class TestSupport:
    def test_no_evidence_yet_is_not_the_same_as_evidence_against_it(self, world: Any) -> None:
        opportunity = world.opportunity("discovery")
        for score, support in ((None, "no_evidence"), ("40", "contradicted"), ("70", "supported")):
            if score is not None:
                given = world.submission("prospecting", score, opportunity, attempt_no=int(score))
                opportunity = after(world.decide(opportunity, given))
            assert support_of(opportunity, world.rules, world.start) is Support(support)
