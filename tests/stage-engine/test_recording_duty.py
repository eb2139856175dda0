"""What is stored of decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from crm_connector.salesforce.plan import DEFAULT as DEFAULT_FIELDS
from kit.contracts import wire
from kit.ids import uuid7
from stage_engine.domain.assigned import Assigned
from stage_engine.domain.calendar import DEFAULT
from stage_engine.domain.inputs import Assignment, FactChange, Occasion
from stage_engine.domain.owed import Owed, OwedState, Touch
from stage_engine.messages import stage_decided
from stage_engine.service.recording_actions import owner_action
from stage_engine.service.recording_duty import assignment_records, obligation_records
from stagecraft.stage.v1.stage_decided_pb2 import OwedState as OwedOnTheWire

OBLIGATION = {
    "key": "first_call", "name": "Call the lead", "within": "2bh", "met_by": "activity.call.last_at",
    "starts": "on_first_sight",
}  # fmt: skip
FRIDAY = datetime(2026, 3, 6, 16, 55, tzinfo=UTC)


class TestObligationRecords:
    def test_the_ledger_counts_both_clocks_and_knows_hour_and_source(self, world: Any) -> None:
        rules = world.ruleset(obligations=[OBLIGATION]).in_calendar(replace(DEFAULT, zone="Europe/Berlin"))
        source = world.fact("opportunity.lead_source", "Web")
        created = FRIDAY - timedelta(hours=1)
        seen = world.observation("prospecting", occasion=Occasion.CREATED, committed_at=created, facts=(source,))
        made = world.decide(None, seen, rules, FRIDAY)
        [row] = obligation_records(made, made.opportunity, rules.pipeline)
        assert (row.state, row.hour, row.source, row.wall_seconds) == (OwedState.OPEN, 16, "Web", None)
        # Friday 16:55 to 17:00 and Monday from 9:00 by the clock of Berlin.
        monday = datetime(2026, 3, 9, 9, 0, tzinfo=UTC)
        call = FactChange("c1", "o1", "crm", (), touches=(Touch("a1", "call", False, monday, "rita"),))
        met = world.decide(made.opportunity, call, rules, monday)
        [row] = obligation_records(met, met.opportunity, rules.pipeline)
        assert (row.state, row.by, row.wall_seconds) == (OwedState.MET, "rita", int((monday - created).total_seconds()))
        assert row.business_seconds == 5 * 60 + 60 * 60

    def test_the_source_of_a_lead_is_the_fact_that_the_connector_reads(self, world: Any) -> None:
        """Whoever asks how fast leads are called asks where they came from."""
        rules = world.ruleset(obligations=[OBLIGATION], object_type="lead")
        facts = (world.fact("lead.source", "Web"),)
        made = world.decide(None, world.observation("prospecting", occasion=Occasion.CREATED, facts=facts), rules)
        [row] = obligation_records(made, made.opportunity, rules.pipeline)
        assert row.source == "Web"
        assert rules.pipeline.source_fact in DEFAULT_FIELDS.facts

    def test_what_owes_nothing_has_no_row(self, world: Any) -> None:
        decision = world.decide(None, world.observation("prospecting"))
        assert obligation_records(decision, decision.opportunity, world.rules.pipeline) == []


class TestAssignmentRecords:
    def test_each_role_is_a_row_with_the_version_of_the_rules(self, world: Any) -> None:
        choices = tuple(Assigned(role, "ron", "r1", "p1", "why", FRIDAY) for role in ("owner", "engineer"))
        given = Assignment("a1", "o1", 7, choices)
        decision = world.decide(world.opportunity(), given)
        rows = assignment_records(decision, given, UUID(int=1), "lead")
        assert [(row.role, row.person_id, row.rules_version, row.object_type) for row in rows] == [
            ("owner", "ron", 7, "lead"), ("engineer", "ron", 7, "lead"),
        ]  # fmt: skip


@pytest.mark.parametrize("state", list(OwedState))
def test_a_decision_says_on_the_wire_who_was_chosen_and_what_is_owed(world: Any, state: OwedState) -> None:
    seen = world.observation("prospecting", occasion=Occasion.CREATED)
    made = world.decide(None, seen)
    owed = Owed("call", world.start, world.at(120), "rita", state, world.at(5), "ron")
    chosen = Assigned("owner", "ron", "web", "inside", "web holds", world.start)
    subject = made.opportunity.changed(owners_asked_for=("ron",))
    decision = replace(made, opportunity=subject, owed=(owed,), assigned=(chosen, replace(chosen, role="adviser")))
    owner = owner_action(decision, uuid7(), "opportunity")
    assert owner is not None
    message = stage_decided(decision, uuid7(), seen, None, None, "opportunity", owner)
    [told] = message.owed
    assert wire.word(OwedOnTheWire, told.state, "state") == state
    assert (told.key, told.owner_id, told.met_by) == ("call", "rita", "ron")
    assert [(a.role, a.pool, a.action_id) for a in message.assigned] == [
        ("owner", "inside", str(owner.action_id)), ("adviser", "inside", ""),
    ]  # fmt: skip
    assert owner_action(replace(decision, opportunity=made.opportunity), uuid7(), "opportunity") is None
