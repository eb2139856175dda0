"""What waits for people when a new version leads elsewhere."""

from dataclasses import replace
from typing import Any

import pytest
from stage_engine.domain.decision import Decision, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Migration
from stage_engine.domain.modes import Modes
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.rules import RuleMode
from stage_engine.engine import compiled

from tests.approvals import RULE, gated, passed
from tests.decisions import OVERRIDE, after

# What a version may make of the rule that a move waits on, and the words that say so.
CHANGES: dict[str, tuple[dict[str, Any] | None, str]] = {
    "gone": (None, "no rule prospecting_to_discovery leads from prospecting to discovery"),
    "to another stage": ({"to_stage": "demo"}, "no rule prospecting_to_discovery leads from prospecting to discovery"),
    "from another stage": (
        {"from_stage": "demo", "back": True},
        "no rule prospecting_to_discovery leads from prospecting to discovery",
    ),
    "off": ({"mode": RuleMode.OFF}, "the rule prospecting_to_discovery moves nothing: it is off"),
    "in shadow": ({"mode": RuleMode.SHADOW}, "the rule prospecting_to_discovery moves nothing: it is shadow"),
}


def second(rules: Ruleset, change: dict[str, Any] | None) -> Ruleset:
    """The next version, where the rule is another one or gone."""
    found = [rule for rule in rules.pipeline.rules if rule.rule_id != RULE]
    if change is not None:
        rule = rules.pipeline.rule(RULE)
        assert rule is not None
        found.insert(0, replace(rule, **change))
    return compiled(replace(rules.pipeline, version=2, rules=tuple(found)))


def migrated(world: Any, waiting: Opportunity, target: Ruleset) -> Decision:
    return world.decide(waiting, Migration("m1", "o1", 2, (), False, False, "olga"), target)


@pytest.mark.parametrize("change", CHANGES)
def test_a_request_of_a_rule_ends_with_the_rule(world: Any, change: str) -> None:
    rules = gated(world)
    waiting = after(passed(world, world.opportunity(rules=rules), rules))
    made, words = CHANGES[change]
    decision = migrated(world, waiting, second(rules, made))
    (end,) = decision.ended_requests
    assert (end.state, end.by, after(decision).approval_request) == (ApprovalState.SUPERSEDED, "olga", None)
    assert end.text == f"in version 2 of field_example {words}"
    assert not any(key.startswith("@approval") for key in after(decision).timers)


@pytest.mark.parametrize("change", CHANGES)
def test_a_proposal_ends_with_its_rule(world: Any, change: str) -> None:
    rules = compiled(world.pipeline(), Modes(1, {RULE: RuleMode.PROPOSE}))
    waiting = after(passed(world, world.opportunity(rules=rules), rules))
    assert waiting.proposals.keys() == {RULE}
    made, words = CHANGES[change]
    decision = migrated(world, waiting, second(rules, made))
    (end,) = decision.ended_proposals
    assert (end.state, after(decision).proposals) == (ProposalState.SUPERSEDED, {})
    assert end.text == f"in version 2 of field_example {words}"


def test_what_a_person_wants_rests_on_no_rule(world: Any) -> None:
    rules = gated(world)
    first = world.opportunity(rules=rules)
    waiting = after(world.decide(first, world.command(first, "discovery", **OVERRIDE), rules))
    decision = migrated(world, waiting, second(rules, None))
    assert (decision.outcome, decision.ended_requests) == (Outcome.ACCEPTED, ())
    assert after(decision).approval_request is not None


def test_what_needs_no_approval_any_more_says_so(world: Any) -> None:
    rules = gated(world)
    waiting = after(passed(world, world.opportunity(rules=rules), rules))
    (end,) = migrated(world, waiting, compiled(replace(world.rules.pipeline, version=2))).ended_requests
    assert end.text == "in version 2 of field_example moving to discovery needs no approval: ask for it again"
