"""Scores: thresholds, eligibility, order, what is earned."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from stage_engine.domain.decision import Cause, Code, Outcome, TransitionKind
from stage_engine.messages import stage_decided

from tests.builders import submission_scored
from tests.decisions import after, codes


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
        opportunity = world.opportunity(stage)
        decision = world.decide(opportunity, world.submission(assessment, score, opportunity))
        assert decision.outcome is (Outcome.ACCEPTED if moves_to else Outcome.REJECTED)
        assert after(decision).stage_key == (moves_to or stage)
        assert after(decision).revision == opportunity.revision + bool(moves_to)

    def test_an_accepted_move_says_everything_about_itself(self, world: Any) -> None:
        opportunity = world.opportunity()
        given = world.submission("prospecting", "70", opportunity)
        decision = world.decide(opportunity, given)
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
        opportunity = world.opportunity()
        lost = (("compliance", Decimal(30)), ("hours", Decimal(20)))
        decision = world.decide(opportunity, world.submission("prospecting", "56", opportunity, lost=lost))
        assert [(r.code, r.fact, r.margin) for r in decision.reasons] == [
            (Code.FAILED, "prospecting.score", Decimal(-4))
        ]
        (miss,) = decision.near_misses
        assert (miss.rule_id, miss.margin, miss.cell) == ("prospecting_to_discovery", Decimal(-4), "> 60")
        assert miss.question_keys == ("compliance", "hours")
        assert decision.crm_target_stage == ""

    def test_a_blocked_score_is_missing_and_names_the_questions(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.submission("prospecting", None, opportunity, unanswered=("hours",)))
        assert codes(decision) == [Code.MISSING]
        assert "hours" in decision.reasons[0].message


class TestEligibility:
    def test_evidence_of_another_stage_is_stored_and_moves_nothing(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.submission("demo", "100", opportunity))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.NOT_CURRENT_STAGE])
        assert after(decision).scores["demo"].score == 100
        assert after(decision).revision == opportunity.revision

    def test_evidence_of_an_earlier_visit_of_the_same_stage_moves_nothing(self, world: Any) -> None:
        opportunity = world.opportunity()
        late = world.submission("prospecting", "70", opportunity)
        forward = after(world.decide(opportunity, world.submission("prospecting", "70", opportunity)))
        back = after(world.decide(forward, world.command(forward, "prospecting", reason_code="MISTAKE")))
        decision = world.decide(back, late)
        assert codes(decision) == [Code.NOT_CURRENT_STAGE]
        assert after(decision).stage_key == "prospecting"

    def test_evidence_of_a_visit_that_never_was_is_not_kept(self, world: Any) -> None:
        opportunity = world.opportunity("discovery")
        kept = after(world.decide(opportunity, world.submission("discovery", "60", opportunity)))
        for visit in ({"stage_key": "demo"}, {"visit_no": 7}):
            wrong = world.submission("discovery", "100", kept, attempt_no=9, **visit)
            decision = world.decide(kept, wrong)
            assert codes(decision) == [Code.NOT_CURRENT_STAGE]
            assert after(decision).scores == kept.scores
            plain_move = world.command(after(decision), "demo", role="rep")
            assert world.decide(after(decision), plain_move).outcome is Outcome.REJECTED

    def test_the_latest_attempt_counts_whatever_the_order_of_arrival(self, world: Any) -> None:
        opportunity = world.opportunity()
        second = world.submission("prospecting", "40", opportunity, attempt_no=2)
        first = world.submission("prospecting", "70", opportunity, attempt_no=1, received_at=world.at(500))
        opportunity = after(world.decide(opportunity, second))
        decision = world.decide(opportunity, first)
        assert codes(decision) == [Code.SUPERSEDED]
        assert after(decision).stage_key == "prospecting"
        assert after(decision).scores["prospecting"].score == 40

    def test_between_equal_attempts_the_one_received_later_counts(self, world: Any) -> None:
        opportunity = world.opportunity()
        late_clock = world.submission(
            "prospecting", "50", opportunity, captured_at=world.at(9999), received_at=world.at(1)
        )
        opportunity = after(world.decide(opportunity, late_clock))
        decision = world.decide(
            opportunity, world.submission("prospecting", "70", opportunity, received_at=world.at(2))
        )
        assert decision.outcome is Outcome.ACCEPTED

    def test_a_rescoring_of_the_same_answers_counts(self, world: Any) -> None:
        opportunity = world.opportunity()
        given = world.submission("prospecting", "50", opportunity)
        opportunity = after(world.decide(opportunity, given))
        again = replace(given, score=Decimal(70), profile_version=2)
        assert again.identity != given.identity
        assert world.decide(opportunity, again).outcome is Outcome.ACCEPTED

    def test_a_score_after_the_close_is_stored_only(self, world: Any) -> None:
        opportunity = world.opportunity("closed_lost")
        decision = world.decide(opportunity, world.submission("sales_feedback", "100", opportunity))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.TERMINAL])
        assert after(decision).stage_key == "closed_lost"
        assert after(decision).earned_stage == opportunity.earned_stage

    def test_an_opportunity_never_seen_stays_unknown(self, world: Any) -> None:
        decision = world.decide(None, world.submission("prospecting", "70"))
        assert (codes(decision), decision.opportunity) == ([Code.MISSING], None)

    def test_an_opportunity_of_another_version_is_not_judged(self, world: Any) -> None:
        opportunity = world.opportunity().changed(pipeline_version=7)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity))
        assert codes(decision) == [Code.VERSION_MISMATCH]


class TestEarnedStage:
    def test_it_follows_while_the_claim_is_ahead(self, world: Any) -> None:
        opportunity = world.opportunity("negotiation")
        assert opportunity.earned_stage == "prospecting"
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity))
        assert codes(decision) == [Code.NOT_CURRENT_STAGE]
        assert (after(decision).stage_key, after(decision).earned_stage) == ("negotiation", "discovery")
        decision = world.decide(after(decision), world.submission("discovery", "75", after(decision)))
        assert after(decision).earned_stage == "discovery"
        assert decision.near_misses[0].fact == "discovery.score"

    def test_a_proposal_is_earned_before_anybody_confirms_it(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "propose"})
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules)
        assert (decision.outcome, decision.proposed_stage) == (Outcome.PROPOSED, "discovery")
        assert (after(decision).stage_key, after(decision).earned_stage) == ("prospecting", "discovery")
        assert (decision.transition, decision.crm_target_stage) == (None, "")
        confirmed = world.decide(
            after(decision), world.command(after(decision), "discovery", role="rep", actor="mona"), rules
        )
        assert confirmed.outcome is Outcome.ACCEPTED
        assert after(confirmed).override is None


class TestRight:
    def test_answers_of_whoever_does_not_own_it_are_no_evidence(self, world: Any) -> None:
        """Their right could not be checked on receipt, for the owner was not known yet."""
        opportunity = world.opportunity(owner_id="rita")
        given = {"entitled": False, "attempt_no": 2}
        foreign = world.decide(
            opportunity, world.submission("prospecting", "70", opportunity, submitted_by="eve", **given)
        )
        assert (foreign.outcome, codes(foreign)) == (Outcome.REJECTED, [Code.NOT_OWNER])
        assert after(foreign).scores == {}
        own = world.submission("prospecting", "70", opportunity, submitted_by="rita", entitled=False)
        assert world.decide(after(foreign), own).outcome is Outcome.ACCEPTED

    @pytest.mark.parametrize("owner_id", ["", "rita"])
    def test_a_right_that_was_checked_holds_whoever_owns_it_now(self, world: Any, owner_id: str) -> None:
        opportunity = world.opportunity(owner_id=owner_id)
        given = world.submission("prospecting", "70", opportunity, submitted_by="eve", entitled=True)
        assert world.decide(opportunity, given).outcome is Outcome.ACCEPTED

    def test_they_go_no_further(self, world: Any) -> None:
        opportunity = world.opportunity(owner_id="rita")
        given = world.submission("prospecting", "70", opportunity, submitted_by="eve", entitled=False)
        for each, sent in ((given, False), (replace(given, entitled=True), True)):
            decision = world.decide(opportunity, each)
            message = stage_decided(decision, UUID(int=1), each, submission_scored(), None, "opportunity")
            assert message.HasField("submission") is sent
