"""What becomes of a subject to which another pipeline applies."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.choosing import reassignment
from stage_engine.domain.decision import Code, Outcome, TransitionKind
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.inputs import FactChange, MappedStage, Observation, Occasion
from stage_engine.domain.lint import lint
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.owed import OwedState
from stage_engine.domain.replay import (
    StoredDecision,
    encode_decision,
    encode_input,
    encode_opportunity,
    run_again,
)
from stage_engine.domain.requests import HoldRequest
from stage_engine.domain.timers import first_due
from stage_engine.engine import cell_fault, compiled

from tests.decisions import OVERRIDE, after, codes, kind

RENEWAL = [{"fact": "opportunity.record_type", "cell": "'renewal'"}]


def renewals(world: Any, **changes: Any) -> Ruleset:
    mapping = {"field_example": {"discovery": "demo", "negotiation": "negotiation"}}
    return compiled(world.pipeline(**{"key": "renewals", "applies_when": RENEWAL, "reassign": mapping, **changes}))


def own(world: Any, **changes: Any) -> Ruleset:
    return compiled(world.pipeline(**changes))


def seen(world: Any, record_type: str, shown: str = "discovery") -> Observation:
    mapped = (MappedStage("field_example", 1, "discovery"), MappedStage("renewals", 1, shown))
    return world.observation("discovery", facts=(world.fact("opportunity.record_type", record_type),), mapped=mapped)


def led(world: Any, before: Opportunity, given: Observation, rules: Ruleset, other: Ruleset) -> Any:
    newest = {each.pipeline.key: each.pipeline for each in (rules, other)}
    found = reassignment(before, given, newest[before.pipeline_key], newest, world.start)
    if found is None:
        return None
    chosen = other if found.to_stage else rules
    decision = world.decide(before, found, chosen)
    stored = StoredDecision(
        encode_opportunity(before), encode_input(found), encode_decision(decision), encode_opportunity(after(decision))
    )
    assert run_again(stored, chosen, world.start)[1]
    return decision


@pytest.mark.parametrize(("shown", "written"), [("discovery", "demo"), ("demo", "")])
def test_it_goes_where_the_mapping_says_in_the_middle_of_a_stage(world: Any, shown: str, written: str) -> None:
    """A record type that changes: one logged move, a visit of its own, and nothing of the old pipeline's left."""
    rules, other = own(world), renewals(world)
    first = world.opportunity("discovery", rules)
    before = after(world.decide(first, world.command(first, "demo", **OVERRIDE), rules))
    before = after(world.decide(before, world.command(before, "discovery", reason_code="BACK"), rules))
    decision = led(world, before, seen(world, "renewal", shown), rules, other)
    now = after(decision)
    assert (decision.outcome, kind(decision)) == (Outcome.ACCEPTED, TransitionKind.REASSIGN)
    assert (decision.from_stage, decision.to_stage) == ("discovery", "demo")
    assert (now.pipeline_key, now.stage_key, now.earned_stage) == ("renewals", "demo", "prospecting")
    assert (now.visit_no, now.revision) == (before.visit_no + 1, before.revision + 1)
    assert (now.override, now.retracted, now.earned_from) == (None, None, ())
    assert (decision.crm_target_stage, decision.crm_expected_stage) == (written, shown if written else "")
    # The same facts lead nowhere else.
    assert led(world, now, seen(world, "renewal", shown), other, rules) is None


def test_what_held_in_the_other_pipeline_has_not_lasted_here(world: Any) -> None:
    """Rules of two pipelines may have the same key."""
    document = world.document()
    back = {"rule_id": "ill", "from_stage": None, "to_stage": "prospecting", "mode": "auto", "back": True,
            "lasting": "3d", "conditions": [{"fact": "opportunity.amount", "cell": "> 0"}]}  # fmt: skip
    both = {"rules": [*document["rules"], back]}
    rules, other = own(world, **both), renewals(world, **both)
    before = world.opportunity("discovery", rules)
    assert before.lasting.keys() == {"ill"}
    now = after(led(world, before, seen(world, "renewal"), rules, other))
    assert (now.stage_key, now.lasting, now.timers) == ("demo", {}, {})


