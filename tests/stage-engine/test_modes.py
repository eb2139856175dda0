"""What is in force of all that was switched."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.decision import Code, Outcome
from stage_engine.domain.modes import Modes, Switch, Switching, in_force, modes_at
from stage_engine.domain.replay import StoredDecision, encode_decision, encode_input, encode_opportunity, run_again
from stage_engine.domain.rules import RuleMode
from stage_engine.engine import compiled

from tests.decisions import after, codes

FIRST = "prospecting_to_discovery"
RULES = [Switch.OFF, Switch.SHADOW, Switch.PROPOSE, Switch.AUTO, Switch.AS_PUBLISHED]
SWITCHES = st.one_of(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(RULES)),
    st.tuples(st.just(""), st.sampled_from([Switch.AUTOMATION_ON, Switch.AUTOMATION_OFF])),
)


def history(world: Any, *switched: tuple[str, Switch]) -> list[Switching]:
    return [
        Switching(n, rule_id, switch, "why", world.at(n), "olga") for n, (rule_id, switch) in enumerate(switched, 1)
    ]


@given(switched=st.lists(SWITCHES, max_size=8), data=st.data())
def test_a_revision_always_means_the_same(world: Any, switched: list[Any], data: st.DataObject) -> None:
    """The last word on each rule counts, and what is switched later changes no revision before."""
    entries = history(world, *switched)
    revision = data.draw(st.integers(0, len(switched)))
    modes = modes_at(revision, entries)
    assert modes == modes_at(revision, entries[:revision])
    said = dict(switched[:revision])
    assert modes.automation is (said.get("") is not Switch.AUTOMATION_OFF)
    expected = {key: RuleMode(s.value) for key, s in said.items() if key and s is not Switch.AS_PUBLISHED}
    assert modes.rules == expected
    assert {each.rule_id for each in in_force(entries[:revision])} == {*expected, *([] if modes.automation else [""])}


def test_a_rule_goes_as_far_as_it_is_switched(world: Any) -> None:
    first = world.opportunity()
    passed = world.submission("prospecting", "70", first)
    expected = {
        RuleMode.OFF: (Outcome.NO_OP, []),
        RuleMode.SHADOW: (Outcome.REJECTED, [Code.RULE_SHADOW]),
        RuleMode.PROPOSE: (Outcome.PROPOSED, []),
        RuleMode.AUTO: (Outcome.ACCEPTED, []),
    }
    for mode, (outcome, reasons) in expected.items():
        decision = world.decide(first, passed, compiled(world.pipeline(), Modes(1, {FIRST: mode})))
        told = Outcome.NO_OP if mode is RuleMode.SHADOW else outcome
        assert (decision.outcome, codes(decision), decision.modes_revision) == (told, reasons, 1)


def test_what_a_rule_saw_in_shadow_moves_nothing_when_it_is_made_automatic(world: Any) -> None:
    first = world.opportunity()
    shadow = compiled(world.pipeline(), Modes(1, {FIRST: RuleMode.SHADOW}))
    auto = compiled(world.pipeline(), Modes(2, {FIRST: RuleMode.AUTO}))
    seen = after(world.decide(first, world.submission("prospecting", "70", first), shadow))
    assert seen.stage_key == "prospecting"
    # What comes next is no new score.
    seen = after(world.decide(seen, world.observation("prospecting", amount=Decimal(7)), auto))
    assert seen.stage_key == "prospecting"
    assert after(world.decide(seen, world.submission("prospecting", "70", seen), auto)).stage_key == "discovery"


def test_while_automation_is_off_rules_judge_and_nothing_moves(world: Any) -> None:
    first = world.opportunity()
    rules = compiled(world.pipeline(), Modes(3, {}, automation=False))
    passed = world.submission("prospecting", "70", first)
    decision = world.decide(first, passed, rules)
    assert (decision.outcome, codes(decision), decision.rule_id) == (Outcome.REJECTED, [Code.AUTOMATION_OFF], FIRST)
    assert (after(decision).stage_key, after(decision).earned_stage) == ("prospecting", "discovery")
    assert (decision.crm_target_stage, decision.transition) == ("", None)
    missed = world.decide(first, world.submission("prospecting", "10", first), rules)
    assert codes(missed) == [Code.FAILED]
    # A person confirms what the evidence has earned.
    confirmed = world.decide(after(decision), world.command(after(decision), "discovery"), rules)
    assert after(confirmed).stage_key == "discovery"
    stored = StoredDecision(
        encode_opportunity(first), encode_input(passed), encode_decision(decision), encode_opportunity(after(decision))
    )
    assert run_again(stored, rules, world.start)[1]
    assert not run_again(stored, world.rules, world.start)[1]


def test_a_version_that_says_something_else_is_told(world: Any) -> None:
    found = list(Modes(2, {FIRST: RuleMode.OFF}, automation=False).findings(world.pipeline()))
    assert [(each.code, each.pointer) for each in found] == [
        ("rule_mode_switched", "/rules/0/mode"),
        ("automation_off", ""),
    ]
    assert list(Modes(2, {FIRST: RuleMode.AUTO}).findings(world.pipeline())) == []
