"""Deciding on what people say of a move that waits for approval."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approving import approvals_of_request, ended, is_approved, may_vote
from stage_engine.domain.by_rules import carried_out, judged_again
from stage_engine.domain.decision import Code, EndedRequest, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.on_command import on_command
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalRequest, ApprovalState, Vote
from stage_engine.domain.requests import Answer, ApprovalAnswer

# What keeps a move from being judged just now, and says nothing against it.
PASSING = frozenset({Code.ON_HOLD, Code.UNMAPPED_STAGE, Code.ENGINE_FAULT, Code.ENGINE_DISAGREEMENT})


def on_approval(opportunity: Opportunity, given: ApprovalAnswer, rules: Ruleset, now: datetime) -> Ruling:
    """The move is made once enough people agree, if it may be made as things are then. One who rejects it ends it, and
    so does the person who asked for it."""
    request = opportunity.approval_request
    if request is None or request.number != given.number:
        text = "the move is not waited for any more"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.SUPERSEDED, "", None, text),))
    if given.answer is Answer.WITHDRAW:
        return _withdrawn(opportunity, request, given)
    approvals = approvals_of_request(opportunity, rules.pipeline)
    vote = Vote(given.actor, now, given.roles, given.teams, given.manages_owner, given.reason)
    if approvals and not any(may_vote(vote, each, request.asked_by) for each in approvals):
        return Ruling(Outcome.REJECTED, opportunity, (_no_approver(given, request),))
    if given.answer is Answer.REJECT:
        if not given.reason.strip():
            text = "a rejection needs a reason"
            return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.MISSING, "answer.reason", None, text),))
        after, end = ended(opportunity, ApprovalState.REJECTED, given.actor, given.reason)
        return Ruling(Outcome.ACCEPTED, after, ended_requests=(end,))
    if any(each.actor == given.actor for each in request.votes):
        text = f"{given.actor} has approved it already; another approver is needed"
        return Ruling(Outcome.NO_OP, opportunity, (Reason(Code.APPROVAL_PENDING, "", None, text),))
    voted = replace(request, votes=(*request.votes, vote))
    if not is_approved(voted, approvals):
        text = f"{len(voted.votes)} of {request.needed} who are needed agree"
        pending = (Reason(Code.APPROVAL_PENDING, "", None, text),)
        return Ruling(Outcome.ACCEPTED, opportunity.changed(approval_request=voted), pending)
    return _made(opportunity, voted, rules, now)


def _withdrawn(opportunity: Opportunity, request: ApprovalRequest, given: ApprovalAnswer) -> Ruling:
    if not request.is_of_person or request.asked_by != given.actor:
        asker = request.asked_by if request.is_of_person else f"no person: the rule {request.rule_id} asks for it"
        text = f"only the person who asked for the move takes it back, and that is {asker}"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.NOT_APPROVER, "answer.actor", None, text),))
    after, end = ended(opportunity, ApprovalState.WITHDRAWN, given.actor, given.reason)
    return Ruling(Outcome.ACCEPTED, after, ended_requests=(end,))


def _no_approver(given: ApprovalAnswer, request: ApprovalRequest) -> Reason:
    text = f"{given.actor} is not among those who may approve it"
    if given.actor == request.asked_by:
        text = f"{given.actor} asked for the move, so another person has to approve it"
    return Reason(Code.NOT_APPROVER, "answer.actor", None, text)


def _made(opportunity: Opportunity, request: ApprovalRequest, rules: Ruleset, now: datetime) -> Ruling:
    """The move as it was asked for, held to all that it was then. What it lacks now ends it, unless it cannot be judged
    at the moment."""
    free = opportunity.changed(approval_request=None)
    try:
        ruling = _again(free, request, rules, now)
    except EngineFault as fault:
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code(fault.code), "", None, str(fault)),))
    if ruling.transition is not None:
        end = EndedRequest(request, ApprovalState.APPROVED, request.votes[-1].actor)
        return replace(ruling, ended_requests=(end,))
    if any(reason.code in PASSING for reason in ruling.reasons):
        return Ruling(Outcome.REJECTED, opportunity, ruling.reasons)
    end = EndedRequest(request, ApprovalState.NO_LONGER_VALID, request.votes[-1].actor, missing=ruling.reasons)
    return Ruling(Outcome.REJECTED, free, ruling.reasons, ruling.explanation, ended_requests=(end,))


def _again(opportunity: Opportunity, request: ApprovalRequest, rules: Ruleset, now: datetime) -> Ruling:
    if request.command is not None:
        command = replace(request.command, to_stage=request.to_stage, expected_revision=opportunity.revision)
        return on_command(opportunity, command, rules, now, approved=True)
    ruling = judged_again(opportunity, rules, request.rule_id, now)
    rule = next((each for each in rules.pipeline.rules if each.rule_id == request.rule_id), None)
    if ruling.outcome is not Outcome.ACCEPTED or rule is None:
        return ruling
    by = request.asked_by if request.accepted else None
    return carried_out(opportunity, rules.pipeline, rule, now, ruling.explanation, None, accepted_by=by)
