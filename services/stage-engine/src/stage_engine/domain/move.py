"""Carrying a move out: what it is called, and what it changes about the opportunity."""

from dataclasses import dataclass
from datetime import datetime

from stage_engine.domain.decision import Cause, TakenBack, Transition, TransitionKind
from stage_engine.domain.opportunity import Opportunity, Override, Retracted
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Category

# Writes to the CRM still unconfirmed that are remembered, so that their echo does not pass for a person's edit.
IN_FLIGHT_LIMIT = 8

_CLOSING = {
    Category.WON: TransitionKind.CLOSE_WON,
    Category.LOST: TransitionKind.CLOSE_LOST,
    Category.ABANDONED: TransitionKind.WALK_AWAY,
}


@dataclass(frozen=True, slots=True)
class Move:
    """Where an opportunity is to go, who moves it and why. `earned_stage` is what the move earned, if anything;
    `override` is what it leaves behind."""

    to_stage: str
    cause: Cause
    at: datetime
    earned_stage: str = ""
    rule_id: str = ""
    submission_id: str = ""
    actor: str = ""
    reason_code: str = ""
    override: Override | None = None
    hops: int = 1


def kind_of_move(pipeline: Pipeline, source: str, target: str) -> TransitionKind:
    """What moving from one stage to another is called; an empty source is the first observation."""
    if not source:
        return TransitionKind.ADOPT
    if not pipeline.is_open(target):
        return _CLOSING[pipeline.stage(target).category]
    if not pipeline.is_open(source):
        return TransitionKind.REOPEN
    if pipeline.rank(target) < pipeline.rank(source):
        return TransitionKind.REGRESS
    return TransitionKind.SKIP if pipeline.skipped(source, target) else TransitionKind.ADVANCE


def moved(opportunity: Opportunity, pipeline: Pipeline, move: Move) -> tuple[Opportunity, Transition]:
    """The opportunity in its new stage, and the transition. The new visit makes all earlier evidence stale. A reopened
    opportunity starts a new cycle in which it has not earned more than the stage it returns to, and one that a rule
    leads back has lost what it had earned further on; one whose outcome is replaced has not earned the first."""
    source, target = opportunity.stage_key, move.to_stage
    kind = kind_of_move(pipeline, source, target)
    reopened = kind is TransitionKind.REOPEN
    led_back = kind is TransitionKind.REGRESS and move.cause is Cause.RULE
    ended = bool(source) and not pipeline.is_open(source)
    revision = opportunity.revision + 1
    # A CRM's clock may lag: visits must not end before they began.
    opened_at = max(move.at, opportunity.visit_opened_at) if source else move.at
    earned = move.earned_stage or opportunity.earned_stage
    retracted = opportunity.retracted
    if (reopened or led_back) and pipeline.rank(earned) > pipeline.rank(target):
        earned = target
        retracted = Retracted(target, opportunity.visit_no + 1)
    elif ended and not pipeline.is_open(earned) and target != earned:
        # The outcome is retracted, and with it whatever was earned on the way to it.
        earned = pipeline.first_stage()
        retracted = Retracted(earned, opportunity.visit_no + 1)
    by_crm = move.cause is Cause.CRM or move.cause is Cause.IMPORT
    after = opportunity.changed(
        stage_key=target,
        earned_stage=earned,
        retracted=retracted,
        base_stage=target if by_crm else opportunity.base_stage,
        base_revision=revision if by_crm else opportunity.base_revision,
        visit_no=opportunity.visit_no + 1,
        visit_opened_at=opened_at,
        cycle_no=opportunity.cycle_no + reopened,
        revision=revision,
        override=move.override,
        visit_keys=(),
        last_open=source if source and not ended else opportunity.last_open,
        in_flight=() if by_crm else (*opportunity.in_flight, (revision, target))[-IN_FLIGHT_LIMIT:],
        sync_error=None if by_crm else opportunity.sync_error,
    )
    transition = Transition(
        kind=kind,
        from_stage=source,
        to_stage=target,
        skipped=pipeline.skipped(source, target) if source else (),
        visit_no=after.visit_no,
        cycle_no=after.cycle_no,
        revision=revision,
        cause=move.cause,
        rule_id=move.rule_id,
        submission_id=move.submission_id,
        actor=move.actor,
        reason_code=move.reason_code,
        changed_at=opened_at,
        taken_back=_taken_back(opportunity, pipeline) if ended else None,
        hops=move.hops,
    )
    return after, transition


def _taken_back(opportunity: Opportunity, pipeline: Pipeline) -> TakenBack:
    category = pipeline.stage(opportunity.stage_key).category
    return TakenBack(category.value, opportunity.revision, opportunity.cycle_no)


def is_against_evidence(opportunity: Opportunity, pipeline: Pipeline, target: str) -> bool:
    """Whether putting the opportunity into the target contradicts or outruns the evidence, so that it has to be
    remembered as an override. A closed one needs none: nothing moves it by itself."""
    if not pipeline.is_open(target):
        return False
    source = opportunity.stage_key
    forward = pipeline.is_open(source) and pipeline.rank(target) > pipeline.rank(source)
    return not (forward and pipeline.rank(target) <= pipeline.rank(opportunity.earned_stage))
