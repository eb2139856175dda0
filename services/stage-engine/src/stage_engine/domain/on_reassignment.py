"""Carrying a subject over to another pipeline, which applies to its facts now. No rule is asked before the next real
input."""

from datetime import datetime

from stage_engine.domain.clocks import ENGINES_OWN
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling, Transition, TransitionKind
from stage_engine.domain.holds import waiting_on
from stage_engine.domain.inputs import Reassignment
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import OtherPipelinePolicy
from stage_engine.domain.taking import taken

REASON = "OTHER_PIPELINE"


def on_reassignment(opportunity: Opportunity, given: Reassignment, pipeline: Pipeline, now: datetime) -> Ruling:
    """With a place in the other one, `pipeline` is that; else it is the subject's own, whose policy counts. What it
    earned there is asked anew at the next input."""
    if given.to_stage:
        return _moved(opportunity, given, pipeline, now)
    stays = pipeline.on_other_pipeline is OtherPipelinePolicy.STAY
    if given.to_pipeline == opportunity.pipeline_key:
        quarantined = opportunity.contested or (opportunity.quarantined and stays)
        after = opportunity.changed(other_pipeline="", quarantined=quarantined)
        return Ruling(Outcome.NO_OP, after)
    what = "stays" if stays else "is quarantined"
    text = f"{given.to_pipeline} applies to its facts, and says no place for {opportunity.stage_key or 'it'}: it {what}"
    after = opportunity.changed(other_pipeline=given.to_pipeline, quarantined=opportunity.quarantined or not stays)
    return Ruling(Outcome.NO_OP if stays else Outcome.REJECTED, after, (Reason(Code.OTHER_PIPELINE, "", None, text),))


def _moved(opportunity: Opportunity, given: Reassignment, pipeline: Pipeline, now: datetime) -> Ruling:
    revision, write = opportunity.revision + 1, given.shown_stage != given.to_stage
    kept = {name: fact for name, fact in opportunity.facts.items() if name in pipeline.reads}
    moved = opportunity.changed(
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        stage_key=given.to_stage,
        earned_stage=pipeline.first_stage(),
        base_stage=given.shown_stage,
        base_revision=opportunity.base_revision if write else revision,
        revision=revision,
        visit_no=opportunity.visit_no + 1,
        visit_opened_at=max(now, opportunity.visit_opened_at),
        visit_keys=(),
        earned_from=(),
        retracted=None,
        override=None,
        quarantined=False,
        contested=False,
        last_open="",
        tugs=(),
        lasting={},
        # Keys of the pipeline that is left mean nothing here, though some may be the same.
        milestones={},
        asked_in_cycle={},
        timers={key: timer for key, timer in opportunity.timers.items() if key.startswith(ENGINES_OWN)},
        sync_error=None,
        in_flight=((revision, given.to_stage),) if write else (),
        facts=kept,
        other_facts=tuple(fact for fact in opportunity.other_facts if fact.name in kept),
        amount_counts=pipeline.compares(opportunity.currency),
        migrated_at=0,
        migrated_from=0,
        other_pipeline="",
    )
    moved, waits = waiting_on(moved, pipeline, now)
    found = taken(moved, pipeline, given.facts, now)
    transition = Transition(
        kind=TransitionKind.REASSIGN,
        from_stage=opportunity.stage_key,
        to_stage=given.to_stage,
        skipped=(),
        visit_no=moved.visit_no,
        cycle_no=moved.cycle_no,
        revision=revision,
        cause=Cause.CRM,
        rule_id="",
        submission_id="",
        actor=given.actor,
        reason_code=REASON,
        changed_at=moved.visit_opened_at,
    )
    reasons = (*waits, *found.reasons)
    return Ruling(Outcome.ACCEPTED, found.opportunity, reasons, transition=transition, write=write)
