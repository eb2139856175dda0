"""Scores against rules: thresholds, eligibility, order, modes, competing rules."""

from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, TransitionKind
from stage_engine.domain.inputs import Sight
from stage_engine.domain.state import Instance


def codes(decision: Decision) -> list[Code]:
    return [reason.code for reason in decision.reasons]


def after(decision: Decision) -> Instance:
    assert decision.instance is not None
    return decision.instance


class TestThresholds:
    @pytest.mark.parametrize(
        ("stage", "assessment", "score", "moves_to"),
        [
            ("prospecting", "prospecting", "60", None),
            ("prospecting", "prospecting", "60.0", None),
            ("prospecting", "prospecting", "60.01", "discovery"),
            ("prospecting", "prospecting", "60.000000000001", "discovery"),
            ("prospecting", "prospecting", "61", "discovery"),
            ("discovery", "discovery", "75", None),
            ("discovery", "discovery", "76", "demo"),
            ("demo", "demo", "80", None),
            ("demo", "demo", "81", "negotiation"),
            ("negotiation", "sales_feedback", "99", None),
            ("negotiation", "sales_feedback", "99.999999999999", None),
            ("negotiation", "sales_feedback", "100", "closed_won"),
            ("negotiation", "sales_feedback", "100.00", "closed_won"),
            ("negotiation", "sales_feedback", "101", None),
        ],
    )
    def test_the_field_example_moves_exactly_beyond_its_thresholds(
        self, world: Any, stage: str, assessment: str, score: str, moves_to: str | None
    ) -> None:
        deal = world.deal(stage)
        decision = world.decide(deal, world.submission(assessment, score, deal))
        assert decision.outcome is (Outcome.ACCEPTED if moves_to else Outcome.REJECTED)
        assert after(decision).stage_key == (moves_to or stage)
        assert after(decision).revision == deal.revision + bool(moves_to)

    def test_an_accepted_move_says_everything_about_itself(self, world: Any) -> None:
        deal = world.deal()
        given = world.submission("prospecting", "70", deal)
        decision = world.decide(deal, given)
        transition = decision.transition
        assert transition is not None
        assert (transition.kind, transition.cause) == (TransitionKind.ADVANCE, Cause.RULE)
        assert (transition.rule_id, transition.submission_id) == ("prospecting_to_discovery", given.submission_id)
        assert (transition.revision, transition.visit_no, transition.cycle_no) == (2, 2, 1)
        assert decision.margin == 10
        assert decision.facts == (("prospecting.score", "70"),)
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("prospecting", "discovery")
        assert after(decision).earned_stage == "discovery"
        assert after(decision).decision_no == 2

    def test_a_miss_tells_how_far_and_which_questions(self, world: Any) -> None:
        deal = world.deal()
        lost = (("compliance", Decimal(30)), ("hours", Decimal(20)))
        decision = world.decide(deal, world.submission("prospecting", "56", deal, lost=lost))
        assert [(r.code, r.fact, r.margin) for r in decision.reasons] == [
            (Code.FAILED, "prospecting.score", Decimal(-4))
        ]
        (miss,) = decision.near_misses
        assert (miss.rule_id, miss.margin, miss.cell) == ("prospecting_to_discovery", Decimal(-4), "> 60")
        assert miss.question_keys == ("compliance", "hours")
        assert decision.crm_target_stage == ""

    def test_a_blocked_score_is_missing_and_names_the_questions(self, world: Any) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.submission("prospecting", None, deal, unanswered=("hours",)))
        assert codes(decision) == [Code.MISSING]
        assert "hours" in decision.reasons[0].message


