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
from stage_engine.domain.pending import ApprovalState, Proposal, ProposalState
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
    # A record that begins has left nothing behind: it asks from where it begins.
    if after.visit_no != before.visit_no and before.stage_key:
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
    """The ruling of a migration with what waits for people, by the keys that its stages have in the version, where the
    plan keeps it and the version still leads there. All else ends at once, and says why."""
    after = ruling.opportunity
    if ruling.outcome is not Outcome.ACCEPTED or after is None:
        return ruling
    if after.approval_request is None and not after.proposals:
        return ruling
    plan, request = Plan(dict(given.stages)), after.approval_request
    ended: tuple[EndedRequest, ...] = ()
    if request is not None:
        source, target = plan.target(request.from_stage), plan.target(request.to_stage)
        asked = approvals_of(pipeline, source, target, after.last_open) if target in pipeline else ()
        dropped = _dropped(pipeline, source, target, request.rule_id, asked=bool(asked))
        if given.cancel_approval or dropped:
            ended = (EndedRequest(request, ApprovalState.SUPERSEDED, given.actor, dropped or _LEFT),)
        needed = max((each.needed for each in asked), default=0)
        request = None if ended else replace(request, from_stage=source, to_stage=target, needed=needed)
    kept: dict[str, Proposal] = {}
    over: list[EndedProposal] = []
    for key, each in after.proposals.items():
        source, target = plan.target(each.from_stage), plan.target(each.to_stage)
        dropped = _dropped(pipeline, source, target, key)
        if given.withdraw_proposal or dropped:
            over.append(EndedProposal(each, ProposalState.SUPERSEDED, given.actor, dropped or _LEFT))
        else:
            kept[key] = replace(each, from_stage=source, to_stage=target)
    after = after.changed(approval_request=request, proposals=kept)
    return replace(ruling, opportunity=after, ended_requests=ended, ended_proposals=tuple(over))


_LEFT = "it was not kept on the way to another version"


def _dropped(pipeline: Pipeline, source: str, target: str, rule_id: str, *, asked: bool = True) -> str:
    """Why a version leads no more where a move was to go, which no word of people could change; empty where it does.
    Without a rule a person wants the move."""
    where = f"version {pipeline.version} of {pipeline.key}"
    if target not in pipeline:
        return f"{where} has no stage {target}"
    rule = pipeline.rule(rule_id) if rule_id else None
    leads = rule is not None and rule.to_stage == target and rule.from_stage in (None, source)
    if rule_id and not leads:
        return f"in {where} no rule {rule_id} leads from {source} to {target}"
    if rule is not None and rule.mode not in (RuleMode.AUTO, RuleMode.PROPOSE):
        return f"in {where} the rule {rule_id} moves nothing: it is {rule.mode}"
    return "" if asked else f"in {where} moving to {target} needs no approval: ask for it again"


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
