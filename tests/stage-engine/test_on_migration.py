"""What a migration does to one opportunity."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.by_rules import all_facts
from stage_engine.domain.decision import Code, Outcome, TransitionKind
from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.on_migration import input_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import StoredDecision, encode_decision, encode_input, encode_opportunity, run_again
from stage_engine.domain.requests import HoldRequest
from stage_engine.domain.sync import write_confirmed
from stage_engine.domain.timers import first_due
from stage_engine.domain.versions import OverridePolicy, Plan, ProposalPolicy
from stage_engine.engine import compiled

from tests.decisions import OVERRIDE, after, codes, kind

RENAMED = {"prospecting": "lead", "discovery": "talk", "demo": "show", "negotiation": "deal"}


def version(world: Any, number: int = 2, renamed: dict[str, str] | None = None, **changes: Any) -> Ruleset:
    """The field example under another number, with stages under other keys."""
    document, names = world.document(**changes), RENAMED if renamed is None else renamed
    for stage in document["stages"]:
        stage["key"] = names.get(stage["key"], stage["key"])
    for rule in document["rules"]:
        rule["from_stage"] = names.get(rule["from_stage"], rule["from_stage"])
        rule["to_stage"] = names.get(rule["to_stage"], rule["to_stage"])
    return compiled(from_document(document, number))


def migrated(world: Any, opportunity: Opportunity, rules: Ruleset, plan: Plan, number: str = "1") -> Any:
    given = input_of(plan, number, opportunity.opportunity_id, rules.pipeline.version, "olga")
    return world.decide(opportunity, given, rules, world.at(60))


def test_the_stage_gets_its_new_key_and_the_visit_goes_on(world: Any) -> None:
    before = world.opportunity()
    decision = migrated(world, before, version(world), Plan(RENAMED))
    now = after(decision)
    assert (decision.outcome, kind(decision)) == (Outcome.ACCEPTED, TransitionKind.MIGRATE)
    assert (now.pipeline_version, now.stage_key, now.earned_stage, now.revision) == (2, "lead", "lead", 2)
    assert (now.visit_no, now.visit_opened_at, now.cycle_no) == (1, before.visit_opened_at, 1)
    written = decision.crm_expected_stage, decision.crm_expected_version, decision.crm_target_stage
    assert written == ("prospecting", 1, "lead")


def test_a_stage_that_keeps_its_key_is_not_written(world: Any) -> None:
    decision = migrated(world, world.opportunity(), version(world, renamed={}), Plan({}))
    assert (after(decision).pipeline_version, after(decision).stage_key) == (2, "prospecting")
    assert (decision.crm_target_stage, after(decision).in_flight) == ("", ())


def test_evidence_captured_under_the_old_key_counts_and_moves_at_the_next_input(world: Any) -> None:
    rules = version(world)
    before = world.opportunity()
    captured = world.submission("prospecting", "70", before)
    moved = after(migrated(world, before, rules, Plan(RENAMED)))
    assert moved.stage_key == "lead"
    decision = world.decide(moved, captured, rules)
    assert (decision.outcome, after(decision).stage_key) == (Outcome.ACCEPTED, "talk")


def test_rules_are_not_asked_before_the_next_input(world: Any) -> None:
    strict = compiled(world.pipeline(rule_0={"conditions": [{"fact": "prospecting.score", "cell": "> 90"}]}))
    before = world.opportunity(rules=strict)
    scored = after(world.decide(before, world.submission("prospecting", "70", before), strict))
    assert scored.stage_key == "prospecting"
    rules = version(world)
    moved = after(migrated(world, scored, rules, Plan(RENAMED)))
    assert moved.stage_key == "lead"
    assert "prospecting.score" in all_facts(moved, rules.pipeline, world.at(60))
    assert after(world.decide(moved, world.submission("prospecting", "71", moved), rules)).stage_key == "talk"


def test_a_stage_without_a_place_is_refused_and_nothing_changes(world: Any) -> None:
    before = world.opportunity("demo")
    for plan in (Plan({}), Plan({**RENAMED, "demo": "closed_won"}), Plan({"demo": "nowhere"})):
        decision = migrated(world, before, version(world), plan)
        assert (decision.outcome, codes(decision)) == (Outcome.REJECTED, [Code.UNMAPPED_STAGE])
        assert after(decision) == before.changed(decision_no=before.decision_no + 1)


def test_overrides_and_proposals_stay_or_end_by_the_plan(world: Any) -> None:
    rules = version(world)
    first = world.opportunity()
    ahead = after(world.decide(first, world.command(first, "demo", skip=True, **OVERRIDE)))
    kept = after(migrated(world, ahead, rules, Plan(RENAMED)))
    assert kept.override is not None and kept.override.stage_key == "show"
    ended = after(migrated(world, ahead, rules, Plan(RENAMED, overrides=OverridePolicy.END)))
    assert ended.override is None
    earned = world.opportunity().changed(earned_stage="demo")
    assert after(migrated(world, earned, rules, Plan(RENAMED))).earned_stage == "show"
    withdrawn = after(migrated(world, earned, rules, Plan(RENAMED, proposals=ProposalPolicy.WITHDRAW)))
    assert withdrawn.earned_stage == "lead"


class TestTheCrm:
    def test_its_old_name_is_no_edit_while_the_write_is_on_its_way(self, world: Any) -> None:
        rules = version(world)
        moved = after(migrated(world, world.opportunity(), rules, Plan(RENAMED)))
        # In this version its name stands for no stage, or for another one.
        for stage in ("", "talk", "prospecting"):
            seen = world.observation(stage, crm_stage="Prospecting", owner_id="zoe")
            decision = world.decide(moved, seen, rules)
            assert (decision.outcome, after(decision).stage_key) == (Outcome.NO_OP, "lead")
            assert (after(decision).quarantined, after(decision).owner_id) == (False, "zoe")

    def test_its_own_name_for_both_is_agreement(self, world: Any) -> None:
        rules = version(world)
        moved = after(migrated(world, world.opportunity(), rules, Plan(RENAMED)))
        decision = world.decide(moved, world.observation("lead", crm_stage="Prospecting"), rules)
        now = after(decision)
        assert (now.base_stage, now.base_version, now.in_flight, now.override) == ("lead", 2, (), None)

    def test_an_edit_wins(self, world: Any) -> None:
        rules = version(world)
        moved = after(migrated(world, world.opportunity(), rules, Plan(RENAMED)))
        decision = world.decide(moved, world.observation("deal", crm_stage="Negotiation"), rules)
        assert (after(decision).stage_key, after(decision).visit_no) == ("deal", 2)

    def test_a_confirmed_write_is_the_base(self, world: Any) -> None:
        moved = after(migrated(world, world.opportunity(), version(world), Plan(RENAMED)))
        now = write_confirmed(moved, world.confirmed(moved.revision, "lead"))
        assert (now.base_stage, now.base_version, now.in_flight) == ("lead", 2, ())

    def test_a_move_before_that_replaces_the_stage_of_the_old_version(self, world: Any) -> None:
        rules = version(world)
        moved = after(migrated(world, world.opportunity(), rules, Plan(RENAMED)))
        decision = world.decide(moved, world.submission("prospecting", "70", moved), rules)
        written = decision.crm_expected_stage, decision.crm_expected_version, decision.crm_target_stage
        assert written == ("prospecting", 1, "talk")

    def test_of_one_in_quarantine_nothing_is_written(self, world: Any) -> None:
        quarantined = after(world.decide(world.opportunity(), world.observation("", crm_stage="Odd")))
        decision = migrated(world, quarantined, version(world), Plan(RENAMED))
        assert (after(decision).stage_key, after(decision).quarantined) == ("lead", True)
        assert decision.crm_target_stage == ""


def test_it_waits_for_its_first_stage_in_the_new_version(world: Any) -> None:
    waiting = after(world.decide(None, world.observation("", crm_stage="Odd")))
    rules = version(world)
    decision = migrated(world, waiting, rules, Plan(RENAMED))
    assert (decision.outcome, decision.transition, after(decision).pipeline_version) == (Outcome.NO_OP, None, 2)
    placed = after(world.decide(after(decision), world.observation("show", crm_stage="Odd"), rules))
    assert (placed.stage_key, placed.earned_stage) == ("show", "lead")


@given(
    stage=st.sampled_from(sorted(RENAMED)),
    score=st.integers(0, 100),
    renamed=st.sets(st.sampled_from(sorted(RENAMED))),
    then=st.lists(st.integers(0, 100), max_size=2),
)
def test_the_way_there_replays_and_the_way_back_restores_the_stages(
    world: Any, stage: str, score: int, renamed: set[str], then: list[int]
) -> None:
    names = {key: RENAMED[key] for key in renamed}
    rules, plan = version(world, renamed=names), Plan(names).completed(RENAMED)
    first = world.opportunity(stage)
    before = after(world.decide(first, world.submission("prospecting", str(score), first)))
    decision = migrated(world, before, rules, plan)
    there = after(decision)
    stored = StoredDecision(
        encode_opportunity(before), encode_input(input_of(plan, "1", "o1", 2, "olga")),
        encode_decision(decision), encode_opportunity(there),
    )  # fmt: skip
    assert run_again(stored, rules, world.at(60))[1]
    for number in then:
        there = after(world.decide(there, world.submission("prospecting", str(number), there), rules))
    back = after(migrated(world, there, world.rules, plan.inverse(), "2"))
    expected = {new: old for old, new in plan.stages.items()}
    assert (back.pipeline_version, back.stage_key) == (1, expected.get(there.stage_key, there.stage_key))
    assert back.visit_opened_at == there.visit_opened_at
    if not then:
        assert (back.stage_key, back.earned_stage, back.visit_no) == (
            before.stage_key, before.earned_stage, before.visit_no,
        )  # fmt: skip
        assert back.visit_opened_at == before.visit_opened_at


BUYERS = "contacts.buyers"


class TestHolds:
    def held(self, world: Any, **until: Any) -> Any:
        """On hold until there are buyers, in a version that reads them."""
        rules = world.document()["rules"]
        reading = {"rule_id": "x", "from_stage": "demo", "to_stage": "negotiation",
                   "conditions": [{"fact": BUYERS, "cell": "> 3"}]}  # fmt: skip
        rules = world.ruleset(rules=[*rules, reading])
        first = world.opportunity(rules=rules)
        wanted = HoldRequest("h1", "o1", first.revision, "mona", "buyers", fact=BUYERS, cell="> 0", **until)
        return after(world.decide(first, wanted, rules)), rules

    def test_one_until_a_fact_that_the_version_does_not_read_goes_on_by_itself(self, world: Any) -> None:
        """The next thing that happens to it: its timer, which asks rules about all that came meanwhile."""
        waiting, old = self.held(world)
        waiting = after(world.decide(waiting, world.submission("prospecting", "70", waiting), old))
        assert waiting.hold is not None and waiting.stage_key == "prospecting"
        rules = version(world, renamed={})
        decision = migrated(world, waiting, rules, Plan({}))
        (reason,) = decision.reasons
        assert (reason.code, reason.fact) == (Code.FACT_UNREAD, BUYERS)
        assert reason.message.endswith("which version 2 of field_example cannot tell: it goes on")
        fired = first_due(after(decision), world.at(60))
        assert fired is not None
        gone_on = world.decide(after(decision), fired, rules, world.at(60))
        assert (after(gone_on).hold, gone_on.to_stage) == (None, "discovery")

    def test_one_that_has_a_time_as_well_waits_for_that(self, world: Any) -> None:
        waiting, _ = self.held(world, until=world.at(6000))
        decision = migrated(world, waiting, version(world, renamed={}), Plan({}))
        assert decision.reasons[0].message.endswith("it goes on at 2026-03-06 13:00 UTC")
        assert after(decision).due_at == world.at(6000)

    def test_one_whose_fact_has_another_type_there_does_not_wait_either(self, world: Any) -> None:
        waiting, _ = self.held(world)
        rule = {"conditions": [{"fact": BUYERS, "cell": "'many'"}]}
        rules = version(world, renamed={}, facts=[{"name": BUYERS, "type": "text"}], rule_0=rule)
        decision = migrated(world, waiting, rules, Plan({}))
        assert codes(decision) == [Code.FACT_UNREAD]

    def test_one_that_is_understood_there_waits_on(self, world: Any) -> None:
        waiting, old = self.held(world)
        rules = compiled(replace(old.pipeline, version=2))
        decision = migrated(world, waiting, rules, Plan({}))
        assert (decision.reasons, after(decision).hold) == ((), waiting.hold)


def test_moves_to_and_fro_are_counted_on_under_the_new_keys(world: Any) -> None:
    edited = after(world.decide(world.opportunity(), world.observation("discovery")))
    assert [tug.stage_key for tug in edited.tugs] == ["prospecting", "discovery"]
    moved = after(migrated(world, edited, version(world), Plan(RENAMED)))
    assert [tug.stage_key for tug in moved.tugs] == ["lead", "talk"]
