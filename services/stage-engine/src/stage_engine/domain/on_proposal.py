"""What rules propose, and deciding on what people say of it."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approving import approvals_for, asked_for, is_exempt, steps_of, wish
from stage_engine.domain.by_rules import carried_out, judged_again, rests_on_own
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.decision import Code, EndedProposal, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.on_approval import PASSING
from stage_engine.domain.on_facts import objection_to_rules
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import Proposal, ProposalState
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.requests import ProposalAnswer

ACCEPTED = "PROPOSAL_ACCEPTED"


def proposed(ruling: Ruling, pipeline: Pipeline, now: datetime) -> Ruling:
    """The ruling with the proposal of its rule. The same again on the same facts stays the proposal it was; a newer one
    takes its place."""
    opportunity, explanation = ruling.opportunity, ruling.explanation
    assert opportunity is not None
    rule_id, target = explanation.rule_id, ruling.proposed_stage
    first = opportunity.proposals.get(rule_id)
    if first is not None and (first.to_stage, first.facts) == (target, explanation.facts):
        return ruling
    until = duration_of(pipeline.proposals_expire_after).after(now, pipeline.calendar)
    number, source = opportunity.decision_no, opportunity.stage_key
    new = Proposal(number, rule_id, source, target, explanation.facts, now, until)
    over = (
        () if first is None else (EndedProposal(first, ProposalState.SUPERSEDED, text="a newer one takes its place"),)
    )
    after = opportunity.changed(proposals={**opportunity.proposals, rule_id: new})
    return replace(ruling, opportunity=after, ended_proposals=(*ruling.ended_proposals, *over))


def without(opportunity: Opportunity, proposal: Proposal) -> Opportunity:
    """The opportunity without one of its proposals."""
    return opportunity.changed(proposals={k: p for k, p in opportunity.proposals.items() if k != proposal.rule_id})


def on_proposal(opportunity: Opportunity, given: ProposalAnswer, rules: Ruleset, now: datetime) -> Ruling:
    """What a person accepts is made if the rule still leads there, in the mode that is in force now."""
    proposal = opportunity.proposals.get(given.rule_id)
    if proposal is None or proposal.number != given.number:
        text = "the proposal is not open any more"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.SUPERSEDED, "", None, text),))
    if not given.accepted:
        if not given.reason.strip():
            text = "a rejection needs a reason"
            return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.MISSING, "answer.reason", None, text),))
        end = EndedProposal(proposal, ProposalState.REJECTED, given.actor, given.reason)
        return Ruling(Outcome.ACCEPTED, without(opportunity, proposal), ended_proposals=(end,))
    objection = objection_to_rules(opportunity, rules)
    if objection is not None:
        return Ruling(Outcome.REJECTED, opportunity, (objection,))
    try:
        return _accepted(opportunity, proposal, given, rules, now)
    except EngineFault as fault:
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code(fault.code), "", None, str(fault)),))


def _accepted(
    opportunity: Opportunity, proposal: Proposal, given: ProposalAnswer, rules: Ruleset, now: datetime
) -> Ruling:
    pipeline, free = rules.pipeline, without(opportunity, proposal)
    ruling = judged_again(opportunity, rules, proposal.rule_id, now)
    if ruling.outcome is not Outcome.ACCEPTED:
        if any(reason.code in PASSING for reason in ruling.reasons):
            return ruling
        end = EndedProposal(proposal, ProposalState.NO_LONGER_VALID, given.actor, missing=ruling.reasons)
        return replace(ruling, opportunity=free, ended_proposals=(end,))
    rule = next(each for each in pipeline.rules if each.rule_id == proposal.rule_id)
    hops = steps_of(rules.pipeline, opportunity.stage_key, rule.to_stage)
    if not pipeline.confirm_own and any(rests_on_own(opportunity, rules, a, b, given.actor, now) for a, b in hops):
        text = "it rests on answers of your own; another person has to confirm it"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.OWN_PROPOSAL, "answer.actor", None, text),))
    end = EndedProposal(proposal, ProposalState.ACCEPTED, given.actor, given.reason)
    approvals = approvals_for(opportunity, pipeline, rule.to_stage)
    if approvals and not is_exempt(pipeline, given.actor, (given.role,)):
        wanted = wish(free, rule.to_stage, given.actor, now, rule.rule_id, accepted=True)
        return replace(asked_for(free, wanted, approvals, pipeline), ended_proposals=(end,))
    why, by = ruling.explanation, given.actor
    made = carried_out(free, pipeline, rule, now, why, None, accepted_by=by, reason_code=ACCEPTED)
    return replace(made, ended_proposals=(end,))
