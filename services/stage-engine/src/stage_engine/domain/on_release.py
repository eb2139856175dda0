"""Deciding on the end of a quarantine: a person says whose stage counts where the engine and the CRM contested it."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approving import approvals_for, asked_for, is_exempt, wish
from stage_engine.domain.decision import Cause, Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Command
from stage_engine.domain.move import IN_FLIGHT_LIMIT, Move, is_against_evidence, moved
from stage_engine.domain.opportunity import Opportunity, Override
from stage_engine.domain.requests import Keep, ReleaseRequest

REASON = "RELEASED"


def on_release(opportunity: Opportunity, given: ReleaseRequest, rules: Ruleset, now: datetime) -> Ruling:
    """Keeping the CRM's stage writes nothing, so that nothing there is set off; keeping the engine's brings the CRM to
    it, and so does a stage of the CRM that people have to approve, until they do. Rules are asked again at the next
    input."""
    objection = _objection(opportunity, given)
    if objection is not None:
        return Ruling(Outcome.REJECTED, opportunity, (objection,))
    ours, theirs = opportunity.stage_key, opportunity.base_stage
    freed = opportunity.changed(contested=False, quarantined=False, tugs=())
    pipeline = rules.pipeline
    if theirs == ours or theirs not in pipeline:
        return Ruling(Outcome.ACCEPTED, freed)
    asks = given.keep is Keep.CRM and not is_exempt(pipeline, given.actor, (given.role,))
    approvals = approvals_for(freed, pipeline, theirs) if asks else ()
    if given.keep is Keep.ENGINE or approvals:
        write = (opportunity.revision, ours)
        in_flight = (*(w for w in freed.in_flight if w != write), write)[-IN_FLIGHT_LIMIT:]
        written = freed.changed(in_flight=in_flight)
        if not approvals:
            return Ruling(Outcome.ACCEPTED, written, write=True)
        wanted = replace(wish(freed, theirs, given.actor, now), command=_as_command(opportunity, given))
        return replace(asked_for(written, wanted, approvals, pipeline), write=True)
    override = None
    if is_against_evidence(freed, pipeline, theirs):
        override = Override(theirs, now, given.actor, "", REASON, given.reason, None)
    move = Move(theirs, Cause.PERSON, now, actor=given.actor, reason_code=REASON, override=override)
    after, transition = moved(freed, pipeline, move)
    # The CRM holds it already.
    after = after.changed(base_stage=theirs, base_revision=after.revision, in_flight=(), sync_error=None)
    return Ruling(Outcome.ACCEPTED, after, transition=transition)


def _as_command(opportunity: Opportunity, given: ReleaseRequest) -> Command:
    """The wish to keep the CRM's stage, which counts whatever the evidence."""
    return Command(
        command_id=given.command_id,
        opportunity_id=opportunity.opportunity_id,
        to_stage=opportunity.base_stage,
        expected_revision=opportunity.revision,
        actor=given.actor,
        role=given.role,
        may_override=given.may_release,
        reason_code=REASON,
        text=given.reason,
        override=True,
        skip=True,
        expires_at=None,
    )


def _objection(opportunity: Opportunity, given: ReleaseRequest) -> Reason | None:
    if given.expected_revision != opportunity.revision:
        text = f"it is at revision {opportunity.revision}, the command was meant for {given.expected_revision}"
        return Reason(Code.STALE_REVISION, "", None, text)
    if not opportunity.contested:
        text = "its stage is not contested: there is nothing to release"
        return Reason(Code.FAILED, "command.release", None, text)
    if not given.may_release:
        text = "releasing it takes a command of a role that may override"
        return Reason(Code.FAILED, "command.role", None, text)
    if not given.reason.strip():
        return Reason(Code.MISSING, "command.reason", None, "releasing it needs a reason")
    return None
