"""Opportunities that go to and fro between a rule of ours and something in the CRM."""

from datetime import timedelta
from typing import Any

import pytest
from stage_engine.domain.decision import Cause, Code, Decision, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import Keep, ReleaseRequest
from stage_engine.domain.sync import write_confirmed

FLOW = "flow-user"


class Row:
    """What a flow of the org does to our writes, minute by minute."""

    def __init__(self, world: Any, rules: Ruleset, minutes: int = 1) -> None:
        self.world, self.rules, self.now = world, rules, world.start
        self.step = timedelta(minutes=minutes)
        self.opportunity: Opportunity = world.opportunity("prospecting", rules)

    def take(self, given: Any) -> Decision:
        self.now += self.step
        made = self.world.decide(self.opportunity, given, self.rules, self.now)
        assert made.opportunity is not None
        self.opportunity = made.opportunity
        for revision, stage in made.opportunity.in_flight:
            self.opportunity = write_confirmed(self.opportunity, self.world.confirmed(revision, stage))
        return made

    def flow_sets(self, stage: str, **given: Any) -> Decision:
        fields = {"changed_by": FLOW, "committed_at": self.now, **given}
        return self.take(self.world.observation(stage, **fields))

    def evidence(self) -> Decision:
        """New answers after whatever was set before."""
        at = self.now + self.step
        return self.take(self.world.submission("prospecting", "70", self.opportunity, captured_at=at, received_at=at))


@pytest.fixture
def adopting(world: Any) -> Row:
    return Row(world, world.rules)


@pytest.fixture
def reverting(world: Any) -> Row:
    return Row(world, world.ruleset(crm_edit_policy="revert"))


def test_a_flow_that_undoes_what_rules_do_is_stopped_at_the_third_time(adopting: Row) -> None:
    for _ in range(2):
        assert adopting.evidence().crm_target_stage == "discovery"
        assert not adopting.flow_sets("prospecting").opportunity.contested  # pyright: ignore[reportOptionalMemberAccess]
    adopting.evidence()
    last = adopting.flow_sets("prospecting")
    assert adopting.opportunity.quarantined and adopting.opportunity.quarantine_code == "CONTESTED"
    (reason,) = [reason for reason in last.reasons if reason.code is Code.CONTESTED]
    assert reason.message.count(f"{FLOW} set prospecting at 09:0") == 3
    assert reason.message.count("prospecting_to_discovery set discovery at") == 3
    assert "went to and fro 3 times" in reason.message


def test_a_flow_against_a_pipeline_that_undoes_edits_is_stopped_before_the_third_write(reverting: Row) -> None:
    written = [reverting.flow_sets("demo").crm_target_stage for _ in range(5)]
    assert written == ["prospecting", "prospecting", "", "", ""]
    assert reverting.opportunity.contested


def test_nothing_moves_or_is_written_until_a_person_releases_it(reverting: Row, world: Any) -> None:
    for _ in range(3):
        reverting.flow_sets("demo")
    for given in (
        world.submission("prospecting", "70", reverting.opportunity),
        world.observation("discovery", changed_by="carl"),
        world.command(reverting.opportunity, "closed_lost", reason_code="PRICE"),
        world.facts(world.fact("opportunity.type", "new")),
    ):
        made = reverting.take(given)
        assert (made.transition, made.crm_target_stage) == (None, "")
        assert Code.CONTESTED in [reason.code for reason in made.reasons]
    assert reverting.opportunity.due_at is None
    assert reverting.opportunity.base_stage == "discovery", "what the CRM holds is known all the same"
    assert reverting.opportunity.scores["prospecting"].score == 70


def release(opportunity: Opportunity, keep: Keep, **given: Any) -> ReleaseRequest:
    fields = {"expected_revision": opportunity.revision, "actor": "mona", "may_release": True, "reason": "It is off."}
    return ReleaseRequest(command_id="r1", opportunity_id="o1", keep=keep, **(fields | given))


def test_keeping_the_stage_of_the_crm_writes_nothing(reverting: Row) -> None:
    for _ in range(3):
        reverting.flow_sets("demo")
    made = reverting.take(release(reverting.opportunity, Keep.CRM))
    assert made.transition is not None
    assert (made.transition.to_stage, made.transition.cause, made.crm_target_stage) == ("demo", Cause.PERSON, "")
    after = reverting.opportunity
    assert (after.contested, after.quarantined, after.tugs, after.base_stage) == (False, False, (), "demo")


def test_keeping_ours_brings_the_crm_to_it(reverting: Row) -> None:
    for _ in range(3):
        reverting.flow_sets("demo")
    made = reverting.take(release(reverting.opportunity, Keep.ENGINE))
    assert (made.transition, made.crm_target_stage, made.crm_expected_stage) == (None, "prospecting", "demo")
    # Its echo is no edit.
    assert reverting.flow_sets("prospecting", changed_by="us").transition is None
    assert not reverting.opportunity.contested


@pytest.mark.parametrize(("given", "fact"), [
    ({"may_release": False}, "command.role"), ({"reason": " "}, "command.reason"),
])  # fmt: skip
def test_releasing_takes_a_role_and_a_reason(reverting: Row, given: dict[str, Any], fact: str) -> None:
    for _ in range(3):
        reverting.flow_sets("demo")
    made = reverting.take(release(reverting.opportunity, Keep.CRM, **given))
    assert (made.outcome, made.reasons[0].fact, reverting.opportunity.contested) == (Outcome.REJECTED, fact, True)


def test_what_is_not_contested_cannot_be_released(adopting: Row) -> None:
    made = adopting.take(release(adopting.opportunity, Keep.CRM))
    assert (made.outcome, made.reasons[0].fact) == (Outcome.REJECTED, "command.release")


def test_a_slow_to_and_fro_is_a_matter_of_people(world: Any) -> None:
    slow = Row(world, world.ruleset(crm_edit_policy="revert"), minutes=40)
    for _ in range(6):
        assert slow.flow_sets("demo").crm_target_stage == "prospecting"


def test_a_way_through_several_stages_is_no_to_and_fro(adopting: Row) -> None:
    for stage in ("discovery", "demo", "negotiation", "demo", "discovery", "prospecting"):
        adopting.flow_sets(stage)
    assert not adopting.opportunity.contested


def test_a_person_s_command_ends_the_row(adopting: Row, world: Any) -> None:
    for _ in range(4):
        adopting.evidence()
        adopting.flow_sets("prospecting")
        if len(adopting.opportunity.tugs) > 3:
            given = {"override": True, "reason_code": "X", "text": "It is so."}
            adopting.take(world.command(adopting.opportunity, "discovery", **given))
            assert adopting.opportunity.tugs == ()
            adopting.flow_sets("prospecting")
    assert not adopting.opportunity.contested


def test_rules_that_undo_each_other_on_what_the_crm_changes_are_stopped_too(world: Any) -> None:
    facts = [{"name": "account.stage", "type": "text"}]
    rules = [
        {"rule_id": "on", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
         "conditions": [{"fact": "account.stage", "cell": "'a'"}]},
        {"rule_id": "off", "from_stage": "discovery", "to_stage": "prospecting", "mode": "auto", "back": True,
         "conditions": [{"fact": "account.stage", "cell": "'b'"}]},
    ]  # fmt: skip
    row = Row(world, world.ruleset(rules=rules, facts=facts))
    for turn in range(10):
        fact = world.fact("account.stage", "ab"[turn % 2], observed_at=row.now)
        row.flow_sets(row.opportunity.stage_key, facts=(fact,))
    assert row.opportunity.contested
    assert row.opportunity.revision == 7
