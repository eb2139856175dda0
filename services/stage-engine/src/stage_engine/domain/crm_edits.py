"""What becomes of a person's edit of the stage in the CRM, by the policy of the pipeline."""

from dataclasses import dataclass
from datetime import datetime

from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.inputs import Observation
from stage_engine.domain.move import IN_FLIGHT_LIMIT
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import CrmEditPolicy, Pipeline
from stage_engine.domain.progress import forbidden_skip, lacking


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an edit is adopted, what it lacks, and where the opportunity is proposed to go back to."""

    adopted: bool = True
    reasons: tuple[Reason, ...] = ()
    proposed_stage: str = ""


def verdict(opportunity: Opportunity, given: Observation, rules: Ruleset, now: datetime) -> Verdict:
    """What the policy says of the edit. Exempt people are always followed; so is everyone while the engine cannot be
    believed, for nothing is undone on a guess."""
    pipeline, policy = rules.pipeline, rules.pipeline.crm_edit_policy
    if policy is CrmEditPolicy.ADOPT_AS_OVERRIDE or _exempt(given, pipeline):
        return Verdict()
    if policy is CrmEditPolicy.REVERT:
        text = f"{pipeline.key} lets stages be set here only: {given.stage_key} goes back to {opportunity.stage_key}"
        return Verdict(False, (Reason(Code.EDIT_REVERTED, "", None, text),))
    try:
        missing = forbidden_skip(rules, opportunity.stage_key, given.stage_key)
        missing += lacking(opportunity, rules, given.stage_key, now)
    except EngineFault as fault:
        return Verdict(reasons=(Reason(Code(fault.code), "", None, str(fault)),))
    if not missing:
        return Verdict()
    if policy is CrmEditPolicy.PROPOSE_BACK:
        return Verdict(True, missing, opportunity.stage_key)
    text = f"{given.stage_key} lacks what the pipeline asks for, so it goes back to {opportunity.stage_key}"
    return Verdict(False, (Reason(Code.EDIT_REVERTED, "", None, text), *missing))


def _exempt(given: Observation, pipeline: Pipeline) -> bool:
    return given.changed_by in pipeline.exempt_people or any(
        role in pipeline.exempt_roles for role in given.changed_by_roles
    )


def written_back(observed: Opportunity, given: Observation, found: Verdict) -> Ruling:
    """The edit is not adopted: the CRM, which holds it, is brought back to the stage of the opportunity."""
    ours = (observed.revision, observed.stage_key)
    in_flight = (*(w for w in observed.in_flight if w != ours), ours)[-IN_FLIGHT_LIMIT:]
    after = observed.changed(base_stage=given.stage_key, in_flight=in_flight)
    return Ruling(Outcome.REJECTED, after, found.reasons, write=True)
