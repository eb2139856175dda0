"""People: commands and overrides, and how they live with automation."""

from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.decision import Code, Outcome, TransitionKind
from stage_engine.domain.opportunity import Opportunity

from tests.decisions import OVERRIDE, after, codes, kind


class TestCommands:
    def test_going_on_without_evidence_is_refused_with_what_is_missing(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.command(opportunity, "discovery"))
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.MISSING])
        assert decision.reasons[0].fact == "prospecting.score"
        opportunity = after(world.decide(opportunity, world.submission("prospecting", "56", opportunity)))
        decision = world.decide(opportunity, world.command(opportunity, "discovery"))
        assert (codes(decision), decision.reasons[0].margin) == ([Code.FAILED], Decimal(-4))

    def test_a_stale_command_is_refused(self, world: Any) -> None:
        opportunity = world.opportunity()
        command = world.command(
            opportunity, "closed_lost", reason_code="PRICE", expected_revision=opportunity.revision - 1
        )
        assert codes(world.decide(opportunity, command)) == [Code.STALE_REVISION]

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
        opportunity = world.opportunity()
        decision = world.decide(opportunity, world.command(opportunity, "discovery", **given))
        assert [r.fact for r in decision.reasons] == [missing]

    @pytest.mark.parametrize("target", ["prospecting", "closed_lost"])
    def test_going_back_or_giving_up_needs_a_reason(self, world: Any, target: str) -> None:
        opportunity = world.opportunity("demo")
        assert codes(world.decide(opportunity, world.command(opportunity, target))) == [Code.MISSING]
        decision = world.decide(opportunity, world.command(opportunity, target, reason_code="PRICE", role="rep"))
        assert decision.outcome is Outcome.ACCEPTED
        assert kind(decision) is (TransitionKind.REGRESS if target == "prospecting" else TransitionKind.CLOSE_LOST)
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("demo", target)

    def test_skipping_takes_an_override_where_the_pipeline_forbids_it(self, world: Any) -> None:
        opportunity = world.opportunity()
        for given in ({}, {"skip": True}, OVERRIDE):
            assert codes(world.decide(opportunity, world.command(opportunity, "demo", **given))) == [
                Code.SKIP_FORBIDDEN
            ]
        decision = world.decide(opportunity, world.command(opportunity, "demo", skip=True, **OVERRIDE))
        assert kind(decision) is TransitionKind.SKIP
        assert decision.transition is not None and decision.transition.skipped == ("discovery",)

    def test_an_override_does_what_an_edit_in_the_crm_does(self, world: Any) -> None:
        for stage in ("discovery", "demo", "negotiation", "closed_won", "closed_lost"):
            opportunity = world.opportunity()
            edited = world.decide(opportunity, world.observation(stage))
            commanded = world.decide(opportunity, world.command(opportunity, stage, skip=True, **OVERRIDE))
            assert (kind(commanded), after(commanded).stage_key) == (kind(edited), after(edited).stage_key)

    def test_skipping_by_guards_asks_for_every_stage_passed_over(self, world: Any) -> None:
        rules = world.ruleset(skip_policy="if_guards_hold")
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.command(opportunity, "demo", skip=True), rules)
        assert [r.fact for r in decision.reasons] == ["prospecting.score", "discovery.score"]

    def test_a_closed_opportunity_is_reopened_with_permission_and_starts_a_new_cycle(self, world: Any) -> None:
        opportunity = world.opportunity("negotiation")
        opportunity = after(world.decide(opportunity, world.submission("sales_feedback", "100", opportunity)))
        assert (opportunity.stage_key, opportunity.earned_stage) == ("closed_won", "closed_won")
        assert codes(world.decide(opportunity, world.command(opportunity, "closed_lost", reason_code="X"))) == [
            Code.TERMINAL
        ]
        refused = world.decide(opportunity, world.command(opportunity, "negotiation", role="rep", reason_code="X"))
        assert [r.fact for r in refused.reasons] == ["command.role"]
        decision = world.decide(opportunity, world.command(opportunity, "negotiation", reason_code="BOUNCED"))
        assert kind(decision) is TransitionKind.REOPEN
        assert (after(decision).cycle_no, after(decision).earned_stage) == (2, "prospecting")
        won = world.decide(after(decision), world.submission("sales_feedback", "100", after(decision), attempt_no=2))
        assert kind(won) is TransitionKind.CLOSE_WON
        assert won.transition is not None and won.transition.cycle_no == 2

    def test_a_step_without_a_rule_is_a_persons_to_take(self, world: Any) -> None:
        rules = world.ruleset(rules=[])
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.command(opportunity, "discovery", role="rep"), rules)
        assert decision.outcome is Outcome.ACCEPTED


