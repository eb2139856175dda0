"""What is stored of opportunities, decisions and moves, and what is counted of them."""

from datetime import datetime
from uuid import UUID

from kit.ids import utc_now

from stage_engine import telemetry
from stage_engine.domain.decision import Code, Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.figures.visits import segment_of
from stage_engine.domain.fold import Step
from stage_engine.domain.holds import rotten_at, staleness_of
from stage_engine.domain.inputs import Input, Observation, Submission, TimerFired
from stage_engine.domain.known_facts import date_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import encode_decision, encode_input
from stage_engine.records.opportunities import DecisionRecord, OpportunityRecord, TransitionRecord

_ALARMING = frozenset({Code.ENGINE_FAULT, Code.ENGINE_DISAGREEMENT})


def opportunity_record(opportunity: Opportunity, state: str, ruleset: Ruleset, at: datetime) -> OpportunityRecord:
    """The opportunity as it is now; `state` is its JSON."""
    pipeline, stage_key = ruleset.pipeline, opportunity.stage_key
    stale = staleness_of(opportunity, pipeline)
    return OpportunityRecord(
        opportunity_id=opportunity.opportunity_id,
        object_type=pipeline.object_type,
        pipeline_key=opportunity.pipeline_key,
        pipeline_version=opportunity.pipeline_version,
        stage_key=stage_key,
        stage_rank=pipeline.rank(stage_key) if stage_key else 0,
        category=pipeline.stage(stage_key).category.value if stage_key else "",
        earned_stage=opportunity.earned_stage,
        earned_rank=pipeline.rank(opportunity.earned_stage),
        amount=opportunity.amount,
        currency=opportunity.currency,
        owner_id=opportunity.owner_id,
        assignee_id=opportunity.assignee_id,
        account_id=opportunity.account_id,
        account_type=opportunity.account_type,
        deleted=opportunity.deleted,
        quarantined=opportunity.quarantined,
        quarantine_code=opportunity.quarantine_code,
        other_pipeline=opportunity.other_pipeline,
        revision=opportunity.revision,
        state=state,
        updated_at=at,
        due_at=opportunity.due_at,
        stalled_at=stale.first,
        on_hold=opportunity.hold is not None,
        visit_opened_at=opportunity.visit_opened_at,
        close_date=date_of(opportunity.close_date),
        expected_at=stale.rotting_at,
        rotten_at=rotten_at(opportunity, pipeline),
        forecast=pipeline.forecast_of(stage_key).value if stage_key else "",
        earned_forecast=pipeline.forecast_of(opportunity.earned_stage).value,
        segment=segment_of(opportunity, pipeline),
    )


def decision_record(
    step: Step, opportunity: Opportunity, decision_id: UUID, before: str | None, after: str
) -> DecisionRecord:
    """A decision with the JSON of the opportunity before and after it."""
    decision = step.decision
    return DecisionRecord(
        decision_id=decision_id,
        opportunity_id=opportunity.opportunity_id,
        decision_no=opportunity.decision_no,
        identity=step.given.identity,
        pipeline_key=decision.pipeline_key,
        pipeline_version=decision.pipeline_version,
        outcome=decision.outcome.value,
        decided_at=decision.decided_at,
        before=before,
        given=encode_input(step.given),
        decision=encode_decision(decision),
        after=after,
    )


def transition_record(
    decision: Decision, opportunity: Opportunity, transition_id: UUID, decision_id: UUID, ruleset: Ruleset
) -> TransitionRecord:
    """The move of an accepted decision."""
    pipeline, move = ruleset.pipeline, decision.transition
    assert move is not None
    return TransitionRecord(
        transition_id=transition_id,
        opportunity_id=opportunity.opportunity_id,
        revision=move.revision,
        decision_id=decision_id,
        kind=move.kind.value,
        from_stage=move.from_stage,
        to_stage=move.to_stage,
        # A migration may come from a stage that this version does not have.
        from_rank=pipeline.rank(move.from_stage) if move.from_stage in pipeline else None,
        to_rank=pipeline.rank(move.to_stage),
        to_category=pipeline.stage(move.to_stage).category.value,
        skipped=move.skipped,
        visit_no=move.visit_no,
        cycle_no=move.cycle_no,
        cause=move.cause.value,
        rule_id=move.rule_id,
        submission_id=move.submission_id,
        actor=move.actor,
        reason_code=move.reason_code,
        earned_stage=opportunity.earned_stage,
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        changed_at=move.changed_at,
    )


def count(given: Input, decision: Decision) -> None:
    """Count a committed decision."""
    telemetry.DECISIONS.labels(given.kind, decision.outcome.value).inc()
    if isinstance(given, Submission):
        telemetry.DECISION_LATENCY.observe(max(0.0, (utc_now() - given.received_at).total_seconds()))
    if isinstance(given, TimerFired):
        telemetry.TIMER_LATENESS.observe(max(0.0, (decision.decided_at - given.due).total_seconds()))
    if decision.transition is not None:
        telemetry.TRANSITIONS.labels(decision.transition.kind.value, decision.transition.cause.value).inc()
    for owed in decision.owed:
        telemetry.OBLIGATIONS.labels(owed.state.value).inc()
    codes = [reason.code for reason in decision.reasons]
    if isinstance(given, Observation) and Code.UNMAPPED_STAGE in codes:
        telemetry.QUARANTINED.inc()
    for code in codes:
        if code in _ALARMING:
            telemetry.ENGINE_FAULTS.labels(code.value).inc()
