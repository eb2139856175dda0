"""What becomes of a person's edit of the stage in the CRM, by the policy of the pipeline."""

from dataclasses import dataclass, replace
from datetime import datetime

from stage_engine.domain.approval import Approval
from stage_engine.domain.approving import approvals_of, asked_for, is_exempt, lacks_approval, wish
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.inputs import Command, Observation
from stage_engine.domain.move import IN_FLIGHT_LIMIT
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import CrmEditPolicy
from stage_engine.domain.progress import forbidden_skip, lacking

CRM_EDIT = "CRM_EDIT"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an edit is adopted, what it lacks, and where the opportunity is proposed to go back to."""

    adopted: bool = True
    reasons: tuple[Reason, ...] = ()
    proposed_stage: str = ""
    # By whom it has to be approved before it counts; nothing where it lacks something else as well.
    approvals: tuple[Approval, ...] = ()


def verdict(opportunity: Opportunity, given: Observation, rules: Ruleset, now: datetime) -> Verdict:
    """What the policy says of the edit. Exempt people are always followed; so is everyone while the engine cannot be
    believed, for nothing is undone on a guess."""
    pipeline, policy = rules.pipeline, rules.pipeline.crm_edit_policy
    if policy is CrmEditPolicy.ADOPT_AS_OVERRIDE or is_exempt(pipeline, given.changed_by, given.changed_by_roles):
        return Verdict()
    if policy is CrmEditPolicy.REVERT:
        text = f"{pipeline.key} lets stages be set here only: {given.stage_key} goes back to {opportunity.stage_key}"
        return Verdict(False, (Reason(Code.EDIT_REVERTED, "", None, text),))
    try:
        missing = forbidden_skip(rules, opportunity.stage_key, given.stage_key)
        missing += lacking(opportunity, rules, given.stage_key, now)
    except EngineFault as fault:
        return Verdict(reasons=(Reason(Code(fault.code), "", None, str(fault)),))
    approvals = approvals_of(pipeline, opportunity.stage_key, given.stage_key)
    if approvals and not missing and policy is CrmEditPolicy.VALIDATE_THEN_ADOPT:
        return Verdict(False, approvals=approvals)
    if approvals:
        missing = (*missing, lacks_approval(approvals, given.stage_key))
    if not missing:
        return Verdict()
    if policy is CrmEditPolicy.PROPOSE_BACK:
        return Verdict(True, missing, opportunity.stage_key)
    text = f"{given.stage_key} lacks what the pipeline asks for, so it goes back to {opportunity.stage_key}"
    return Verdict(False, (Reason(Code.EDIT_REVERTED, "", None, text), *missing))


def written_back(
    observed: Opportunity, given: Observation, found: Verdict, pipeline: Pipeline, now: datetime
) -> Ruling:
    """The edit is not adopted: the CRM, which holds it, is brought back to the stage of the opportunity. Where it only
    has to be approved, it waits for that here."""
    ours = (observed.revision, observed.stage_key)
    in_flight = (*(w for w in observed.in_flight if w != ours), ours)[-IN_FLIGHT_LIMIT:]
    after = observed.changed(base_stage=given.stage_key, in_flight=in_flight)
    if found.approvals:
        wanted = wish(observed, given.stage_key, given.changed_by, now)
        ruling = asked_for(after, replace(wanted, command=_as_command(observed, given)), found.approvals, pipeline)
        return replace(ruling, write=True)
    return Ruling(Outcome.REJECTED, after, found.reasons, write=True)


def _as_command(opportunity: Opportunity, given: Observation) -> Command:
    """The same as a command, without the right to override; the edit agreed to pass over stages."""
    return Command(
        command_id=given.change_id,
        opportunity_id=given.opportunity_id,
        to_stage=given.stage_key,
        expected_revision=opportunity.revision,
        actor=given.changed_by,
        role="crm",
        may_override=False,
        reason_code=CRM_EDIT,
        text="",
        override=False,
        skip=True,
        expires_at=None,
    )