class TestOwnProposals:
    """Whoever answered does not confirm what the answers propose."""

    def proposed(self, world: Any, rules: Any, stage: str = "prospecting", assessment: str = "prospecting") -> Any:
        opportunity = world.opportunity(stage, rules=rules)
        score = {"sales_feedback": "100"}.get(assessment, "70")
        decision = world.decide(opportunity, world.submission(assessment, score, opportunity), rules)
        assert decision.outcome is Outcome.PROPOSED
        return after(decision)

    @pytest.mark.parametrize(
        ("rule", "stage", "assessment", "target"),
        [
            ("rule_0", "prospecting", "prospecting", "discovery"),
            ("rule_3", "negotiation", "sales_feedback", "closed_won"),
        ],
    )
    @pytest.mark.parametrize("role", ["rep", "manager"])
    def test_another_person_has_to(
        self, world: Any, rule: str, stage: str, assessment: str, target: str, role: str
    ) -> None:
        rules = world.ruleset(**{rule: {"mode": "propose"}})
        opportunity = self.proposed(world, rules, stage, assessment)
        own = world.decide(opportunity, world.command(opportunity, target, actor="rita", role=role), rules)
        assert (own.outcome, codes(own)) == (Outcome.REJECTED, [Code.OWN_PROPOSAL])
        other = world.decide(opportunity, world.command(opportunity, target, actor="paul", role="rep"), rules)
        assert other.outcome is Outcome.ACCEPTED

    @pytest.mark.parametrize("mode", ["auto", "propose"])
    def test_what_is_missing_is_said_first(self, world: Any, mode: str) -> None:
        """Another person could not confirm it either."""
        rules = world.ruleset(rule_0={"mode": mode})
        opportunity = world.opportunity(rules=rules)
        opportunity = after(world.decide(opportunity, world.submission("prospecting", "56", opportunity), rules))
        own = world.decide(opportunity, world.command(opportunity, "discovery", actor="rita", role="rep"), rules)
        assert (own.outcome, codes(own)) == (Outcome.REJECTED, [Code.FAILED])

    def test_the_pipeline_may_allow_it(self, world: Any) -> None:
        rules = world.ruleset(rule_0={"mode": "propose"}, confirm_own=True)
        opportunity = self.proposed(world, rules)
        command = world.command(opportunity, "discovery", actor="rita", role="rep")
        assert world.decide(opportunity, command, rules).outcome is Outcome.ACCEPTED

    def test_going_back_and_forth_does_not_make_it_anothers(self, world: Any) -> None:
        rules = world.ruleset(rule_1={"mode": "propose"})
        opportunity = world.opportunity("discovery", rules=rules)
        decision = world.decide(opportunity, world.submission("discovery", "80", opportunity), rules)
        assert decision.outcome is Outcome.PROPOSED
        back = world.command(after(decision), "prospecting", actor="rita", role="rep", reason_code="X")
        opportunity = after(world.decide(after(decision), back, rules))
        forth = world.decide(
            opportunity, world.submission("prospecting", "70", opportunity, submitted_by="paul"), rules
        )
        assert after(forth).stage_key == "discovery"
        on = world.decide(after(forth), world.command(after(forth), "demo", actor="rita", role="rep"), rules)
        assert codes(on) == [Code.OWN_PROPOSAL]

    def test_what_a_rule_does_by_itself_needs_no_confirmation(self, world: Any) -> None:
        opportunity = world.opportunity()
        overridden = after(world.decide(opportunity, world.command(opportunity, "discovery", **OVERRIDE)))
        back = world.command(overridden, "prospecting", reason_code="X", actor="rita", role="rep")
        opportunity = after(world.decide(overridden, back, now=world.at(60)))
        # Refused, for it was captured before a person set the stage; yet the rule holds.
        given = world.submission("prospecting", "70", opportunity, captured_at=world.start)
        refused = world.decide(opportunity, given)
        assert codes(refused) == [Code.OVERRIDE_ACTIVE]
        command = world.command(after(refused), "discovery", actor="rita", role="rep")
        assert world.decide(after(refused), command).outcome is Outcome.ACCEPTED


