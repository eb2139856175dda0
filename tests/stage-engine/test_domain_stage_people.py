"""People: commands, overrides, edits in the CRM, and how they live with automation."""

from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain import sync
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, TransitionKind
from stage_engine.domain.inputs import Sight
from stage_engine.domain.replay import decode_instance, encode_instance
from stage_engine.domain.state import Instance


def codes(decision: Decision) -> list[Code]:
    return [reason.code for reason in decision.reasons]


def after(decision: Decision) -> Instance:
    assert decision.instance is not None
    return decision.instance


def kind(decision: Decision) -> TransitionKind:
    assert decision.transition is not None
    return decision.transition.kind


OVERRIDE: dict[str, Any] = {"override": True, "reason_code": "EXEC", "text": "the board asked for it"}


class TestCommands:
    def test_going_on_without_evidence_is_refused_with_what_is_missing(self, world: Any) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.command(deal, "discovery"))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.MISSING])
        assert decision.reasons[0].fact == "prospecting.score"
        deal = after(world.decide(deal, world.submission("prospecting", "56", deal)))
        decision = world.decide(deal, world.command(deal, "discovery"))
        assert (codes(decision), decision.reasons[0].margin) == ([Code.FAILED], Decimal(-4))

    def test_a_stale_command_is_refused(self, world: Any) -> None:
        deal = world.deal()
        command = world.command(deal, "closed_lost", reason_code="PRICE", expected_revision=deal.revision - 1)
        assert codes(world.decide(deal, command)) == [Code.STALE_REVISION]

    @pytest.mark.parametrize(
        ("given", "missing"),
        [
            ({"override": True, "text": "why"}, "command.reason_code"),
            ({"override": True, "reason_code": "EXEC", "text": " "}, "command.text"),
            ({"override": True, "reason_code": "EXEC", "text": "why", "role": "rep"}, "command.role"),
        ],
    )
    def test_an_override_needs_a_role_a_reason_and_a_text(
        self, world: Any, given: dict[str, Any], missing: str
    ) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.command(deal, "discovery", **given))
        assert [r.fact for r in decision.reasons] == [missing]

    @pytest.mark.parametrize("target", ["prospecting", "closed_lost"])
    def test_going_back_or_giving_up_needs_a_reason(self, world: Any, target: str) -> None:
        deal = world.deal("demo")
        assert codes(world.decide(deal, world.command(deal, target))) == [Code.MISSING]
        decision = world.decide(deal, world.command(deal, target, reason_code="PRICE", role="rep"))
        assert decision.outcome is Outcome.ACCEPTED
        assert kind(decision) is (TransitionKind.REGRESS if target == "prospecting" else TransitionKind.CLOSE_LOST)
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("demo", target)

    def test_the_field_example_lets_nobody_skip_by_command(self, world: Any) -> None:
        deal = world.deal()
        assert codes(world.decide(deal, world.command(deal, "demo", skip=True, **OVERRIDE))) == [Code.SKIP_FORBIDDEN]

    def test_skipping_takes_an_override_where_the_pipeline_says_so(self, world: Any) -> None:
        rules = world.ruleset(skip_policy="override_only")
        deal = world.deal(rules=rules)
        for given in ({}, {"skip": True}, OVERRIDE):
            assert codes(world.decide(deal, world.command(deal, "demo", **given), rules)) == [Code.SKIP_FORBIDDEN]
        decision = world.decide(deal, world.command(deal, "demo", skip=True, **OVERRIDE), rules)
        assert kind(decision) is TransitionKind.SKIP
        assert decision.transition is not None and decision.transition.skipped == ("discovery",)

    def test_skipping_by_guards_asks_for_every_stage_passed_over(self, world: Any) -> None:
        rules = world.ruleset(skip_policy="if_guards_hold")
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.command(deal, "demo", skip=True), rules)
        assert [r.fact for r in decision.reasons] == ["prospecting.score", "discovery.score"]

    def test_a_closed_deal_is_reopened_with_permission_and_starts_a_new_cycle(self, world: Any) -> None:
        deal = world.deal("negotiation")
        deal = after(world.decide(deal, world.submission("sales_feedback", "100", deal)))
        assert (deal.stage_key, deal.earned_stage) == ("closed_won", "closed_won")
        assert codes(world.decide(deal, world.command(deal, "closed_lost", reason_code="X"))) == [Code.TERMINAL]
        refused = world.decide(deal, world.command(deal, "negotiation", role="rep", reason_code="X"))
        assert [r.fact for r in refused.reasons] == ["command.role"]
        decision = world.decide(deal, world.command(deal, "negotiation", reason_code="BOUNCED"))
        assert kind(decision) is TransitionKind.REOPEN
        assert (after(decision).cycle_no, after(decision).earned_stage) == (2, "negotiation")
        won = world.decide(after(decision), world.submission("sales_feedback", "100", after(decision), attempt_no=2))
        assert kind(won) is TransitionKind.CLOSE_WON
        assert won.transition is not None and won.transition.cycle_no == 2

    def test_a_step_without_a_rule_is_a_persons_to_take(self, world: Any) -> None:
        rules = world.ruleset(rules=[])
        deal = world.deal(rules=rules)
        decision = world.decide(deal, world.command(deal, "discovery", role="rep"), rules)
        assert decision.outcome is Outcome.ACCEPTED


