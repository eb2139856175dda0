"""Evidence that a person declares void."""

from typing import Any

import pytest
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, TransitionKind
from stage_engine.domain.on_void import REASON
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import VoidRequest
from stage_engine.domain.score import Score


def after(decision: Decision) -> Opportunity:
    assert decision.opportunity is not None
    return decision.opportunity


def codes(decision: Decision) -> list[Code]:
    return [reason.code for reason in decision.reasons]


def void(submission_id: str, assessment: str, remaining: Score | None = None, **given: Any) -> VoidRequest:
    fields = {"actor": "mona", "role": "manager", "may_void": True, "reason": "Answered by the wrong buyer."}
    return VoidRequest(f"v-{submission_id}", "o1", submission_id, assessment, remaining, **(fields | given))


class Demo:
    """An opportunity that two submissions brought to demo."""

    def __init__(self, world: Any, **changes: Any) -> None:
        self.rules = world.ruleset(**changes)
        self.first = world.submission("prospecting", "70", submission_id="first")
        in_discovery = after(world.decide(world.opportunity(rules=self.rules), self.first, self.rules))
        self.second = world.submission("discovery", "80", in_discovery, submission_id="second")
        self.opportunity = after(world.decide(in_discovery, self.second, self.rules))
        assert (self.opportunity.stage_key, self.opportunity.earned_stage) == ("demo", "demo")


REGRESS = {"voided_evidence": "regress"}


def test_by_default_the_stage_stays_and_is_no_longer_supported(world: Any) -> None:
    demo = Demo(world)
    made = world.decide(demo.opportunity, void("second", "discovery"), demo.rules)
    assert (made.outcome, made.transition, after(made).stage_key) == (Outcome.ACCEPTED, None, "demo")
    assert (after(made).earned_stage, codes(made)) == ("discovery", [Code.VOIDED, Code.NO_LONGER_SUPPORTED])
    assert made.reasons[0].message == "mona voided second: Answered by the wrong buyer."
    assert "no longer demo" in made.reasons[1].message


def test_where_the_pipeline_says_so_the_stage_goes_back_to_what_the_rest_supports(world: Any) -> None:
    demo = Demo(world, **REGRESS)
    made = world.decide(demo.opportunity, void("second", "discovery"), demo.rules)
    move = made.transition
    assert move is not None
    assert (move.kind, move.cause, move.to_stage) == (TransitionKind.REGRESS, Cause.PERSON, "discovery")
    assert (move.actor, move.reason_code, made.crm_target_stage) == ("mona", REASON, "discovery")
    assert (move.visit_no, after(made).earned_stage) == (demo.opportunity.visit_no + 1, "discovery")
    again = world.decide(after(made), void("first", "prospecting"), demo.rules)
    assert (after(again).stage_key, after(again).earned_stage) == ("prospecting", "prospecting")


def test_evidence_that_a_rule_led_on_by_supports_its_stage_without_what_came_before(world: Any) -> None:
    demo = Demo(world, **REGRESS)
    made = world.decide(demo.opportunity, void("first", "prospecting"), demo.rules)
    assert (made.transition, after(made).earned_stage) == (None, "demo")


def test_an_earlier_attempt_comes_into_force_again(world: Any) -> None:
    demo = Demo(world, **REGRESS)
    earlier = Score(**{**{f: getattr(demo.opportunity.scores["discovery"], f) for f in Score.__dataclass_fields__},
                       "submission_id": "earlier"})  # fmt: skip
    made = world.decide(demo.opportunity, void("second", "discovery", earlier), demo.rules)
    assert (made.transition, after(made).earned_stage) == (None, "demo")
    assert after(made).scores["discovery"].submission_id == "earlier"


def test_what_was_voided_does_not_come_back(world: Any) -> None:
    demo = Demo(world)
    voided = after(world.decide(demo.opportunity, void("second", "discovery"), demo.rules))
    again = world.decide(voided, demo.second, demo.rules)
    assert (again.outcome, codes(again)) == (Outcome.REJECTED, [Code.VOIDED])
    assert "discovery" not in after(again).scores
    twice = world.decide(voided, void("second", "discovery"), demo.rules)
    assert (twice.outcome, codes(twice)) == (Outcome.REJECTED, [Code.VOIDED])


def test_what_is_not_in_force_changes_nothing_but_cannot_come_back(world: Any) -> None:
    demo = Demo(world, **REGRESS)
    made = world.decide(demo.opportunity, void("old", "discovery"), demo.rules)
    assert (after(made).scores, after(made).stage_key) == (demo.opportunity.scores, "demo")
    assert after(made).voided == ("old",)


@pytest.mark.parametrize(("given", "fact"), [
    ({"may_void": False}, "command.role"), ({"reason": "  "}, "command.reason"),
])  # fmt: skip
def test_it_takes_a_role_and_a_reason(world: Any, given: dict[str, Any], fact: str) -> None:
    demo = Demo(world)
    made = world.decide(demo.opportunity, void("second", "discovery", **given), demo.rules)
    assert (made.outcome, made.reasons[0].fact) == (Outcome.REJECTED, fact)
    assert after(made).scores == demo.opportunity.scores


def test_a_stage_that_was_claimed_ahead_of_the_evidence_stays(world: Any) -> None:
    rules = world.ruleset(**REGRESS)
    claimed = world.opportunity("negotiation", rules)
    first = world.submission("prospecting", "70", claimed, submission_id="first", stage_key="prospecting", visit_no=0)
    made = world.decide(after(world.decide(claimed, first, rules)), void("first", "prospecting"), rules)
    assert (made.transition, after(made).stage_key) == (None, "negotiation")


def test_an_override_holds_its_stage(world: Any) -> None:
    demo = Demo(world, **REGRESS)
    command = world.command(demo.opportunity, "discovery", reason_code="X")
    back = after(world.decide(demo.opportunity, command, demo.rules))
    assert back.override is not None
    back = after(world.decide(back, void("second", "discovery"), demo.rules))
    made = world.decide(back, void("first", "prospecting"), demo.rules)
    assert (made.transition, after(made).stage_key, after(made).earned_stage) == (None, "discovery", "prospecting")
    assert Code.OVERRIDE_ACTIVE in codes(made)


def test_a_closed_opportunity_stays_closed(world: Any) -> None:
    demo = Demo(world, **REGRESS)
    given = {"override": True, "reason_code": "X", "text": "Signed."}
    won = after(world.decide(demo.opportunity, world.command(demo.opportunity, "closed_won", **given), demo.rules))
    made = world.decide(won, void("second", "discovery"), demo.rules)
    assert (made.outcome, made.transition, after(made).stage_key) == (Outcome.ACCEPTED, None, "closed_won")