class TestOverride:
    def overridden(self, world: Any) -> Opportunity:
        opportunity = world.opportunity()
        return after(world.decide(opportunity, world.command(opportunity, "discovery", **OVERRIDE), now=world.at(60)))

    def test_it_is_remembered_with_who_and_why(self, world: Any) -> None:
        opportunity = self.overridden(world)
        assert opportunity.override is not None
        assert (opportunity.override.stage_key, opportunity.override.actor, opportunity.override.at) == (
            "discovery",
            "mona",
            world.at(60),
        )
        assert (opportunity.stage_key, opportunity.earned_stage) == ("discovery", "prospecting")

    def test_older_evidence_moves_nothing_and_newer_may(self, world: Any) -> None:
        opportunity = self.overridden(world)
        older = world.submission("discovery", "90", opportunity, captured_at=world.at(59))
        decision = world.decide(opportunity, older)
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.OVERRIDE_ACTIVE])
        assert after(decision).stage_key == "discovery" and after(decision).override is not None
        newer = world.submission("discovery", "90", opportunity, captured_at=world.at(61), attempt_no=2)
        decision = world.decide(after(decision), newer)
        assert after(decision).stage_key == "demo" and after(decision).override is None

    def test_evidence_captured_at_the_same_moment_is_not_older(self, world: Any) -> None:
        opportunity = self.overridden(world)
        decision = world.decide(opportunity, world.submission("discovery", "90", opportunity, captured_at=world.at(60)))
        assert decision.outcome is Outcome.ACCEPTED

    def test_what_was_earned_stays_earned_when_a_person_takes_the_opportunity_back(self, world: Any) -> None:
        opportunity = world.opportunity("demo")
        opportunity = after(world.decide(opportunity, world.submission("demo", "90", opportunity)))
        assert opportunity.earned_stage == "negotiation"
        back = after(
            world.decide(opportunity, world.command(opportunity, "prospecting", reason_code="X"), now=world.at(60))
        )
        again = world.submission("prospecting", "70", back, captured_at=world.at(61))
        decision = world.decide(back, again)
        assert (after(decision).stage_key, after(decision).earned_stage) == ("discovery", "negotiation")

    def test_it_ends_when_newer_evidence_agrees(self, world: Any) -> None:
        opportunity = self.overridden(world)
        old = world.decide(
            opportunity, world.submission("prospecting", "70", opportunity, captured_at=world.at(1), visit_no=1)
        )
        assert after(old).earned_stage == "discovery" and after(old).override is not None
        new = world.decide(opportunity, world.submission("prospecting", "70", opportunity, captured_at=world.at(61)))
        assert after(new).earned_stage == "discovery" and after(new).override is None

    def test_it_ends_when_it_expires(self, world: Any) -> None:
        opportunity = world.opportunity()
        command = world.command(opportunity, "discovery", expires_at=world.at(90), **OVERRIDE)
        opportunity = after(world.decide(opportunity, command, now=world.at(60)))
        older = world.submission("discovery", "90", opportunity, captured_at=world.at(59))
        assert codes(world.decide(opportunity, older, now=world.at(89))) == [Code.OVERRIDE_ACTIVE]
        assert world.decide(opportunity, older, now=world.at(90)).outcome is Outcome.ACCEPTED

    def test_an_opportunity_taken_back_stays_when_the_same_evidence_comes_again(self, world: Any) -> None:
        opportunity = world.opportunity()
        opportunity = after(world.decide(opportunity, world.submission("prospecting", "70", opportunity)))
        back = after(
            world.decide(opportunity, world.command(opportunity, "prospecting", reason_code="X"), now=world.at(60))
        )
        stale_visit = world.submission("prospecting", "90", opportunity, captured_at=world.at(1))
        assert after(world.decide(back, stale_visit)).stage_key == "prospecting"
        mislabelled = world.submission("prospecting", "90", back, captured_at=world.at(1))
        assert codes(world.decide(back, mislabelled)) == [Code.OVERRIDE_ACTIVE]
        fresh = world.submission("prospecting", "61", back, captured_at=world.at(61))
        decision = world.decide(back, fresh)
        assert after(decision).stage_key == "discovery" and after(decision).override is None


