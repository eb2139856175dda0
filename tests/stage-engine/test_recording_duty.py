"""What is stored of decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from stage_engine.domain.assigned import Assigned
from stage_engine.domain.calendar import DEFAULT
from stage_engine.domain.inputs import Assignment, FactChange, Occasion
from stage_engine.domain.owed import OwedState, Touch
from stage_engine.service.recording_duty import assignment_records, obligation_records

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