class TestOverride:
    def overridden(self, world: Any) -> Instance:
        deal = world.deal()
        return after(world.decide(deal, world.command(deal, "discovery", **OVERRIDE), now=world.at(60)))

    def test_it_is_remembered_with_who_and_why(self, world: Any) -> None:
        deal = self.overridden(world)
        assert deal.override is not None
        assert (deal.override.stage_key, deal.override.actor, deal.override.at) == ("discovery", "mona", world.at(60))
        assert (deal.stage_key, deal.earned_stage) == ("discovery", "prospecting")

    def test_older_evidence_moves_nothing_and_newer_may(self, world: Any) -> None:
        deal = self.overridden(world)
        older = world.submission("discovery", "90", deal, captured_at=world.at(59))
        decision = world.decide(deal, older)
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.OVERRIDE_ACTIVE])
        assert after(decision).stage_key == "discovery" and after(decision).override is not None
        newer = world.submission("discovery", "90", deal, captured_at=world.at(61), attempt_no=2)
        decision = world.decide(after(decision), newer)
        assert after(decision).stage_key == "demo" and after(decision).override is None

    def test_evidence_captured_at_the_same_moment_is_not_older(self, world: Any) -> None:
        deal = self.overridden(world)
        decision = world.decide(deal, world.submission("discovery", "90", deal, captured_at=world.at(60)))
        assert decision.outcome is Outcome.ACCEPTED

    def test_what_was_earned_stays_earned_when_a_person_takes_the_deal_back(self, world: Any) -> None:
        deal = world.deal("demo")
        deal = after(world.decide(deal, world.submission("demo", "90", deal)))
        assert deal.earned_stage == "negotiation"
        back = after(world.decide(deal, world.command(deal, "prospecting", reason_code="X"), now=world.at(60)))
        again = world.submission("prospecting", "70", back, captured_at=world.at(61))
        decision = world.decide(back, again)
        assert (after(decision).stage_key, after(decision).earned_stage) == ("discovery", "negotiation")

    def test_it_ends_when_newer_evidence_agrees(self, world: Any) -> None:
        deal = self.overridden(world)
        old = world.decide(deal, world.submission("prospecting", "70", deal, captured_at=world.at(1), visit_no=1))
        assert after(old).earned_stage == "discovery" and after(old).override is not None
        new = world.decide(deal, world.submission("prospecting", "70", deal, captured_at=world.at(61)))
        assert after(new).earned_stage == "discovery" and after(new).override is None

    def test_it_ends_when_it_expires(self, world: Any) -> None:
        deal = world.deal()
        command = world.command(deal, "discovery", expires_at=world.at(90), **OVERRIDE)
        deal = after(world.decide(deal, command, now=world.at(60)))
        older = world.submission("discovery", "90", deal, captured_at=world.at(59))
        assert codes(world.decide(deal, older, now=world.at(89))) == [Code.OVERRIDE_ACTIVE]
        assert world.decide(deal, older, now=world.at(90)).outcome is Outcome.ACCEPTED

    def test_a_deal_taken_back_stays_when_the_same_evidence_comes_again(self, world: Any) -> None:
        deal = world.deal()
        deal = after(world.decide(deal, world.submission("prospecting", "70", deal)))
        back = after(world.decide(deal, world.command(deal, "prospecting", reason_code="X"), now=world.at(60)))
        stale_visit = world.submission("prospecting", "90", deal, captured_at=world.at(1))
        assert after(world.decide(back, stale_visit)).stage_key == "prospecting"
        mislabelled = world.submission("prospecting", "90", back, captured_at=world.at(1))
        assert codes(world.decide(back, mislabelled)) == [Code.OVERRIDE_ACTIVE]
        fresh = world.submission("prospecting", "61", back, captured_at=world.at(61))
        decision = world.decide(back, fresh)
        assert after(decision).stage_key == "discovery" and after(decision).override is None


