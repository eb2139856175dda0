"""Carrying a move out: what it is called, and what it changes about the deal."""

from datetime import datetime

from stage_engine.domain.decision import Cause, Transition, TransitionKind
from stage_engine.domain.pipeline import Category, Pipeline
from stage_engine.domain.state import Instance, Override

# Writes to the CRM still unconfirmed that are remembered, so that their echo is told from a person's edit.
IN_FLIGHT_LIMIT = 8

_CLOSING = {
    Category.WON: TransitionKind.CLOSE_WON,
    Category.LOST: TransitionKind.CLOSE_LOST,
    Category.ABANDONED: TransitionKind.WALK_AWAY,
}


def kind_of_move(pipeline: Pipeline, source: str, target: str) -> TransitionKind:
    """What moving from one stage to another is called; an empty source is first sight."""
    if not source:
        return TransitionKind.ADOPT
    if not pipeline.is_open(target):
        return _CLOSING[pipeline.stage(target).category]
    if not pipeline.is_open(source):
        return TransitionKind.REOPEN
    if pipeline.rank(target) < pipeline.rank(source):
        return TransitionKind.REGRESS
    return TransitionKind.SKIP if pipeline.skipped(source, target) else TransitionKind.ADVANCE


def moved(
    instance: Instance,
    pipeline: Pipeline,
    target: str,
    *,
    cause: Cause,
    at: datetime,
    earned_stage: str = "",
    rule_id: str = "",
    submission_id: str = "",
    actor: str = "",
    reason_code: str = "",
    override: Override | None = None,
) -> tuple[Instance, Transition]:
    """The deal in its new stage, and the transition; `earned_stage` is what the move earned, if anything. The new visit
    makes all earlier evidence stale; a reopened deal starts a new cycle in which it has not earned more than the stage
    it returns to."""
    source = instance.stage_key
    kind = kind_of_move(pipeline, source, target)
    reopened = kind is TransitionKind.REOPEN
    revision = instance.revision + 1
    # A CRM's clock may lag: visits must not end before they began.
    opened_at = max(at, instance.visit_opened_at) if source else at
    earned = earned_stage or instance.earned_stage
    if reopened and pipeline.rank(earned) > pipeline.rank(target):
        earned = target
    by_crm = cause is Cause.CRM or cause is Cause.IMPORT
    after = instance._replace(
        stage_key=target,
        earned_stage=earned,
        base_stage=target if by_crm else instance.base_stage,
        base_revision=revision if by_crm else instance.base_revision,
        visit_no=instance.visit_no + 1,
        visit_opened_at=opened_at,
        cycle_no=instance.cycle_no + reopened,
        revision=revision,
        override=override,
        in_flight=() if by_crm else (*instance.in_flight, (revision, target))[-IN_FLIGHT_LIMIT:],
        sync_error=None if by_crm else instance.sync_error,
    )
    transition = Transition(
        kind,
        source,
        target,
        pipeline.skipped(source, target) if source else (),
        after.visit_no,
        after.cycle_no,
        revision,
        cause,
        rule_id,
        submission_id,
        actor,
        reason_code,
        opened_at,
    )
    return after, transition


def stands_against_evidence(instance: Instance, pipeline: Pipeline, target: str) -> bool:
    """Whether putting the deal into the target contradicts or outruns the evidence, so that it has to be remembered
    as an override. A closed deal needs none: nothing moves it by itself."""
    if not pipeline.is_open(target):
        return False
    forward = pipeline.is_open(instance.stage_key) and pipeline.rank(target) > pipeline.rank(instance.stage_key)
    return not (forward and pipeline.rank(target) <= pipeline.rank(instance.earned_stage))
