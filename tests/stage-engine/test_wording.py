"""What changes between two versions, in words."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.wording import ChangeKind, differences


def texts(world: Any, **changes: Any) -> list[str]:
    return [each.text for each in differences(world.pipeline(), world.pipeline(**changes))]


def rule_1(cell: str, **more: Any) -> dict[str, Any]:
    return {"rule_1": {"conditions": [{"fact": "discovery.score", "cell": cell}], **more}}


def test_a_threshold_reads_as_a_person_says_it(world: Any) -> None:
    assert texts(world, **rule_1("> 70")) == ["Discovery → Demo: > 75 becomes > 70."]


def test_of_several_conditions_each_is_named(world: Any) -> None:
    two = [{"fact": "discovery.score", "cell": "> 75"}, {"fact": "opportunity.amount", "cell": ">= 500"}]
    assert texts(world, rule_1={"conditions": two}) == [
        "Discovery → Demo: opportunity.amount >= 500 is needed as well."
    ]


def test_modes_priorities_targets_and_policies(world: Any) -> None:
    changes = {**rule_1("> 75", mode="propose", priority=3), "skip_policy": "if_guards_hold", "confirm_own": True}
    assert texts(world, **changes) == [
        "The pipeline: skip policy forbid becomes if_guards_hold.",
        "The pipeline: own proposals may be confirmed no becomes yes.",
        "Discovery → Demo: mode auto becomes propose.",
        "Discovery → Demo: priority 0 becomes 3.",
    ]
    assert texts(world, rule_1={"to_stage": "negotiation"}) == ["Discovery → Demo becomes Discovery → Negotiation."]


def test_stages_come_go_and_change_their_names(world: Any) -> None:
    stages = world.document()["stages"]
    demo = {**stages[2], "key": "trial", "name": "Trial"}
    changed = [stages[0] | {"name": "Lead"}, stages[1] | {"assessment_keys": ["discovery", "fit"]}, demo, *stages[3:]]
    found = differences(world.pipeline(), world.pipeline(stages=changed))
    assert [(each.kind, each.text) for each in found if each.kind is not ChangeKind.RULE_CHANGED] == [
        (ChangeKind.STAGE_CHANGED, "Prospecting is now called Lead."),
        (ChangeKind.STAGE_CHANGED, "Discovery: assessments discovery becomes discovery, fit."),
        (ChangeKind.STAGE_ADDED, "Trial is a new stage, open, after Discovery."),
        (ChangeKind.STAGE_REMOVED, "Demo is no stage any more."),
    ]
    swapped = [stages[1], stages[0], *stages[2:]]
    assert texts(world, stages=swapped)[0].startswith("The order of stages becomes Discovery, Prospecting, Demo")


def test_rules_come_and_go(world: Any) -> None:
    rules = world.document()["rules"]
    assert texts(world, rules=rules[1:]) == ["Prospecting → Discovery: prospecting.score > 60 is no rule any more."]
    added = {"rule_id": "lost", "from_stage": None, "to_stage": "closed_lost", "conditions": rules[0]["conditions"]}
    assert texts(world, rules=[*rules, added]) == [
        "Any stage → Closed Lost is a new rule, propose: prospecting.score > 60."
    ]


CLEARED = {"key": "legal", "name": "Legal has cleared it", "conditions": [{"fact": "legal.cleared", "cell": "true"}]}
MET = {"key": "met", "name": "First meeting", "conditions": [{"fact": "meeting.next_on", "cell": "known"}]}


def of_the_first_stage(world: Any, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    first, *others = world.document()["stages"]
    before, now = (world.pipeline(stages=[first | change, *others]) for change in (old, new))
    return [each.text for each in differences(before, now)]


def test_criteria_and_milestones_come_and_go(world: Any) -> None:
    has = {"entry": [CLEARED], "exit": [CLEARED], "milestones": [MET]}
    assert of_the_first_stage(world, {}, has) == [
        "Prospecting, entry criterion “Legal has cleared it” is new, required: legal.cleared true.",
        "Prospecting, exit criterion “Legal has cleared it” is new, required: legal.cleared true.",
        "Prospecting, milestone “First meeting” is new, reached by meeting.next_on known.",
    ]
    assert of_the_first_stage(world, has, {"entry": [CLEARED], "milestones": [MET]}) == [
        "Prospecting, exit criterion “Legal has cleared it” is dropped: required: legal.cleared true.",
    ]


def test_of_a_criterion_every_change_is_named(world: Any) -> None:
    more = [*CLEARED["conditions"], {"fact": "account.industry", "cell": "known"}]
    changed = CLEARED | {"name": "Cleared", "conditions": more, "need": "advisory", "help": "Ask the lawyers."}
    assert of_the_first_stage(world, {"exit": [CLEARED]}, {"exit": [changed]}) == [
        "Prospecting, exit criterion “Legal has cleared it” is now called Cleared.",
        "Prospecting, exit criterion Cleared: account.industry known is needed as well.",
        "Prospecting, exit criterion Cleared: need required becomes advisory.",
        "Prospecting, exit criterion Cleared: help none becomes “Ask the lawyers.”.",
    ]
    other = CLEARED | {"key": "other", "name": "Other"}
    assert of_the_first_stage(world, {"exit": [CLEARED, other]}, {"exit": [other, CLEARED]}) == [
        "Prospecting: the order by exit criterion becomes Other, “Legal has cleared it”."
    ]


def test_facts_and_what_the_pipeline_takes(world: Any) -> None:
    fact = {"name": "account.industry", "type": "text", "sources": ["crm"]}
    large = [{"fact": "opportunity.amount", "cell": "> 1000"}]
    assert texts(world, facts=[fact], applies_when=large, assessment_max_age={"demo": 30}) == [
        "The pipeline: days for which evidence of single assessments counts none becomes demo 30.",
        "The pipeline: applies when none becomes “opportunity.amount > 1000”.",
        "The pipeline, fact account.industry is new, of type text.",
    ]
    old, new = (world.pipeline(facts=[fact | {"sources": names}]) for names in (["crm"], ["crm", "dialler"]))
    assert [each.text for each in differences(old, new)] == [
        "The pipeline, fact account.industry: sources crm becomes crm, dialler."
    ]


@given(
    field=st.sampled_from(["mode", "priority", "reason_code", "from_stage", "to_stage", "conditions"]),
    number=st.integers(0, 3),
)
def test_nothing_differs_silently(world: Any, field: str, number: int) -> None:
    """Whatever is changed of a rule is told, and what is not is not."""
    values = {
        "mode": "off", "priority": 7, "reason_code": "PRICE", "from_stage": None, "to_stage": "closed_lost",
        "conditions": [{"fact": "opportunity.amount", "cell": "< 3"}],
    }  # fmt: skip
    other = world.pipeline(**{f"rule_{number}": {field: values[field]}})
    told = {each.key for each in differences(world.pipeline(), other)}
    assert told == ({other.rules[number].rule_id} if other != world.pipeline() else set())
    assert differences(other, other) == []


def test_actions_come_change_and_go(world: Any) -> None:
    stages = world.document()["stages"]
    call = {"key": "call", "kind": "task", "text": "Call"}
    stages[0]["on_entry"] = [call]
    with_call = world.pipeline(stages=stages, rule_0={"actions": [{**call, "key": "again"}]})
    assert [each.text for each in differences(world.pipeline(), with_call)] == [
        "Prospecting, entry action call is new, task: Call.",
        "Prospecting → Discovery, action again is new, task: Call.",
    ]
    stages[0]["on_entry"] = [{**call, "text": "Write"}]
    changed = world.pipeline(stages=stages)
    assert [each.text for each in differences(with_call, changed)] == [
        "Prospecting, entry action call: text Call becomes Write.",
        "Prospecting → Discovery, action again is dropped: task: Call.",
    ]


def test_what_is_owed_reads_as_a_person_says_it(world: Any) -> None:
    call = {"key": "call", "name": "Call the customer", "within": "90d", "repeats": "90d", "starts": "on_first_sight",
            "met_by": "activity.call.last_at"}  # fmt: skip
    assert texts(world, obligations=[call], reassign_after="14d") == [
        "The pipeline: obligations none becomes “Call the customer” within 90d on_first_sight, again each 90d, met by"
        " activity.call.last_at.",
        "The pipeline: time without a touch after which another owner is chosen none becomes 14d.",
    ]


def test_who_has_to_approve_is_said(world: Any) -> None:
    two = {"approvers": {"roles": ["manager"], "people": ["cfo"]}, "needed": 2}
    stages = [{**s, "approval": two} if s["key"] == "demo" else s for s in world.document()["stages"]]
    assert texts(world, stages=stages, proposals_expire_after="2w") == [
        "The pipeline: time for which proposals are waited for 30d becomes 2w.",
        "Demo: approval none becomes “2 of role manager or person cfo, within 72h”.",
    ]
    late = {"key": "late", "name": "Late", "category": "open", "approval": {"approvers": {"manager_of_owner": True}}}
    assert texts(world, stages=[*world.document()["stages"][:4], late, *world.document()["stages"][4:]]) == [
        "Late is a new stage, open, after Negotiation, with the approval of 1 of a manager of the owner, within 72h."
    ]


def test_timers_come_change_and_go_with_what_they_ask_for(world: Any) -> None:
    call = {"key": "call", "kind": "task", "text": "Call"}
    quiet = {
        "key": "quiet",
        "after": "90d",
        "starts": "after_fact",
        "fact": "activity.last_touch_at",
        "actions": [call],
    }
    one, two = (world.pipeline(timers=[each]) for each in (quiet, {**quiet, "after": "30d", "actions": []}))
    new = "The pipeline, timer quiet is new, 90d after_fact activity.last_touch_at, asks for task: Call."
    assert [each.text for each in differences(world.pipeline(), one)] == [new]
    assert [each.text for each in differences(one, two)] == [
        "The pipeline, timer quiet, action call is dropped: task: Call.",
        "The pipeline, timer quiet: after 90d becomes 30d.",
    ]
