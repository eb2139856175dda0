"""What to do next: in order, in words, with what supplies each."""

from datetime import timedelta
from typing import Any

from stage_engine.domain.actions import ActionKind
from stage_engine.domain.criteria import criteria_now
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import FactChange, TimerFired
from stage_engine.domain.next_steps import OpenTask, Step, StepKind, Supplies, next_steps
from stage_engine.domain.opportunity import Opportunity, SyncError
from stage_engine.domain.outlook import ways_on
from stage_engine.domain.owed import Touch
from stage_engine.domain.timers import OWED

from tests.approvals import gated, passed

DAY = timedelta(days=1)


def with_criteria(world: Any) -> Ruleset:
    stages = world.document()["stages"]
    buyer = {"fact": "contacts.decision_makers", "cell": "> 0"}
    talk = {"fact": "activity.call.count", "cell": "> 0"}
    stages[0]["exit"] = [
        {"key": "talk", "name": "A call was made", "conditions": [talk], "need": "advisory"},
        {"key": "buyer", "name": "The buyer is known", "conditions": [buyer], "supplied_by": "Contact roles"},
    ]
    return world.ruleset(stages=stages)


def steps(world: Any, opportunity: Opportunity, rules: Ruleset, *tasks: OpenTask) -> tuple[Step, ...]:
    criteria, ways = criteria_now(opportunity, rules, world.start), ways_on(opportunity, rules, world.start)
    return next_steps(opportunity, rules.pipeline, criteria, ways, tasks, world.start)


def test_what_is_missing_comes_before_what_is_only_advised(world: Any) -> None:
    rules = with_criteria(world)
    late = OpenTask("a1", ActionKind.TASK, "Call back", world.start - DAY)
    due = OpenTask("a2", ActionKind.TASK, "Send the offer", world.start + DAY)
    found = steps(world, world.opportunity(rules=rules), rules, due, late)
    assert [(each.kind, each.late) for each in found] == [
        (StepKind.TASK, True),
        (StepKind.CRITERION, False),
        (StepKind.TASK, False),
        (StepKind.RULE, False),
        (StepKind.ADVICE, False),
    ]
    _, buyer, _, score, talk = found
    assert (buyer.supplies, buyer.supplied_by) == (Supplies.FACT, "Contact roles")
    assert (score.supplies, score.supplied_by, score.to_stage) == (Supplies.ASSESSMENT, "prospecting", "discovery")
    assert talk.supplies is Supplies.ACTIVITY
    assert buyer.text == "The buyer is known: contacts.decision_makers is not known; needed: > 0."


def test_a_near_miss_names_the_questions_that_could_give_it(world: Any) -> None:
    opportunity = world.opportunity()
    given = world.submission("prospecting", "50", opportunity, lost=(("hours", 30),))
    after = world.decide(opportunity, given).opportunity
    (step,) = steps(world, after, world.rules)
    assert step.supplied_by == "hours"
    assert step.text.startswith("For Discovery: prospecting.score is 50")


def test_what_the_evidence_supports_is_to_be_confirmed(world: Any) -> None:
    rules = world.ruleset(rule_0={"mode": "propose"})
    opportunity = world.opportunity(rules=rules)
    after = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules).opportunity
    first = steps(world, after, rules)[0]
    assert (first.kind, first.to_stage, first.supplies) == (StepKind.PROPOSAL, "discovery", Supplies.PERSON)
    assert first.text.startswith("The rule prospecting_to_discovery proposes Discovery: accept it")
    alone = steps(world, after.changed(proposals={}), rules)[0]
    assert alone.text == "The evidence supports Discovery: confirm the move."


def test_what_is_owed_is_asked_for_until_it_is_met_and_late_first(world: Any) -> None:
    call = {"key": "call", "name": "Call the customer", "within": "2d", "met_by": "activity.call.last_at"}
    rules = world.ruleset(obligations=[call])
    opened = world.decide(None, world.observation("prospecting"), rules).opportunity
    (owed,) = (each for each in steps(world, opened, rules) if each.kind is StepKind.OBLIGATION)
    assert (owed.text, owed.key, owed.supplies, owed.supplied_by) == (
        "Call the customer", "call", Supplies.ACTIVITY, "activity.call.last_at",
    )  # fmt: skip
    assert (owed.due_at, owed.late) == (world.start + 2 * DAY, False)
    assert owed.due_at is not None
    fired = TimerFired("o1", OWED, opened.timers[OWED].set_by, owed.due_at)
    missed = world.decide(opened, fired, rules, world.start + 3 * DAY).opportunity
    first = steps(world, missed, rules)[0]
    assert (first.kind, first.late) == (StepKind.OBLIGATION, True)
    touch = Touch("a1", "call", False, world.start + 3 * DAY, "rita")
    met = FactChange("c1", "o1", "crm", (), touches=(touch,))
    after = world.decide(missed, met, rules, world.start + 3 * DAY).opportunity
    assert not any(each.kind is StepKind.OBLIGATION for each in steps(world, after, rules))


def test_what_the_crm_refused_is_in_the_way(world: Any) -> None:
    error = SyncError(1, "discovery", "FIELD", "no", world.start)
    first = steps(world, world.opportunity().changed(sync_error=error), world.rules)[0]
    assert first.kind is StepKind.SYNC_PROBLEM
    assert first.text == "The CRM refused the stage discovery: no. Resolve it there."


def test_a_closed_one_keeps_its_open_tasks_only(world: Any) -> None:
    closed = world.opportunity("closed_lost")
    task = OpenTask("a1", ActionKind.TASK, "Say farewell", None)
    assert [each.kind for each in steps(world, closed, world.rules, task)] == [StepKind.TASK]
    assert steps(world, closed, world.rules) == ()


def test_what_waits_for_approval_is_said_once(world: Any) -> None:
    rules = gated(world)
    after = passed(world, world.opportunity(rules=rules), rules).opportunity
    found = steps(world, after, rules)
    assert [each.kind for each in found] == [StepKind.APPROVAL]
    assert found[0].text == "The move to Discovery waits for approval, 0 of 2 agree: remind the approvers."
