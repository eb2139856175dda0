"""Rules that lead back once their conditions have held for a while."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, TransitionKind
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.lasting import LASTING
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.domain.timers import first_due

DAY = timedelta(days=1)
HEALTH = {"name": "account.health", "type": "decimal"}


def rules_of(world: Any, mode: str = "auto", lasting: str = "3d", **changes: Any) -> Ruleset:
    """On to demo with a health over 5; back to discovery once it has been below 3, a band beneath, for a while."""
    back = {
        "rule_id": "ill", "from_stage": "demo", "to_stage": "discovery", "mode": mode, "back": True, "lasting": lasting,
        "reason_code": "ILL", "conditions": [{"fact": "account.health", "cell": "< 3"}],
    }  # fmt: skip
    on = {"rule_id": "well", "from_stage": "discovery", "to_stage": "demo", "mode": "auto",
          "conditions": [{"fact": "account.health", "cell": "> 5"}]}  # fmt: skip
    rules = [rule for rule in world.document()["rules"] if rule["from_stage"] != "discovery"]
    return world.ruleset(rules=[*rules, on, back], facts=[HEALTH], **changes)


class Story:
    """One opportunity in demo whose health changes, day by day."""

    def __init__(self, world: Any, rules: Ruleset) -> None:
        self.world, self.rules, self.now = world, rules, world.start
        self.opportunity: Opportunity = world.opportunity("discovery", rules)
        self.health(6)
        assert self.opportunity.stage_key == "demo"

    def take(self, given: Any) -> Decision:
        made = self.world.decide(self.opportunity, given, self.rules, self.now)
        assert made.opportunity is not None
        self.opportunity = made.opportunity
        return made

    def health(self, value: int) -> Decision:
        return self.take(self.world.facts(self.world.fact("account.health", value, observed_at=self.now)))

    def after(self, passed: timedelta) -> Decision | None:
        """The decision of the timer that is due by then, if one is."""
        self.now += passed
        due = first_due(self.opportunity, self.now)
        return None if due is None else self.take(due)

    @property
    def due(self) -> datetime | None:
        running = self.opportunity.timers.get(f"{LASTING}ill")
        return None if running is None else running.due


@pytest.fixture
def story(world: Any) -> Story:
    return Story(world, rules_of(world))


def test_it_leads_back_once_its_conditions_have_held_for_the_whole_time(story: Story) -> None:
    waiting = story.health(2)
    assert (waiting.outcome, waiting.transition) == (Outcome.NO_OP, None)
    (reason,) = [r for r in waiting.reasons if r.code is Code.NOT_LASTING]
    assert reason.message.endswith("acts once that has lasted 3d")
    assert story.due == story.now + 3 * DAY
    assert story.after(3 * DAY - timedelta(seconds=1)) is None
    assert story.health(1).transition is None, "still ill, and not for long enough"
    back = story.after(timedelta(seconds=1))
    assert back is not None and back.transition is not None
    assert (back.transition.kind, back.transition.cause) == (TransitionKind.REGRESS, Cause.RULE)
    assert (back.transition.to_stage, back.transition.reason_code) == ("discovery", "ILL")
    assert back.crm_target_stage == "discovery"
    assert (back.transition.visit_no, back.transition.cycle_no) == (3, 1)
    assert story.due is None


def test_it_stops_counting_when_they_do_not_hold_any_more(story: Story) -> None:
    story.health(2)
    story.now += 2 * DAY
    story.health(4)
    assert story.due is None and not story.opportunity.lasting
    story.now += DAY
    story.health(2)
    assert story.due == story.now + 3 * DAY


def test_within_the_band_it_neither_leads_on_nor_back(story: Story) -> None:
    for value in (5, 4, 3):
        assert story.health(value).transition is None
    assert story.due is None


def test_what_was_answered_before_is_stale_and_what_it_earned_further_on_is_gone(story: Story, world: Any) -> None:
    story.take(world.submission("demo", "10", story.opportunity))
    visit = story.opportunity.visit_no
    story.health(2)
    story.after(3 * DAY)
    assert story.opportunity.scores["demo"].visit_no == visit < story.opportunity.visit_no
    assert story.opportunity.earned_stage == "prospecting"


def test_its_clock_rests_on_hold(story: Story) -> None:
    story.health(2)
    story.now += DAY
    story.take(HoldRequest("h1", "o1", story.opportunity.revision, "mona", "Later"))
    assert story.after(10 * DAY) is None
    story.take(ResumeRequest("r1", "o1", story.opportunity.revision, "mona"))
    assert story.due == story.now + 2 * DAY


def test_a_visit_that_ends_ends_the_count(story: Story, world: Any) -> None:
    story.health(2)
    story.take(world.command(story.opportunity, "closed_lost", reason_code="PRICE"))
    assert story.due is None and not story.opportunity.lasting


def test_an_override_outlasts_what_it_was_set_against(story: Story, world: Any) -> None:
    story.health(2)
    story.now += DAY
    given = {"override": True, "reason_code": "SPONSOR", "text": "The board agreed."}
    story.take(world.command(story.opportunity, "negotiation", **given))
    story.take(world.command(story.opportunity, "demo", reason_code="BACK"))
    again = story.after(10 * DAY)
    assert story.opportunity.stage_key == "demo"
    assert again is None or Code.OVERRIDE_ACTIVE in [r.code for r in again.reasons]


def test_a_rule_that_proposes_proposes_only_then(world: Any) -> None:
    story = Story(world, rules_of(world, mode="propose"))
    assert story.health(2).outcome is Outcome.NO_OP
    proposed = story.after(3 * DAY)
    assert proposed is not None
    assert (proposed.outcome, proposed.proposed_stage) == (Outcome.PROPOSED, "discovery")


def test_business_days_count_by_the_calendar(world: Any) -> None:
    story = Story(world, rules_of(world, lasting="2bd"))
    story.now = datetime.fromisoformat("2026-03-06T17:00:00+00:00")  # a Friday
    story.health(2)
    assert story.due is not None and story.due.isoformat() == "2026-03-10T17:00:00+00:00"


def test_what_a_stage_asks_for_once_in_a_cycle_is_not_asked_for_when_it_comes_back(world: Any) -> None:
    stages = world.document()["stages"]
    stages[1]["on_entry"] = [
        {"key": "welcome", "kind": "task", "text": "Welcome", "once_per_cycle": True},
        {"key": "look", "kind": "task", "text": "Look into it"},
    ]
    story = Story(world, rules_of(world, stages=stages))
    story.take(world.command(story.opportunity, "prospecting", reason_code="X"))
    story.take(world.command(story.opportunity, "discovery", override=True, reason_code="X", text="On."))
    story.opportunity = story.opportunity.changed(override=None)
    story.health(7)
    assert story.opportunity.stage_key == "demo"
    story.health(2)
    back = story.after(3 * DAY)
    assert back is not None and back.to_stage == "discovery"
    assert [each.key for each in back.actions] == ["look"]
