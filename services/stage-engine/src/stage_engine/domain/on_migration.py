"""Carrying an opportunity over to another version of its pipeline. No rule is asked before the next real input, and the
visit goes on: what was captured in it counts, and its clock runs on."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling, Transition, TransitionKind
from stage_engine.domain.holds import waiting_on
from stage_engine.domain.inputs import Migration
from stage_engine.domain.move import IN_FLIGHT_LIMIT
from stage_engine.domain.opportunity import Opportunity, Override, Retracted
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.versions import ApprovalPolicy, OverridePolicy, Plan, ProposalPolicy, has_place

REASON = "MIGRATION"


def input_of(plan: Plan, migration_id: str, opportunity_id: str, to_version: int, actor: str) -> Migration:
    """What carries out a plan for one opportunity."""
    return Migration(
        migration_id=migration_id,
        opportunity_id=opportunity_id,
        to_version=to_version,
        stages=plan.renamed(),
        end_override=plan.overrides is OverridePolicy.END,
        withdraw_proposal=plan.proposals is ProposalPolicy.WITHDRAW,
        actor=actor,
        cancel_approval=plan.approvals is ApprovalPolicy.CANCEL,
    )


def on_migration(opportunity: Opportunity, given: Migration, pipeline: Pipeline, now: datetime) -> Ruling:
    """The opportunity in `pipeline`, the version it goes to. The CRM is written to where the stage has another key: the
    connector leaves it out where the CRM calls both alike."""
    plan = Plan(dict(given.stages))
    if not has_place(plan, pipeline, opportunity.stage_key, opportunity.earned_stage):
        text = f"version {pipeline.version} has no place for {opportunity.stage_key or 'it'}"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.UNMAPPED_STAGE, "", None, text),))
    stage_key, target = opportunity.stage_key, plan.target(opportunity.stage_key)
    if not stage_key:
        # It waits for its first stage, which this version may know.
        after = opportunity.changed(pipeline_version=pipeline.version, earned_stage=pipeline.first_stage())
        return Ruling(Outcome.NO_OP, after)
    earned = plan.target(opportunity.earned_stage)
    if given.withdraw_proposal and pipeline.rank(earned) > pipeline.rank(target):
        earned = target
    revision = opportunity.revision + 1
    renamed = target != stage_key
    write = renamed and not opportunity.quarantined
    after = opportunity.changed(
        pipeline_version=pipeline.version,
        stage_key=target,
        earned_stage=earned,
        revision=revision,
        visit_keys=(*opportunity.visit_keys, stage_key) if renamed else opportunity.visit_keys,
        earned_from=_places(plan, pipeline, opportunity.earned_from),
        retracted=_retracted(plan, pipeline, opportunity.retracted),
        override=_override(opportunity, given, target),
        last_open=next(iter(_places(plan, pipeline, [opportunity.last_open])), ""),
        in_flight=(*opportunity.in_flight, (revision, target))[-IN_FLIGHT_LIMIT:] if write else opportunity.in_flight,
        amount_counts=pipeline.compares(opportunity.currency),
        migrated_at=revision,
        migrated_from=opportunity.base_version,
        tugs=tuple(replace(tug, stage_key=plan.target(tug.stage_key)) for tug in opportunity.tugs),
    )
    after, reasons = waiting_on(after, pipeline, now)
    transition = _transition(opportunity, after, given, now)
    return Ruling(Outcome.ACCEPTED, after, reasons, transition=transition, write=write)


def _places(plan: Plan, pipeline: Pipeline, stages: Iterable[str]) -> tuple[str, ...]:
    """Where these stages went; those that the plan need not place, for no opportunity is there, may be gone."""
    return tuple(dict.fromkeys(place for place in map(plan.target, stages) if place in pipeline))


def _retracted(plan: Plan, pipeline: Pipeline, retracted: Retracted | None) -> Retracted | None:
    """What has to be earned anew; from the first stage on where its stage is gone."""
    if retracted is None:
        return None
    place = next(iter(_places(plan, pipeline, [retracted.stage_key])), pipeline.first_stage())
    return replace(retracted, stage_key=place)


def _override(opportunity: Opportunity, given: Migration, target: str) -> Override | None:
    override = opportunity.override
    return None if override is None or given.end_override else replace(override, stage_key=target)


def _transition(before: Opportunity, after: Opportunity, given: Migration, now: datetime) -> Transition:
    return Transition(
        kind=TransitionKind.MIGRATE,
        from_stage=before.stage_key,
        to_stage=after.stage_key,
        skipped=(),
        visit_no=after.visit_no,
        cycle_no=after.cycle_no,
        revision=after.revision,
        cause=Cause.PERSON,
        rule_id="",
        submission_id="",
        actor=given.actor,
        reason_code=REASON,
        changed_at=now,
    )
