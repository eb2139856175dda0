"""Deciding on evidence that a person declares void."""

from datetime import datetime

from stage_engine.domain.by_rules import engine_fault
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.earning import earned_stage
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.facts import score_fact
from stage_engine.domain.move import Move, moved
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.policies import VoidedEvidencePolicy
from stage_engine.domain.requests import VoidRequest

REASON = "EVIDENCE_VOIDED"


def on_void(opportunity: Opportunity, given: VoidRequest, rules: Ruleset, now: datetime) -> Ruling:
    """The submission counts no more, whatever becomes of the stage. What was earned by it falls to what the rest
    supports; the stage goes there too where the pipeline says so, and the evidence had supported it."""
    fact = score_fact(given.assessment_key)
    objections = _objections(opportunity, given)
    if objections:
        return Ruling(Outcome.REJECTED, opportunity, objections)
    said = Reason(Code.VOIDED, fact, None, f"{given.actor} voided {given.submission_id}: {given.reason.strip()}")
    scores = dict(opportunity.scores)
    in_force = scores.get(given.assessment_key)
    if in_force is not None and in_force.submission_id == given.submission_id:
        del scores[given.assessment_key]
        if given.remaining is not None:
            scores[given.assessment_key] = given.remaining
    after = opportunity.changed(scores=scores, voided=(*opportunity.voided, given.submission_id))
    if not after.stage_key:
        return Ruling(Outcome.ACCEPTED, after, (said,))
    try:
        target = earned_stage(after, rules, now)
    except EngineFault as fault:
        fallen = engine_fault(after, fault)
        return Ruling(Outcome.ACCEPTED, after, (said, *fallen.reasons))
    kept = _why_kept(opportunity, target, rules)
    if kept is not None:
        return Ruling(Outcome.ACCEPTED, after, (said, *kept))
    move = Move(target, Cause.PERSON, now, earned_stage=target, actor=given.actor, reason_code=REASON)
    moved_back, transition = moved(after, rules.pipeline, move)
    return Ruling(Outcome.ACCEPTED, moved_back, (said,), transition=transition, write=True)


def _objections(opportunity: Opportunity, given: VoidRequest) -> tuple[Reason, ...]:
    if not given.may_void:
        text = "voiding evidence takes a command of a role that may override"
        return (Reason(Code.FAILED, "command.role", None, text),)
    if not given.reason.strip():
        return (Reason(Code.MISSING, "command.reason", None, "voiding evidence needs a reason"),)
    if given.submission_id in opportunity.voided:
        text = f"{given.submission_id} was voided before"
        return (Reason(Code.VOIDED, score_fact(given.assessment_key), None, text),)
    return ()


def _why_kept(before: Opportunity, target: str, rules: Ruleset) -> tuple[Reason, ...] | None:
    """Why the stage stays where it is; None when it goes back to the target."""
    pipeline, stage_key = rules.pipeline, before.stage_key
    if pipeline.voided_evidence is VoidedEvidencePolicy.KEEP or not pipeline.is_open(stage_key):
        return ()
    if before.quarantined or before.deleted or pipeline.rank(target) >= pipeline.rank(stage_key):
        return ()
    if pipeline.rank(before.earned_stage) < pipeline.rank(stage_key):
        # It was claimed ahead of the evidence, which had not brought it here.
        return ()
    if before.override is not None:
        text = f"{before.override.actor} set {before.override.stage_key}, whatever the evidence"
        return (Reason(Code.OVERRIDE_ACTIVE, "", None, text),)
    return None
