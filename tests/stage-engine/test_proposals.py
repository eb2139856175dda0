"""What rules propose, and what becomes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from stage_engine.domain.decision import Cause, Code, Decision, Outcome
from stage_engine.domain.inputs import Migration
from stage_engine.domain.modes import Modes
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.requests import Answer
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.timers import first_due
from stage_engine.engine import compiled

from tests.approvals import RULE, TWO_MANAGERS, answer, gated, passed, word
from tests.decisions import after, codes


def proposing(world: Any, **changes: Any) -> Any:
    return world.ruleset(rule_0={"mode": "propose"}, **changes)


def waiting_in(world: Any, rules: Any) -> Opportunity:
    return after(passed(world, world.opportunity(rules=rules), rules))


def ends(decision: Decision) -> list[ProposalState]:
    return [each.state for each in decision.ended_proposals]


def test_a_rule_that_proposes_leaves_a_proposal_with_its_facts(world: Any) -> None:
    decision = passed(world, world.opportunity(rules=(rules := proposing(world))), rules)
    (found,) = after(decision).proposals.values()
    assert (decision.outcome, found.rule_id, found.to_stage) == (Outcome.PROPOSED, RULE, "discovery")
    assert (found.facts, found.number) == ((("prospecting.score", "70"),), after(decision).decision_no)
    assert found.expires_at == world.start + timedelta(days=30)


def test_the_same_facts_make_no_new_one_and_newer_facts_do(world: Any) -> None:
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    same = passed(world, waiting, rules, attempt_no=2)
    assert (after(same).proposals, ends(same)) == (waiting.proposals, [])
    newer = passed(world, after(same), rules, "80", attempt_no=3)
    assert ends(newer) == [ProposalState.SUPERSEDED]
    assert after(newer).proposals[RULE].facts == (("prospecting.score", "80"),)
    old = world.decide(after(newer), word(waiting), rules)
    assert (old.outcome, codes(old)) == (Outcome.REJECTED, [Code.SUPERSEDED])


def test_an_accepted_one_is_a_move_of_the_person_who_accepts(world: Any) -> None:
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    decision = world.decide(waiting, word(waiting), rules)
    move = decision.transition
    assert (decision.outcome, decision.to_stage, ends(decision)) == (
        Outcome.ACCEPTED, "discovery", [ProposalState.ACCEPTED],
    )  # fmt: skip
    assert (move.cause, move.actor, move.rule_id, move.reason_code) == (
        Cause.PROPOSAL, "mona", RULE, "PROPOSAL_ACCEPTED",
    )  # fmt: skip
    assert (after(decision).override, after(decision).proposals, decision.crm_target_stage) == (None, {}, "discovery")


def test_answers_of_ones_own_are_confirmed_by_another(world: Any) -> None:
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    refused = world.decide(waiting, word(waiting, "rita", role="rep"), rules)
    assert (codes(refused), after(refused).proposals) == ([Code.OWN_PROPOSAL], waiting.proposals)
    own = proposing(world, confirm_own=True)
    assert world.decide(waiting, word(waiting, "rita", role="rep"), own).to_stage == "discovery"


def test_a_rejection_needs_a_reason(world: Any) -> None:
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    assert codes(world.decide(waiting, word(waiting, accepted=False, reason=""), rules)) == [Code.MISSING]
    decision = world.decide(waiting, word(waiting, accepted=False), rules)
    assert (decision.outcome, decision.to_stage, ends(decision)) == (
        Outcome.ACCEPTED, "prospecting", [ProposalState.REJECTED],
    )  # fmt: skip


def test_what_does_not_hold_any_more_ends_with_what_is_missing(world: Any) -> None:
    rules = proposing(world)
    waiting = after(passed(world, waiting_in(world, rules), rules, "50", attempt_no=2))
    assert RULE in waiting.proposals
    decision = world.decide(waiting, word(waiting), rules)
    (end,) = decision.ended_proposals
    assert (codes(decision), end.state, end.missing) == (
        [Code.FAILED], ProposalState.NO_LONGER_VALID, decision.reasons,
    )  # fmt: skip


@pytest.mark.parametrize("mode", list(RuleMode))
@pytest.mark.parametrize("automation", [True, False])
def test_it_is_judged_in_the_mode_that_is_in_force_then(world: Any, mode: RuleMode, automation: bool) -> None:
    """A person may confirm what rules may not do by themselves; of a rule that is off nothing is left to confirm."""
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    decision = world.decide(waiting, word(waiting), compiled(rules.pipeline, Modes(1, {RULE: mode}, automation)))
    moves = mode in (RuleMode.AUTO, RuleMode.PROPOSE)
    assert ends(decision) == [ProposalState.ACCEPTED if moves else ProposalState.NO_LONGER_VALID]
    assert (decision.transition is not None) is moves


def test_a_rule_that_is_turned_auto_moves_at_its_next_input_and_not_before(world: Any) -> None:
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    auto = compiled(rules.pipeline, Modes(1, {RULE: RuleMode.AUTO}))
    unrelated = world.decide(waiting, world.observation("prospecting"), auto)
    assert (unrelated.transition, after(unrelated).proposals) == (None, waiting.proposals)
    moved = passed(world, waiting, auto, attempt_no=2)
    assert (moved.to_stage, ends(moved)) == ("discovery", [ProposalState.SUPERSEDED])


def test_it_expires_and_any_move_overtakes_it(world: Any) -> None:
    rules = proposing(world, proposals_expire_after="2d")
    waiting = waiting_in(world, rules)
    late = world.start + timedelta(days=2)
    fired = first_due(waiting, late)
    assert fired is not None
    decision = world.decide(waiting, fired, rules, late)
    assert (ends(decision), after(decision).proposals, after(decision).timers) == ([ProposalState.EXPIRED], {}, {})
    closed = world.decide(waiting, world.command(waiting, "closed_lost", reason_code="GONE"), rules)
    assert (ends(closed), after(closed).proposals) == ([ProposalState.SUPERSEDED], {})
    scored = passed(world, after(closed), rules, attempt_no=5)
    assert after(scored).proposals == {}


@pytest.mark.parametrize(("withdraw", "kept"), [(False, True), (True, False)])
def test_a_migration_keeps_it_or_not_as_its_plan_says(world: Any, withdraw: bool, kept: bool) -> None:
    rules = proposing(world)
    waiting = waiting_in(world, rules)
    target = compiled(replace(rules.pipeline, version=2))
    decision = world.decide(waiting, Migration("m1", "o1", 2, (), False, withdraw, "olga"), target)
    assert (ends(decision), RULE in after(decision).proposals) == ([] if kept else [ProposalState.SUPERSEDED], kept)
    if kept:
        assert world.decide(after(decision), word(after(decision)), target).to_stage == "discovery"


def test_what_is_accepted_still_has_to_be_approved(world: Any) -> None:
    rules = gated(world, {**TWO_MANAGERS, "needed": 1}, rule_0={"mode": "propose"})
    waiting = waiting_in(world, rules)
    accepted = world.decide(waiting, word(waiting), rules)
    assert (accepted.outcome, accepted.to_stage, ends(accepted)) == (
        Outcome.PROPOSED, "prospecting", [ProposalState.ACCEPTED],
    )  # fmt: skip
    asked = after(accepted)
    assert asked.proposals == {}
    assert codes(world.decide(asked, answer(asked, "mona"), rules)) == [Code.NOT_APPROVER]
    assert world.decide(asked, answer(asked, "mona", Answer.WITHDRAW), rules).ended_requests[0].state is (
        ApprovalState.WITHDRAWN
    )
    made = world.decide(asked, answer(asked, "max"), rules)
    assert (made.to_stage, made.transition.cause, made.transition.actor) == ("discovery", Cause.PROPOSAL, "mona")