class TestReconciliation:
    def test_first_sight_adopts(self, world: Any) -> None:
        for sight, cause in ((Sight.IMPORTED, Cause.IMPORT), (Sight.CREATED, Cause.CRM)):
            decision = world.decide(None, world.observation("demo", sight=sight))
            assert (decision.outcome, kind(decision)) == (Outcome.ACCEPTED, TransitionKind.ADOPT)
            assert decision.transition is not None and decision.transition.cause is cause
            deal = after(decision)
            assert (deal.stage_key, deal.earned_stage, deal.base_stage) == ("demo", "prospecting", "demo")
            assert (deal.revision, deal.visit_no, deal.decision_no, deal.override) == (1, 1, 1, None)
            assert decision.crm_target_stage == ""

    def test_nothing_changed_nothing_happens(self, world: Any) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.observation("prospecting"))
        assert (decision.outcome, after(decision).revision) == (Outcome.NO_OP, deal.revision)

    @pytest.mark.parametrize(
        ("stage", "expected"),
        [
            ("discovery", TransitionKind.ADVANCE),
            ("negotiation", TransitionKind.SKIP),
            ("closed_lost", TransitionKind.CLOSE_LOST),
            ("closed_won", TransitionKind.CLOSE_WON),
        ],
    )
    def test_a_persons_edit_is_adopted_and_not_written_back(
        self, world: Any, stage: str, expected: TransitionKind
    ) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.observation(stage, committed_at=world.at(5)), now=world.at(6))
        assert kind(decision) is expected
        assert decision.transition is not None
        assert (decision.transition.cause, decision.transition.actor) == (Cause.CRM, "carl")
        assert (after(decision).base_stage, decision.crm_target_stage) == (stage, "")
        assert (after(decision).override is not None) is not stage.startswith("closed")

    def test_an_edit_backwards_is_adopted_and_sticks(self, world: Any) -> None:
        deal = world.deal("demo")
        edited = after(world.decide(deal, world.observation("discovery", committed_at=world.at(5)), now=world.at(6)))
        assert (edited.stage_key, edited.visit_no) == ("discovery", 2)
        assert edited.override is not None and edited.override.at == world.at(5)
        older = world.submission("discovery", "100", edited, captured_at=world.at(4))
        assert codes(world.decide(edited, older)) == [Code.OVERRIDE_ACTIVE]

    def moved_by_rule(self, world: Any) -> Instance:
        deal = world.deal()
        return after(world.decide(deal, world.submission("prospecting", "70", deal)))

    def test_our_own_move_is_pending_until_the_crm_agrees(self, world: Any) -> None:
        deal = self.moved_by_rule(world)
        assert (deal.base_stage, deal.in_flight) == ("prospecting", ((2, "discovery"),))
        decision = world.decide(deal, world.observation("prospecting", amount=Decimal(5)))
        assert (decision.outcome, decision.crm_target_stage) == (Outcome.NO_OP, "")
        confirmed = sync.write_confirmed(after(decision), 2, "discovery")
        assert (confirmed.base_stage, confirmed.in_flight) == ("discovery", ())
        assert sync.write_confirmed(confirmed, 1, "prospecting") == confirmed

    def test_the_echo_of_our_write_converges_without_an_override(self, world: Any) -> None:
        deal = self.moved_by_rule(world)
        decision = world.decide(deal, world.observation("discovery"))
        assert decision.outcome is Outcome.NO_OP
        assert (after(decision).base_stage, after(decision).override) == ("discovery", None)

    def test_the_echo_of_an_earlier_write_is_no_edit_and_the_newer_write_is_repeated(self, world: Any) -> None:
        deal = self.moved_by_rule(world)
        deal = after(world.decide(deal, world.submission("discovery", "90", deal)))
        assert deal.stage_key == "demo"
        decision = world.decide(deal, world.observation("discovery", sight=Sight.CONFLICT))
        assert (decision.outcome, after(decision).override) == (Outcome.NO_OP, None)
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("discovery", "demo")

    @pytest.mark.parametrize("stage", ["negotiation", "closed_lost"])
    def test_when_both_moved_the_person_wins(self, world: Any, stage: str) -> None:
        deal = self.moved_by_rule(world)
        decision = world.decide(deal, world.observation(stage, sight=Sight.CONFLICT))
        assert (decision.outcome, codes(decision)) == (Outcome.ACCEPTED, [Code.SUPERSEDED])
        assert (after(decision).stage_key, after(decision).base_stage) == (stage, stage)
        assert (after(decision).in_flight, decision.crm_target_stage) == ((), "")
        assert sync.write_confirmed(after(decision), 2, "discovery") == after(decision)

    def test_an_edit_seen_before_the_write_it_followed_is_adopted_once_the_write_is_told(self, world: Any) -> None:
        edited = world.observation("prospecting", number=3, committed_at=world.at(2))
        deal = after(world.decide(self.moved_by_rule(world), edited))
        assert deal.stage_key == "discovery", "it may be the base that the write will replace"
        deal = sync.write_confirmed(deal, 2, "discovery", 2)
        crossed = sync.unanswered(deal, "w1", 2, "discovery", 2, world.at(1))
        assert crossed is not None
        decision = world.decide(deal, crossed, now=world.at(3))
        assert (decision.outcome, after(decision).stage_key, decision.crm_target_stage) == (
            Outcome.ACCEPTED,
            "prospecting",
            "",
        )
        assert decision.actor == edited.changed_by
        assert sync.unanswered(after(decision), "w1", 2, "discovery", 2, world.at(1)) is None

    def test_a_write_that_went_over_an_edit_is_taken_back(self, world: Any) -> None:
        deal = after(world.decide(self.moved_by_rule(world), world.observation("negotiation", number=2)))
        assert (deal.stage_key, deal.revision) == ("negotiation", 3)
        deal = sync.write_confirmed(deal, 2, "discovery", 3)
        crossed = sync.unanswered(deal, "w1", 2, "discovery", 3, world.at(1))
        assert crossed is not None
        decision = world.decide(deal, crossed, now=world.at(3))
        assert (decision.outcome, after(decision).stage_key) == (Outcome.NO_OP, "negotiation")
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("discovery", "negotiation")
        deal = sync.write_confirmed(after(decision), 3, "negotiation", 4)
        assert deal.base_stage == "negotiation"
        assert sync.unanswered(deal, "w2", 3, "negotiation", 4, world.at(4)) is None

    def test_an_old_report_of_a_write_is_not_taken_for_one_that_went_over_an_edit(self, world: Any) -> None:
        deal = after(world.decide(self.moved_by_rule(world), world.observation("negotiation", number=3)))
        assert sync.write_confirmed(deal, 2, "discovery", 2) == deal
        assert sync.unanswered(deal, "w1", 2, "discovery", 2, world.at(1)) is None

    def test_what_was_stored_before_sights_were_numbered_reads_and_writes_the_same(self, world: Any) -> None:
        deal = self.moved_by_rule(world)
        document = encode_instance(deal)
        assert "last_seen" not in document
        assert encode_instance(decode_instance(document)) == document
        numbered = after(world.decide(deal, world.observation("prospecting", number=3)))
        assert decode_instance(encode_instance(numbered)) == numbered

    def test_a_proposal_completed_by_the_crm_does_not_swallow_the_repeated_write(self, world: Any) -> None:
        conditions = [{"fact": "discovery.score", "cell": "> 75"}, {"fact": "opportunity.amount", "cell": "> 0"}]
        rules = world.ruleset(rule_1={"conditions": conditions, "mode": "propose"})
        deal = world.deal(rules=rules, amount=None)
        deal = after(world.decide(deal, world.submission("prospecting", "70", deal), rules))
        deal = after(world.decide(deal, world.submission("discovery", "90", deal), rules))
        seen = world.observation("prospecting", sight=Sight.CONFLICT, amount=Decimal(5))
        decision = world.decide(deal, seen, rules)
        assert (decision.outcome, decision.proposed_stage) == (Outcome.PROPOSED, "demo")
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("prospecting", "discovery")

    def test_a_conflict_over_nothing_repeats_the_write(self, world: Any) -> None:
        deal = self.moved_by_rule(world)
        decision = world.decide(deal, world.observation("prospecting", sight=Sight.CONFLICT))
        assert decision.outcome is Outcome.NO_OP
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("prospecting", "discovery")

    def test_an_unmapped_stage_quarantines_until_it_is_mapped(self, world: Any) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.observation("", crm_stage="Legal review"))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.UNMAPPED_STAGE])
        held = after(decision)
        assert held.quarantined and held.stage_key == "prospecting"
        scored = world.decide(held, world.submission("prospecting", "70", held))
        assert (codes(scored), scored.crm_target_stage) == ([Code.UNMAPPED_STAGE], "")
        assert after(scored).scores["prospecting"].score == 70
        assert codes(world.decide(held, world.command(held, "closed_lost", reason_code="X"))) == [Code.UNMAPPED_STAGE]
        mapped = world.decide(held, world.observation("demo"))
        assert (mapped.outcome, after(mapped).quarantined) == (Outcome.ACCEPTED, False)

    def test_a_deal_first_seen_unmapped_waits_unplaced(self, world: Any) -> None:
        decision = world.decide(None, world.observation("", crm_stage="Legal review"))
        held = after(decision)
        assert (codes(decision), held.stage_key, held.revision) == ([Code.UNMAPPED_STAGE], "", 0)
        assert codes(world.decide(held, world.submission("prospecting", "70", held))) == [Code.UNMAPPED_STAGE]
        placed = world.decide(held, world.observation("discovery"))
        assert kind(placed) is TransitionKind.ADOPT
        assert (after(placed).revision, after(placed).visit_no) == (1, 1)

    def test_a_stage_of_another_pipeline_is_unmapped_here(self, world: Any) -> None:
        deal = world.deal()
        decision = world.decide(deal, world.observation("demo", pipeline_key="renewals"))
        assert codes(decision) == [Code.UNMAPPED_STAGE]

    def test_a_deleted_deal_rests_until_it_comes_back(self, world: Any) -> None:
        deal = world.deal()
        gone = after(world.decide(deal, world.observation("", sight=Sight.DELETED, amount=None)))
        assert (gone.deleted, gone.amount, gone.revision) == (True, deal.amount, deal.revision)
        assert codes(world.decide(gone, world.submission("prospecting", "70", gone))) == [Code.TERMINAL]
        assert codes(world.decide(gone, world.command(gone, "closed_lost", reason_code="X"))) == [Code.TERMINAL]
        back = world.decide(gone, world.observation("demo", sight=Sight.UNDELETED))
        assert (after(back).deleted, after(back).stage_key) == (False, "demo")

    def test_an_edit_dated_ahead_of_us_does_not_outlive_evidence(self, world: Any) -> None:
        deal = world.deal()
        edited = after(world.decide(deal, world.observation("discovery", committed_at=world.at(9999)), now=world.at(5)))
        assert edited.override is not None and edited.override.at == world.at(5)

    def test_a_refused_write_is_told_with_the_next_one(self, world: Any) -> None:
        deal = self.moved_by_rule(world)
        blocked = sync.write_parked(deal, 2, "discovery", "VALIDATION", "amount is required", world.at(1))
        assert blocked.sync_error is not None and blocked.in_flight == ()
        decision = world.decide(blocked, world.submission("discovery", "90", blocked))
        assert (decision.outcome, codes(decision)) == (Outcome.ACCEPTED, [Code.SYNC_BLOCKED])
        assert sync.write_confirmed(after(decision), 3, "demo").sync_error is None
