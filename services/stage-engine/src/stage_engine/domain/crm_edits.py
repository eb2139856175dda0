"""What becomes of a person's edit of the stage in the CRM, by the policy of the pipeline. What has to be approved waits
for that whatever the policy: the stage stays until people agree, on this way as on any other."""

from dataclasses import dataclass, replace
from datetime import datetime

from stage_engine.domain.approval import Approval
from stage_engine.domain.approving import approvals_for, asked_for, is_exempt, lacks_approval, wish
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.inputs import IN_THE_CRM, Command, Observation
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
    # By whom it has to be approved before it counts; nothing where it is undone because it lacks something.
    approvals: tuple[Approval, ...] = ()


def verdict(opportunity: Opportunity, given: Observation, rules: Ruleset, now: datetime) -> Verdict:
    """What the policy says of the edit. Exempt people are always followed. While the engine cannot be believed, so are
    all others, for nothing is undone on a guess; but what needs approval waits for it then, too."""
    pipeline, policy = rules.pipeline, rules.pipeline.crm_edit_policy
    if is_exempt(pipeline, given.changed_by, given.changed_by_roles):
        return Verdict()
    approvals = approvals_for(opportunity, pipeline, given.stage_key)
    if policy is CrmEditPolicy.ADOPT_AS_OVERRIDE:
        return Verdict(adopted=not approvals, approvals=approvals)
    if policy is CrmEditPolicy.REVERT:
        text = f"{pipeline.key} lets stages be set here only: {given.stage_key} goes back to {opportunity.stage_key}"
        return Verdict(False, (Reason(Code.EDIT_REVERTED, "", None, text),))
    try:
        missing = forbidden_skip(opportunity, rules, given.stage_key)
        missing += lacking(opportunity, rules, given.stage_key, now)
    except EngineFault as fault:
        return Verdict(not approvals, (Reason(Code(fault.code), "", None, str(fault)),), approvals=approvals)
    if approvals and (not missing or policy is CrmEditPolicy.PROPOSE_BACK):
        return Verdict(False, missing, approvals=approvals)
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
    """The edit is not adopted: the CRM, which holds it, is brought back to the stage of the opportunity. What has to be
    approved waits for that here."""
    ours = (observed.revision, observed.stage_key)
    in_flight = (*(w for w in observed.in_flight if w != ours), ours)[-IN_FLIGHT_LIMIT:]
    after = observed.changed(base_stage=given.stage_key, in_flight=in_flight)
    if found.approvals:
        wanted = wish(observed, given.stage_key, given.changed_by, now)
        command = _as_command(observed, given, pipeline.crm_edit_policy)
        ruling = asked_for(after, replace(wanted, command=command), found.approvals, pipeline)
        return replace(ruling, reasons=(*ruling.reasons, *found.reasons), write=True)
    return Ruling(Outcome.REJECTED, after, found.reasons, write=True)


def _as_command(opportunity: Opportunity, given: Observation, policy: CrmEditPolicy) -> Command:
    """The same as a command; the edit agreed to pass over stages. It overrides where the policy lets edits count that
    lack something."""
    overrides = policy is not CrmEditPolicy.VALIDATE_THEN_ADOPT
    return Command(
        command_id=given.change_id,
        opportunity_id=opportunity.opportunity_id,
        to_stage=given.stage_key,
        expected_revision=opportunity.revision,
        actor=given.changed_by,
        role=IN_THE_CRM,
        may_override=overrides,
        reason_code=CRM_EDIT,
        text="edited in the CRM" if overrides else "",
        override=overrides,
        skip=True,
        expires_at=None,
    )