class TestSuppliedFacts:
    def rules(self, world: Any) -> Any:
        stages = world.document()["stages"]
        stages[0] = {**stages[0], "exit": [{"key": "industry", "name": "The industry is known", "conditions": [
            {"fact": "account.industry", "cell": "known"}]}]}  # fmt: skip
        return world.ruleset(stages=stages, rules=[], facts=[{"name": "account.industry", "type": "text"}])

    def test_they_count_together_with_the_move(self, world: Any) -> None:
        rules = self.rules(world)
        opportunity = world.opportunity(rules=rules)
        alone = world.decide(opportunity, world.command(opportunity, "discovery"), rules)
        assert [r.criterion for r in alone.reasons] == ["industry"]
        fact = world.fact("account.industry", "Retail", "person")
        moved = world.decide(opportunity, world.command(opportunity, "discovery", facts=(fact,)), rules)
        assert moved.outcome is Outcome.ACCEPTED
        assert after(moved).facts["account.industry"].value == "Retail"
        assert (after(moved).earned_stage, after(moved).override) == ("discovery", None)

    def test_without_the_move_none_of_them_is_kept(self, world: Any) -> None:
        rules = self.rules(world)
        opportunity = world.opportunity(rules=rules)
        fact = world.fact("account.industry", "Retail", "person")
        refused = world.decide(opportunity, world.command(opportunity, "demo", facts=(fact,)), rules)
        assert (refused.outcome, after(refused).facts) == (Outcome.REJECTED, {})
        for wrong, code in (
            (world.fact("account.industry", 7, "person"), Code.FACT_TYPE),
            (world.fact("account.size", 7, "person"), Code.FACT_UNREAD),
        ):
            decision = world.decide(opportunity, world.command(opportunity, "discovery", facts=(fact, wrong)), rules)
            assert (codes(decision), after(decision).facts) == ([code], {})

    def test_with_a_command_on_what_is_closed_they_count_if_it_is_reopened(self, world: Any) -> None:
        rules = self.rules(world)
        closed = world.opportunity("closed_lost", rules)
        fact = world.fact("account.industry", "Retail", "person")
        refused = world.decide(closed, world.command(closed, "closed_won", facts=(fact,)), rules)
        assert (codes(refused), after(refused).facts) == ([Code.TERMINAL], {})
        reopened = world.decide(closed, world.command(closed, "discovery", reason_code="X", facts=(fact,)), rules)
        assert (after(reopened).stage_key, after(reopened).facts["account.industry"].value) == ("discovery", "Retail")
