"""Where a record begins that is seen for the first time. What is imported is taken as it is. Creating a record is no
way past the gates: in a later open stage, and in an end that people have to approve, it counts as an edit that brought
it there from where it would begin."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approving import approvals_of, is_exempt
from stage_engine.domain.crm_edits import verdict, written_back
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.earning import beginning
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.inputs import Observation, Occasion
from stage_engine.domain.move import Move, moved
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.progress import unmet_criteria

# The reason of beginning further on than the CRM shows: by criteria, or as an edit says that did not count.
ENTRY_CRITERIA = "ENTRY_CRITERIA"
NOT_ADOPTED = "CRM_EDIT_NOT_ADOPTED"


def as_creation(given: Observation, *, waits: bool) -> Observation:
    """Whatever shows a record that was created under our eyes, and `waits` for its first stage since, counts as its
    creation. So it passes the gates of a new one, whatever stage it was created in."""
    late = waits and given.occasion in (Occasion.UPDATED, Occasion.UNDELETED, Occasion.IMPORTED)
    return replace(given, occasion=Occasion.CREATED) if late else given


def on_first_sight(observed: Opportunity, given: Observation, rules: Ruleset, now: datetime) -> Ruling:
    """The stage that the CRM shows, unless the pipeline's policy for edits says otherwise of a new record, or lets it
    begin further on."""
    pipeline, theirs = rules.pipeline, given.stage_key
    adopted = _adopted(observed, given, pipeline, now)
    asks = bool(approvals_of(pipeline, pipeline.first, theirs))
    if given.occasion is not Occasion.CREATED or not (asks or pipeline.is_open(theirs)):
        return adopted
    try:
        begins = _begins(observed, rules, now)
        as_if = observed.changed(stage_key=begins)
        ahead = pipeline.rank(theirs) - pipeline.rank(begins)
        unmet = unmet_criteria(as_if, rules, theirs, now) if ahead > 0 else ()
    except EngineFault as fault:
        unmet = (Reason(Code(fault.code), "", None, str(fault)),)
        if not asks:
            return replace(adopted, reasons=unmet)
        # Nothing is undone on a guess; but what needs approval waits for it then, too.
        begins, ahead = pipeline.first, 1
        as_if = observed.changed(stage_key=begins)
    if ahead < 0:
        return _placed(observed, given, pipeline, begins, now, ENTRY_CRITERIA)
    if ahead == 0 or is_exempt(pipeline, given.changed_by, given.changed_by_roles):
        return adopted
    found = verdict(as_if, given, rules, now)
    if found.adopted:
        return replace(adopted, reasons=found.reasons or unmet, proposed_stage=found.proposed_stage)
    placed = _placed(observed, given, pipeline, begins, now, NOT_ADOPTED)
    assert placed.opportunity is not None
    ruling = written_back(placed.opportunity, given, found, pipeline, now)
    return replace(ruling, outcome=Outcome.ACCEPTED, transition=placed.transition)


def _begins(observed: Opportunity, rules: Ruleset, now: datetime) -> str:
    """Where it begins by its facts: the first stage, or a later one where the pipeline says so. No further than people
    have to approve, and not while rules move nothing."""
    pipeline = rules.pipeline
    first, supported = pipeline.first, beginning(observed, rules, now)
    held_back = not rules.automation or rules.breaker_open
    if supported == first or held_back or approvals_of(pipeline, first, supported):
        return first
    return supported


def _adopted(observed: Opportunity, given: Observation, pipeline: Pipeline, now: datetime) -> Ruling:
    # The CRM's clock must not date it into the future: it would outlive evidence captured after it.
    move = Move(
        given.stage_key,
        Cause.IMPORT if given.occasion is Occasion.IMPORTED else Cause.CRM,
        min(given.in_stage_since or given.committed_at, now),
        actor=given.changed_by,
        reason_code=_clock(given),
    )
    after, transition = moved(observed, pipeline, move)
    return Ruling(Outcome.ACCEPTED, after, transition=transition)


def _clock(given: Observation) -> str:
    """How it is known when a stage was entered that was there before the first observation."""
    return f"STAGE_CLOCK_{given.in_stage_since_source.upper()}" if given.in_stage_since else ""


def _placed(
    observed: Opportunity, given: Observation, pipeline: Pipeline, stage_key: str, now: datetime, reason_code: str
) -> Ruling:
    """It begins in another stage than the CRM shows, which is brought there."""
    move = Move(stage_key, Cause.CRM, min(given.committed_at, now), actor=given.changed_by, reason_code=reason_code)
    after, transition = moved(observed, pipeline, move)
    in_flight = ((after.revision, stage_key),)
    after = after.changed(base_stage=given.stage_key, base_revision=0, in_flight=in_flight)
    return Ruling(Outcome.ACCEPTED, after, transition=transition, write=True)