def test_without_a_place_it_stays_until_its_own_pipeline_applies_again(world: Any) -> None:
    rules, other = own(world), renewals(world, reassign={})
    before = world.opportunity("discovery", rules)
    decision = led(world, before, seen(world, "renewal"), rules, other)
    held = after(decision)
    assert (decision.outcome, codes(decision)) == (Outcome.NO_OP, [Code.OTHER_PIPELINE])
    assert (held.stage_key, held.other_pipeline, held.quarantined) == ("discovery", "renewals", False)
    assert led(world, held, seen(world, "renewal"), rules, other) is None
    assert after(led(world, held, seen(world, "new"), rules, other)).other_pipeline == ""


def test_or_it_is_quarantined_as_the_policy_says(world: Any) -> None:
    rules, other = own(world, on_other_pipeline="quarantine"), renewals(world, reassign={})
    before = world.opportunity("discovery", rules)
    held = after(led(world, before, seen(world, "renewal"), rules, other))
    assert (held.quarantined, held.quarantine_code) == (True, "OTHER_PIPELINE")
    # Another look at it lifts nothing.
    decision = world.decide(held, world.observation("demo"), rules)
    assert (codes(decision), after(decision).quarantined) == ([Code.OTHER_PIPELINE], True)
    free = after(led(world, held, seen(world, "new"), rules, other))
    assert (free.quarantined, free.other_pipeline) == (False, "")
    assert after(world.decide(free, world.observation("demo"), rules)).stage_key == "demo"


def test_it_does_not_go_to_and_fro(world: Any) -> None:
    """Two pipelines of one type hold mappings of each other: one input moves a subject at most once."""
    rules, other = own(world, reassign={"renewals": {"demo": "discovery"}}), renewals(world)
    there = after(led(world, world.opportunity("discovery", rules), seen(world, "renewal"), rules, other))
    assert led(world, there, seen(world, "renewal"), other, rules) is None
    newest = {each.pipeline.key: each.pipeline for each in (rules, other)}
    back = reassignment(there, seen(world, "new"), newest[there.pipeline_key], newest, world.start)
    assert back is not None
    assert (back.to_pipeline, back.to_stage) == ("field_example", "discovery")


def test_a_mapping_leads_to_open_stages_that_exist(world: Any) -> None:
    document = {"sales": {"new": "nowhere", "old": "closed_won", "mid": "demo"}}
    found = {f.pointer: f.code for f in lint(world.pipeline(reassign=document), {}, cell_fault)}
    assert found["/reassign/sales/new"] == "stage_unknown"
    assert found["/reassign/sales/old"] == "reassign_closes"
    assert "/reassign/sales/mid" not in found


def test_a_reported_fact_that_only_the_other_one_reads_counts_where_its_source_may_say_it(world: Any) -> None:
    asked = {"name": "champion", "type": "boolean", "sources": ["survey"]}
    other = world.pipeline(
        key="other", is_default=False, facts=[asked], applies_when=[{"fact": "champion", "cell": "true"}]
    )
    newest = {pipeline.key: pipeline for pipeline in (world.pipeline(), other)}
    for source, goes in (("survey", True), ("dialler", False)):
        change = FactChange("c1", "o1", source, (FactInForce("champion", True, source, world.start),))
        found = reassignment(world.opportunity(), change, world.pipeline(), newest, world.start)
        assert (found is not None and found.to_pipeline == "other") is goes


