"""Moves that lead on to the next, each a decision of its own, and subjects that react to each other."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_engine.domain.by_rules import HOPS_LIMIT
from stage_engine.domain.decision import Code, Outcome, TransitionKind
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.inputs import FactChange, Hop
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import (
    StoredDecision,
    decode_opportunity,
    encode_decision,
    encode_input,
    encode_opportunity,
    run_again,
)

STEPS = [("prospecting", "discovery"), ("discovery", "demo"), ("demo", "negotiation")]
FACTS = [{"name": "account.size", "type": "decimal"}]


def rules_of(world: Any, at_most: int, last: str = "auto", thresholds: tuple[int, ...] = (10, 20, 30)) -> Ruleset:
    rules = [
        {"rule_id": f"r{n}", "from_stage": source, "to_stage": target, "mode": last if n == 2 else "auto",
         "conditions": [{"fact": "account.size", "cell": f"> {thresholds[n]}"}]}
        for n, (source, target) in enumerate(STEPS)
    ]  # fmt: skip
    return world.ruleset(rules=rules, facts=FACTS, cascade_at_most=at_most)


def steps_of(world: Any, rules: Ruleset, size: int, opportunity: Opportunity | None = None) -> list[Step]:
    before = opportunity or world.opportunity(rules=rules)
    return fold(before, [world.facts(world.fact("account.size", size))], rules, world.start, set())


def test_without_it_one_input_makes_one_move(world: Any) -> None:
    (step,) = steps_of(world, rules_of(world, 1), 40)
    assert step.decision.to_stage == "discovery"


@pytest.mark.parametrize(("at_most", "reached"), [(2, "demo"), (3, "negotiation"), (6, "negotiation")])
def test_each_hop_is_a_decision_of_its_own_and_they_are_bounded(world: Any, at_most: int, reached: str) -> None:
    steps = steps_of(world, rules_of(world, at_most), 40)
    moves = [step.decision.transition for step in steps]
    assert all(move is not None and move.kind is TransitionKind.ADVANCE for move in moves)
    assert [step.decision.to_stage for step in steps][-1] == reached
    assert [move.revision for move in moves if move] == list(range(2, len(steps) + 2))
    assert [step.given.identity for step in steps[1:]] == [
        f"{steps[0].given.identity}:hop:{n}" for n in range(1, len(steps))
    ]


def test_a_hop_that_proposes_is_logged_and_ends_it(world: Any) -> None:
    steps = steps_of(world, rules_of(world, 6, last="propose"), 40)
    assert [s.decision.outcome for s in steps] == [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.PROPOSED]
    assert steps[-1].decision.proposed_stage == "negotiation"


def test_the_same_input_again_costs_nothing(world: Any) -> None:
    rules, decided = rules_of(world, 6), set[str]()
    report = world.facts(world.fact("account.size", 40))
    steps = fold(world.opportunity(rules=rules), [report, report], rules, world.start, decided)
    assert len(steps) == 3
    assert fold(steps[-1].decision.opportunity, [report], rules, world.start, decided) == []


def test_a_person_s_move_leads_nowhere_by_itself(world: Any) -> None:
    rules = rules_of(world, 6)
    opportunity = world.opportunity("closed_lost", rules)
    opportunity = steps_of(world, rules, 40, opportunity)[-1].decision.opportunity
    assert opportunity is not None
    steps = fold(
        opportunity, [world.command(opportunity, "prospecting", reason_code="BACK")], rules, world.start, set()
    )
    assert [step.decision.to_stage for step in steps] == ["prospecting"]


@settings(max_examples=60, deadline=None)
@given(
    at_most=st.integers(1, 6),
    thresholds=st.tuples(*[st.integers(0, 50)] * 3),
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
)
def test_every_hop_is_bounded_goes_on_and_is_decided_again_byte_for_byte(
    world: Any, at_most: int, thresholds: tuple[int, ...], sizes: list[int]
) -> None:
    rules = rules_of(world, at_most, thresholds=thresholds)
    opportunity = world.opportunity(rules=rules)
    for size in sizes:
        steps = steps_of(world, rules, size, opportunity)
        assert 1 <= len(steps) <= at_most
        for step in steps:
            after = step.decision.opportunity
            assert step.before is not None and after is not None
            stored = StoredDecision(
                encode_opportunity(step.before), encode_input(step.given),
                encode_decision(step.decision), encode_opportunity(after),
            )  # fmt: skip
            assert run_again(stored, rules, step.decision.decided_at) == (stored, True)
            opportunity = decode_opportunity(encode_opportunity(after))
        hops = [step.decision.transition for step in steps if isinstance(step.given, Hop)]
        ranks = [rules.pipeline.rank(move.to_stage) for move in hops if move is not None]
        assert ranks == sorted(set(ranks))


class TestSubjectsThatReactToEachOther:
    """An account whose stage is a fact of its opportunity, and the other way round: each undoes what the other does."""

    def rules(self, world: Any, mine: str, theirs: str) -> Ruleset:
        facts = [{"name": f"{theirs}.stage", "type": "text"}]
        on, off = ("'prospecting'", "'discovery'") if mine == "account" else ("'discovery'", "'prospecting'")
        rules = [
            {"rule_id": "on", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
             "conditions": [{"fact": f"{theirs}.stage", "cell": on}]},
            {"rule_id": "off", "from_stage": "discovery", "to_stage": "prospecting", "mode": "auto", "back": True,
             "conditions": [{"fact": f"{theirs}.stage", "cell": off}]},
        ]  # fmt: skip
        return world.ruleset(rules=rules, facts=facts, alternations_at_most=20)

    def test_they_come_to_rest(self, world: Any) -> None:
        sides = ["account", "opportunity"]
        rules = {
            "account": self.rules(world, "account", "sale"),
            "opportunity": self.rules(world, "opportunity", "firm"),
        }
        names = {"account": "sale.stage", "opportunity": "firm.stage"}
        subjects = {side: world.opportunity("prospecting", rules[side]) for side in sides}
        hops, moves, stage = 0, 0, "prospecting"
        for turn in range(100):
            side = sides[turn % 2]
            report = FactChange(f"t{turn}", "o1", "bridge", (world.fact(names[side], stage, "bridge"),), hops=hops)
            made = world.decide(subjects[side], report, rules[side])
            assert made.opportunity is not None
            subjects[side] = made.opportunity
            if made.transition is None:
                assert Code.HOP_LIMIT in [reason.code for reason in made.reasons]
                break
            moves, hops, stage = moves + 1, made.transition.hops, made.transition.to_stage
        assert moves == HOPS_LIMIT == hops