class TestEligibility:
    def test_evidence_of_another_stage_is_stored_and_moves_nothing(self, world: Any) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.submission("demo", "100", deal))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.NOT_CURRENT_STAGE])
        assert after(decision).scores["demo"].score == 100
        assert after(decision).revision == deal.revision

    def test_evidence_of_an_earlier_visit_of_the_same_stage_moves_nothing(self, world: Any) -> None:
        deal = world.deal()
        late = world.submission("prospecting", "70", deal)
        forward = after(world.decide(deal, world.submission("prospecting", "70", deal)))
        back = after(world.decide(forward, world.command(forward, "prospecting", reason_code="MISTAKE")))
        decision = world.decide(back, late)
        assert codes(decision) == [Code.NOT_CURRENT_STAGE]
        assert after(decision).stage_key == "prospecting"

    def test_the_latest_attempt_counts_whatever_the_order_of_arrival(self, world: Any) -> None:
        deal = world.deal()
        second = world.submission("prospecting", "40", deal, attempt_no=2)
        first = world.submission("prospecting", "70", deal, attempt_no=1, received_at=world.at(500))
        deal = after(world.decide(deal, second))
        decision = world.decide(deal, first)
        assert codes(decision) == [Code.SUPERSEDED]
        assert after(decision).stage_key == "prospecting"
        assert after(decision).scores["prospecting"].score == 40

    def test_between_equal_attempts_the_one_received_later_counts(self, world: Any) -> None:
        deal = world.deal()
        late_clock = world.submission("prospecting", "50", deal, captured_at=world.at(9999), received_at=world.at(1))
        deal = after(world.decide(deal, late_clock))
        decision = world.decide(deal, world.submission("prospecting", "70", deal, received_at=world.at(2)))
        assert decision.outcome is Outcome.ACCEPTED

    def test_a_rescoring_of_the_same_answers_counts(self, world: Any) -> None:
        deal = world.deal()
        given = world.submission("prospecting", "50", deal)
        deal = after(world.decide(deal, given))
        again = given._replace(score=Decimal(70), profile_version=2)
        assert again.identity != given.identity
        assert world.decide(deal, again).outcome is Outcome.ACCEPTED

    def test_a_score_after_the_close_is_stored_only(self, world: Any) -> None:
        deal = world.deal("closed_lost")
        decision = world.decide(deal, world.submission("sales_feedback", "100", deal))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.TERMINAL])
        assert after(decision).stage_key == "closed_lost"
        assert after(decision).earned_stage == deal.earned_stage

    def test_a_deal_never_seen_stays_unknown(self, world: Any) -> None:
        decision = world.decide(None, world.submission("prospecting", "70"))
        assert (codes(decision), decision.instance) == ([Code.MISSING], None)

    def test_a_deal_of_another_version_is_not_judged(self, world: Any) -> None:
        deal = world.deal()._replace(pipeline_version=7)
        decision = world.decide(deal, world.submission("prospecting", "70", deal))
        assert codes(decision) == [Code.VERSION_MISMATCH]


class TestEarnedStage:
    def test_it_follows_while_the_claim_is_ahead(self, world: Any) -> None:
        deal = world.deal("negotiation")
        assert deal.earned_stage == "prospecting"
        decision = world.decide(deal, world.submission("prospecting", "70", deal))
        assert codes(decision) == [Code.NOT_CURRENT_STAGE]
        assert (after(decision).stage_key, after(decision).earned_stage) == ("negotiation", "discovery")
        decision = world.decide(after(decision), world.submission("discovery", "75", after(decision)))
        assert after(decision).earned_stage == "discovery"
        assert decision.near_misses[0].fact == "discovery.score"

    def test_a_proposal_is_earned_before_anybody_confirms_it(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "propose"})
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert (decision.outcome, decision.proposed_stage) == (Outcome.PROPOSED, "discovery")
        assert (after(decision).stage_key, after(decision).earned_stage) == ("prospecting", "discovery")
        assert (decision.transition, decision.crm_target_stage) == (None, "")
        confirmed = world.decide(
            after(decision), world.command(after(decision), "discovery", role="rep", actor="rita"), rules
        )
        assert confirmed.outcome is Outcome.ACCEPTED
        assert after(confirmed).override is None


