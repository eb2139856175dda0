"""When rules are held back for moving too many, and what that means."""

from typing import Any

import pytest
from stage_engine.domain.breaker import Breaker, opens
from stage_engine.domain.decision import Code, Outcome
from stage_engine.domain.lint_approvals import approval_findings
from stage_engine.domain.modes import BREAKER, Modes, Switch, Switching, in_force, modes_at
from stage_engine.engine import compiled

from tests.approvals import RULE, gated, passed, word
from tests.decisions import OVERRIDE, after, codes

# 168 hours in 7 days: 1,680 moves in them are 10 an hour.
USUAL = Breaker(window="1h", trailing="7d", times=5, at_least=20)


@pytest.mark.parametrize(
    ("recent", "trailing", "expected"),
    [(19, 0, False), (20, 0, True), (50, 1680, False), (51, 1680, True), (20, 1680, False), (1000, 1680, True)],
)
def test_it_opens_on_many_times_the_usual_and_never_on_few(recent: int, trailing: int, expected: bool) -> None:
    assert opens(USUAL, recent, trailing) is expected


def test_while_it_is_open_rules_propose_and_people_move(world: Any) -> None:
    rules = compiled(world.pipeline(), Modes(1, breaker_open=True))
    decision = passed(world, world.opportunity(rules=rules), rules)
    assert (decision.outcome, decision.proposed_stage, codes(decision)) == (
        Outcome.PROPOSED, "discovery", [Code.BREAKER_OPEN],
    )  # fmt: skip
    waiting = after(decision)
    assert (waiting.stage_key, waiting.earned_stage, list(waiting.proposals)) == ("prospecting", "discovery", [RULE])
    assert world.decide(waiting, word(waiting), rules).to_stage == "discovery"
    first = world.opportunity(rules=rules)
    assert world.decide(first, world.command(first, "discovery", **OVERRIDE), rules).to_stage == "discovery"


def test_it_proposes_instead_of_asking_for_approval_and_yields_to_the_kill_switch(world: Any) -> None:
    pipeline = gated(world).pipeline
    for modes, outcome in (
        (Modes(1, breaker_open=True), Outcome.PROPOSED),
        (Modes(1, {}, False, True), Outcome.REJECTED),
    ):
        rules = compiled(pipeline, modes)
        decision = passed(world, world.opportunity(rules=rules), rules)
        assert (decision.outcome, after(decision).approval_request) == (outcome, None)


def test_the_last_word_counts(world: Any) -> None:
    words = [Switch.BREAKER_OPEN, Switch.BREAKER_CLOSED, Switch.BREAKER_OPEN]
    history = [Switching(n, BREAKER, each, "why", world.start, "x") for n, each in enumerate(words, 1)]
    assert [modes_at(n, history).breaker_open for n in range(4)] == [False, True, False, True]
    assert [modes_at(n, history).automation for n in range(4)] == [True] * 4
    assert [each.revision for each in in_force(history)] == [3]
    assert [f.code for f in modes_at(3, history).findings(world.pipeline())] == ["breaker_open"]


@pytest.mark.parametrize(
    ("breaker", "found"),
    [
        ({}, []),
        ({"window": "2bh"}, [("duration_invalid", "/breaker/window")]),
        ({"trailing": "soon"}, [("duration_invalid", "/breaker/trailing")]),
        ({"window": "0m", "trailing": "0m"}, [("duration_invalid", f"/breaker/{n}") for n in ("window", "trailing")]),
        ({"window": "8d"}, [("breaker_without_baseline", "/breaker/trailing")]),
    ],
)
def test_what_cannot_be_counted_is_refused(world: Any, breaker: dict[str, Any], found: list[Any]) -> None:
    findings = approval_findings(world.pipeline(breaker=breaker), None)
    assert [(each.code, each.pointer) for each in findings] == found
