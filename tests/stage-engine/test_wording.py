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