class TestRules:
    def test_a_shadow_rule_is_recorded_and_moves_nothing(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "shadow"})
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert (decision.outcome, codes(decision)) == (Outcome.NO_OP, [Code.RULE_SHADOW])
        assert decision.rule_id == "prospecting_to_discovery"
        assert after(decision).earned_stage == "prospecting"

    def test_a_rule_that_is_off_does_not_exist(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "off"})
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
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
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert after(decision).stage_key == expected

    def test_an_unknown_fact_disables_the_rule_until_it_is_known(self, world: Any) -> None:
        conditions = [{"fact": "prospecting.score", "cell": "> 60"}, {"fact": "opportunity.amount", "cell": "> 0"}]
        rules = world.ruleset(rule_0={"conditions": conditions})
        deal = world.deal(rules=rules, amount=None)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert [(r.code, r.fact) for r in decision.reasons] == [(Code.MISSING, "opportunity.amount")]
        unrelated = world.decide(after(decision), world.observation("prospecting", amount=None, owner_id="x"), rules)
        assert unrelated.outcome is Outcome.NO_OP
        supplied = world.decide(after(unrelated), world.observation("prospecting", amount=Decimal(5)), rules)
        assert (supplied.outcome, after(supplied).stage_key) == (Outcome.ACCEPTED, "discovery")
        assert supplied.crm_target_stage == "discovery"

    def test_an_unrelated_change_does_not_fire_a_threshold_again(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "propose"})
        deal = world.deal(rules=rules)
        deal = after(world.decide(deal, world.submission("prospecting", "70", deal), rules))
        decision = world.decide(deal, world.observation("prospecting", amount=Decimal(77)), rules)
        assert (decision.outcome, decision.reasons) == (Outcome.NO_OP, ())
        assert after(decision).amount == 77

    def test_one_input_moves_a_deal_once(self, world: Any) -> None:
        stages = world.document()["stages"]
        stages[1]["assessment_keys"] = ["prospecting", "discovery"]
        onward = {"conditions": [{"fact": "prospecting.score", "cell": "> 60"}]}
        rules = world.ruleset(stages=stages, rule_1=onward)
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert after(decision).stage_key == "discovery"


class TestSkip:
    skipping = {"to_stage": "demo"}  # noqa: RUF012 - a literal for several tests

    def test_a_rule_may_not_skip_where_the_pipeline_forbids(self, world: Any) -> None:
        rules = world.ruleset(rule_0=self.skipping)
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert codes(decision) == [Code.SKIP_FORBIDDEN]

    def test_a_rule_may_skip_when_the_guards_of_the_skipped_stages_hold(self, world: Any) -> None:
        rules = world.ruleset(rule_0=self.skipping, skip_policy="if_guards_hold")
        deal = world.deal(rules=rules)
        refused = world.decide(deal, world.submission("prospecting", "70", deal), rules)
        assert [(r.code, r.fact) for r in refused.reasons] == [(Code.MISSING, "discovery.score")]
        proven = after(world.decide(deal, world.submission("discovery", "80", deal), rules))
        decision = world.decide(proven, world.submission("prospecting", "70", proven), rules)
        assert decision.transition is not None
        assert (decision.transition.kind, decision.transition.skipped) == (TransitionKind.SKIP, ("discovery",))
        assert after(decision).visit_no == proven.visit_no + 1


class TestWhatComesLate:
    """Numbers order all that the CRM told of a deal; one below the last was replayed."""

    def test_an_older_sight_changes_nothing(self, world: Any) -> None:
        deal = after(world.decide(world.deal(number=1), world.observation("demo", number=5, amount=Decimal(5))))
        late = world.decide(deal, world.observation("discovery", number=3, amount=Decimal(3)))
        assert (late.outcome, [reason.code for reason in late.reasons]) == (Outcome.NO_OP, [Code.STALE_REVISION])
        assert after(late) == deal._replace(decision_no=deal.decision_no + 1)
        newer = world.decide(after(late), world.observation("discovery", number=6))
        assert after(newer).stage_key == "discovery"

    def test_a_deleted_deal_is_not_brought_back_by_an_older_sight(self, world: Any) -> None:
        deal = after(
            world.decide(world.deal(number=1), world.observation("prospecting", number=7, sight=Sight.DELETED))
        )
        assert after(world.decide(deal, world.observation("prospecting", number=4))).deleted
        assert not after(world.decide(deal, world.observation("prospecting", number=8, sight=Sight.UNDELETED))).deleted