class TestKeysOfThePipelineThatIsLeft:
    """Two pipelines may call different things alike."""

    def stages(self, world: Any, cell: str, **more: Any) -> list[dict[str, Any]]:
        stages = world.document()["stages"]
        stages[1]["milestones"] = [
            {"key": "agreed", "name": "Agreed", "conditions": [{"fact": "opportunity.amount", "cell": cell}]}
        ]
        stages[1] |= more
        return stages

    def test_its_milestones_are_not_reached_here(self, world: Any) -> None:
        rule = {"rule_id": "agreed", "from_stage": "demo", "to_stage": "negotiation", "mode": "auto",
                "conditions": [{"fact": "milestones.agreed", "cell": "true"}]}  # fmt: skip
        rules = own(world, stages=self.stages(world, "> 5"))
        other = renewals(world, stages=self.stages(world, "> 9999"), rules=[*world.document()["rules"], rule])
        before = world.opportunity("discovery", rules)
        before = after(world.decide(before, world.observation("discovery", amount=Decimal(7)), rules))
        assert before.milestones.keys() == {"agreed"}
        now = after(led(world, before, seen(world, "renewal", "demo"), rules, other))
        assert (now.pipeline_key, now.milestones) == ("renewals", {})
        again = world.decide(now, world.observation("demo", amount=Decimal(8)), other)
        assert after(again).stage_key == "demo"

    def test_nor_has_its_timer_fired_here(self, world: Any) -> None:
        timers = {"timers": [{"key": "quiet", "after": "1h", "starts": "on_first_sight"}]}
        rule = {"rule_id": "quiet", "from_stage": "demo", "to_stage": "closed_lost", "mode": "auto",
                "reason_code": "QUIET", "conditions": [{"fact": "timers.quiet.fired", "cell": "true"}]}  # fmt: skip
        rules, other = own(world, **timers), renewals(world, **timers, rules=[*world.document()["rules"], rule])
        before = world.opportunity("discovery", rules)
        fired = first_due(before, world.at(60))
        assert fired is not None
        before = after(world.decide(before, fired, rules, world.at(60)))
        assert before.timers["quiet"].fired == 1
        now = after(led(world, before, seen(world, "renewal", "demo"), rules, other))
        assert (now.timers["quiet"].fired, now.timers["quiet"].set_by) == (0, now.decision_no)

    def test_nor_was_asked_for_what_it_asked_for_once(self, world: Any) -> None:
        call = {"key": "call", "kind": "task", "text": "Call", "once_per_cycle": True}
        stages = self.stages(world, "> 5", on_entry=[call], on_exit=[{**call, "key": "bye"}])
        ours = self.stages(world, "> 5")
        ours[2]["on_entry"] = [call]
        rules, other = own(world, stages=stages), renewals(world, stages=ours)
        before = after(world.decide(world.opportunity(rules=rules), world.observation("discovery"), rules))
        assert before.asked_in_cycle.keys() == {"call"}
        decision = led(world, before, seen(world, "renewal", "demo"), rules, other)
        assert [asked.key for asked in decision.actions] == ["bye", "call"]
        done = before.changed(asked_in_cycle={"call": 1, "bye": 1})
        assert [a.key for a in led(world, done, seen(world, "renewal", "demo"), rules, other).actions] == ["call"]

    def test_nor_is_what_was_owed_there_owed_or_met_here(self, world: Any) -> None:
        call = {"key": "call", "name": "Call", "starts": "on_first_sight", "within": "2h",
                "met_by": "activity.call.last_at"}  # fmt: skip
        rules, other = own(world, obligations=[call]), renewals(world, obligations=[call])
        first = seen(world, "new")
        created = replace(first, occasion=Occasion.CREATED, mapped=(), stage_key="prospecting")
        before = after(world.decide(None, created, rules))
        (owed,) = before.owing["call"].owed
        before = after(world.decide(before, world.observation("discovery"), rules))
        later = world.at(60)
        newest = {each.pipeline.key: each.pipeline for each in (rules, other)}
        going = reassignment(before, seen(world, "renewal", "demo"), rules.pipeline, newest, later)
        assert going is not None
        decision = world.decide(before, going, other, later)
        old, new = after(decision).owing["call"].owed
        assert (old.made_at, old.state, new.made_at, new.state) == (
            owed.made_at, OwedState.CANCELLED, later, OwedState.OPEN,
        )  # fmt: skip
        assert new.due == world.at(180)

    @pytest.mark.parametrize(("reads", "waits"), [(False, False), (True, True)])
    def test_nor_is_waited_for_a_fact_that_is_not_read_here(self, world: Any, reads: bool, waits: bool) -> None:
        fact = {"rule_id": "x", "from_stage": "demo", "to_stage": "negotiation", "mode": "auto",
                "conditions": [{"fact": "contacts.buyers", "cell": "> 3"}]}  # fmt: skip
        both = [*world.document()["rules"], fact]
        rules, other = own(world, rules=both), renewals(world, **({"rules": both} if reads else {}))
        first = world.opportunity("discovery", rules)
        wanted = HoldRequest("h1", "o1", first.revision, "mona", "buyers", fact="contacts.buyers", cell="> 0")
        before = after(world.decide(first, wanted, rules))
        decision = led(world, before, seen(world, "renewal", "demo"), rules, other)
        assert (Code.FACT_UNREAD in codes(decision)) is not waits
        assert (after(decision).due_at == world.start) is not waits
