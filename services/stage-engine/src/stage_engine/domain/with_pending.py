"""What waits for people follows whatever changes the opportunity: what it leaves behind is not waited for any more."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approving import approvals_of
from stage_engine.domain.decision import Code, EndedProposal, EndedRequest, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Migration
from stage_engine.domain.on_proposal import proposed, without
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.versions import Plan

APPROVAL = "@approval"
PROPOSAL = "@proposal/"


def with_pending(before: Opportunity, ruling: Ruling, rules: Ruleset, now: datetime) -> Ruling:
    """The ruling with what its rule proposes, and without what its move has overtaken."""
    after = ruling.opportunity
    if after is None:
        return ruling
    if ruling.outcome is Outcome.PROPOSED and _is_proposed(ruling, rules):
        return proposed(ruling, rules.pipeline, now)
    if after.approval_request is None and not after.proposals:
        return ruling
    if after.deleted:
        return _overtaken(ruling, after, "the opportunity was deleted in the CRM")
    if after.visit_no != before.visit_no:
        return _overtaken(ruling, after, f"it has moved to {after.stage_key}")
    return ruling


def _is_proposed(ruling: Ruling, rules: Ruleset) -> bool:
    """Whether a rule proposes, rather than asks for approval."""
    rule_id = ruling.explanation.rule_id
    mode = next((rule.mode for rule in rules.pipeline.rules if rule.rule_id == rule_id), RuleMode.OFF)
    return mode is RuleMode.PROPOSE or (mode is RuleMode.AUTO and rules.breaker_open)


def _overtaken(ruling: Ruling, after: Opportunity, text: str) -> Ruling:
    request = after.approval_request
    requests = () if request is None else (EndedRequest(request, ApprovalState.SUPERSEDED, text=text),)
    proposals = (EndedProposal(each, ProposalState.SUPERSEDED, text=text) for each in after.proposals.values())
    return replace(
        ruling,
        opportunity=after.changed(approval_request=None, proposals={}),
        ended_requests=(*ruling.ended_requests, *requests),
        ended_proposals=(*ruling.ended_proposals, *proposals),
    )


def carried_over(given: Migration, ruling: Ruling, pipeline: Pipeline) -> Ruling:
    """The ruling of a migration with what waits for people, where the plan keeps it and the version still asks for it:
    by the keys that its stages have there."""
    after = ruling.opportunity
    if ruling.outcome is not Outcome.ACCEPTED or after is None:
        return ruling
    if after.approval_request is None and not after.proposals:
        return ruling
    plan, request = Plan(dict(given.stages)), after.approval_request
    ended: tuple[EndedRequest, ...] = ()
    if request is not None:
        source, target = plan.target(request.from_stage), plan.target(request.to_stage)
        asked = approvals_of(pipeline, source, target) if target in pipeline and not given.cancel_approval else ()
        ended = () if asked else (EndedRequest(request, ApprovalState.SUPERSEDED, given.actor, _LEFT),)
        needed = max((each.needed for each in asked), default=0)
        request = replace(request, from_stage=source, to_stage=target, needed=needed) if asked else None
    rules = {rule.rule_id: rule for rule in pipeline.rules if rule.mode is not RuleMode.OFF}
    kept = {
        key: replace(each, from_stage=plan.target(each.from_stage), to_stage=plan.target(each.to_stage))
        for key, each in after.proposals.items()
        if key in rules and not given.withdraw_proposal and rules[key].to_stage == plan.target(each.to_stage)
    }
    over = [
        EndedProposal(e, ProposalState.SUPERSEDED, given.actor, _LEFT)
        for k, e in after.proposals.items()
        if k not in kept
    ]
    after = after.changed(approval_request=request, proposals=kept)
    return replace(ruling, opportunity=after, ended_requests=ended, ended_proposals=tuple(over))


_LEFT = "it was not kept on the way to another version"


def expired(opportunity: Opportunity, timer_key: str) -> Ruling | None:
    """The ruling that something was not decided in time; None of another timer."""
    request, proposal = opportunity.approval_request, None
    if timer_key == APPROVAL and request is not None:
        reason = Reason(Code.EXPIRED, "", None, f"moving to {request.to_stage} was not approved in time")
        end = EndedRequest(request, ApprovalState.EXPIRED)
        after = opportunity.changed(approval_request=None)
        return Ruling(Outcome.NO_OP, after, (reason,), ended_requests=(end,))
    if timer_key.startswith(PROPOSAL):
        proposal = opportunity.proposals.get(timer_key.removeprefix(PROPOSAL))
    if proposal is None:
        return None
    reason = Reason(Code.EXPIRED, "", None, f"moving to {proposal.to_stage} was not accepted in time")
    end = EndedProposal(proposal, ProposalState.EXPIRED)
    return Ruling(Outcome.NO_OP, without(opportunity, proposal), (reason,), ended_proposals=(end,))


def moments(opportunity: Opportunity) -> Iterator[tuple[str, datetime]]:
    """The engine's own timers for what waits: their keys, and when each is over."""
    if opportunity.approval_request is not None:
        yield APPROVAL, opportunity.approval_request.expires_at
    for key, proposal in opportunity.proposals.items():
        yield PROPOSAL + key, proposal.expires_at
