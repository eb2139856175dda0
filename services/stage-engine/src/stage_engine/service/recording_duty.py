"""What is stored of obligations and assignments that a decision changed."""

from uuid import UUID
from zoneinfo import ZoneInfo

from stage_engine.domain.calendar import business_between
from stage_engine.domain.decision import Decision
from stage_engine.domain.inputs import Assignment, Input
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.records.work import AssignmentRecord, ObligationRecord


def assignment_records(decision: Decision, given: Input, decision_id: UUID, object_type: str) -> list[AssignmentRecord]:
    """Who got a role by a decision."""
    return [
        AssignmentRecord(
            decision_id=decision_id,
            role=each.role,
            opportunity_id=given.opportunity_id,
            object_type=object_type,
            person_id=each.person_id,
            rules_version=given.rules_version if isinstance(given, Assignment) else 0,
            rule_id=each.rule_id,
            pool=each.pool,
            reason=each.reason,
            by_person=each.by_person,
            assigned_at=each.at,
        )
        for each in decision.assigned
    ]


def obligation_records(decision: Decision, opportunity: Opportunity, pipeline: Pipeline) -> list[ObligationRecord]:
    """What a decision changed of what is owed, as the ledger has it."""
    if not decision.owed:
        return []
    calendar = pipeline.calendar
    origin = opportunity.facts.get(pipeline.source_fact)
    source = origin.value if origin is not None and isinstance(origin.value, str) else ""
    return [
        ObligationRecord(
            opportunity_id=opportunity.opportunity_id,
            key=each.key,
            made_at=each.made_at,
            object_type=pipeline.object_type,
            pipeline_key=pipeline.key,
            due=each.due,
            owner_id=each.owner_id,
            state=each.state,
            met_at=each.met_at,
            by=each.by,
            source=source,
            hour=each.made_at.astimezone(ZoneInfo(calendar.zone)).hour,
            wall_seconds=None if each.met_at is None else int((each.met_at - each.made_at).total_seconds()),
            business_seconds=None
            if each.met_at is None
            else int(business_between(calendar, each.made_at, each.met_at).total_seconds()),
        )
        for each in decision.owed
    ]
