"""What is stored of moves that wait for people, beside the state of the opportunity."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.ids import derived

from stage_engine import messages
from stage_engine.domain.approving import approvals_of_request, approver_names
from stage_engine.domain.decision import Decision, EndedProposal, EndedRequest
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalRequest, ApprovalState, Proposal, ProposalState
from stage_engine.domain.pipeline import Pipeline
from stage_engine.records.pending import Agreement, ApprovalRecord, ApproverRecord, ProposalRecord


def approval_id(tenant_id: str, opportunity_id: str, request: ApprovalRequest) -> UUID:
    """The id of a request, the same whenever it is made; ids that follow one another in time are neighbours."""
    return _id(tenant_id, opportunity_id, "approval", request.number, request.asked_at)


def proposal_id(tenant_id: str, opportunity_id: str, proposal: Proposal) -> UUID:
    """The id of a proposal, the same whenever it is made."""
    return _id(tenant_id, opportunity_id, f"proposal of {proposal.rule_id}", proposal.number, proposal.made_at)


def _id(tenant_id: str, opportunity_id: str, what: str, number: int, at: datetime) -> UUID:
    moment = UUID(int=int(at.timestamp() * 1000) << 80)
    return derived(moment, f"{what} {(tenant_id, opportunity_id, number)}")


@dataclass(frozen=True, slots=True)
class Changed:
    """What some decisions changed of the moves that wait for people, each as it is after them."""

    approvals: list[ApprovalRecord]
    approvers: list[ApproverRecord]
    proposals: list[ProposalRecord]


def changed_by(tenant_id: str, steps: Iterable[tuple[Opportunity | None, Decision, Pipeline]]) -> Changed:
    """What decisions changed, each with the opportunity before it and the pipeline that it rests on."""
    approvals: dict[UUID, ApprovalRecord] = {}
    approvers: dict[UUID, list[ApproverRecord]] = {}
    proposals: dict[UUID, ProposalRecord] = {}
    for before, decision, pipeline in steps:
        for approval in approval_records(tenant_id, before, decision, pipeline):
            approvals[approval.approval_id] = approval
            approvers[approval.approval_id] = approver_records(approval, decision, pipeline)
        for proposal in proposal_records(tenant_id, before, decision, pipeline):
            proposals[proposal.proposal_id] = proposal
    names = [each for of_one in approvers.values() for each in of_one]
    return Changed(list(approvals.values()), names, list(proposals.values()))


def add_waiting(
    message: messages.StageDecided, tenant_id: str, before: Opportunity | None, opportunity: Opportunity
) -> None:
    """Tell with a decision what waits for people after it, where anything does or did."""
    request = opportunity.approval_request
    waited = before is not None and (before.approval_request is not None or bool(before.proposals))
    if request is None and not opportunity.proposals and not waited:
        return
    subject_id = opportunity.opportunity_id
    waiting = "" if request is None else str(approval_id(tenant_id, subject_id, request))
    proposed = [str(proposal_id(tenant_id, subject_id, each)) for each in opportunity.proposals.values()]
    messages.add_waiting(message, before, opportunity, waiting, proposed)


def approval_records(
    tenant_id: str, before: Opportunity | None, decision: Decision, pipeline: Pipeline
) -> Iterator[ApprovalRecord]:
    """The requests that a decision changed: those that it ended, and the one that waits now."""
    after = decision.opportunity
    assert after is not None
    for end in decision.ended_requests:
        yield _approval(tenant_id, after, pipeline, end.request, end, decision.decided_at)
    request, was = after.approval_request, None if before is None else before.approval_request
    if request is not None and (request is not was or _has_another_owner(before, after)):
        yield _approval(tenant_id, after, pipeline, request)


def approver_records(record: ApprovalRecord, decision: Decision, pipeline: Pipeline) -> list[ApproverRecord]:
    """Who may decide on a request after a decision, while it waits."""
    if decision.opportunity is None or record.state is not ApprovalState.PENDING:
        return []
    request = decision.opportunity.approval_request
    if request is None or request.number != record.number:
        return []
    approvals = approvals_of_request(decision.opportunity, pipeline)
    return [ApproverRecord(record.approval_id, name) for name in sorted(approver_names(request, approvals))]


def proposal_records(
    tenant_id: str, before: Opportunity | None, decision: Decision, pipeline: Pipeline
) -> Iterator[ProposalRecord]:
    """The proposals that a decision changed: those that it ended, and those that are new."""
    after = decision.opportunity
    assert after is not None
    for end in decision.ended_proposals:
        yield _proposal(tenant_id, after, pipeline, end.proposal, end, decision.decided_at)
    was = {} if before is None else before.proposals
    for key, each in after.proposals.items():
        if each is not was.get(key) or _has_another_owner(before, after):
            yield _proposal(tenant_id, after, pipeline, each)


def _has_another_owner(before: Opportunity | None, after: Opportunity) -> bool:
    return before is None or before.owner_id != after.owner_id


def _approval(
    tenant_id: str,
    opportunity: Opportunity,
    pipeline: Pipeline,
    request: ApprovalRequest,
    end: EndedRequest | None = None,
    at: datetime | None = None,
) -> ApprovalRecord:
    command = request.command
    return ApprovalRecord(
        approval_id=approval_id(tenant_id, opportunity.opportunity_id, request),
        opportunity_id=opportunity.opportunity_id,
        object_type=pipeline.object_type,
        pipeline_key=pipeline.key,
        owner_id=opportunity.owner_id,
        number=request.number,
        from_stage=request.from_stage,
        to_stage=request.to_stage,
        rule_id=request.rule_id,
        asked_by=request.asked_by,
        reason_code=command.reason_code if command else "",
        text=command.text if command else "",
        needed=request.needed,
        approved_by=tuple(Agreement(vote.actor, vote.at, vote.text) for vote in request.votes),
        asked_at=request.asked_at,
        expires_at=request.expires_at,
        state=end.state if end else ApprovalState.PENDING,
        ended_at=at,
        ended_by=end.by if end else "",
        ended_text=end.text if end else "",
        missing=end.missing if end else (),
    )


def _proposal(
    tenant_id: str,
    opportunity: Opportunity,
    pipeline: Pipeline,
    proposal: Proposal,
    end: EndedProposal | None = None,
    at: datetime | None = None,
) -> ProposalRecord:
    return ProposalRecord(
        proposal_id=proposal_id(tenant_id, opportunity.opportunity_id, proposal),
        opportunity_id=opportunity.opportunity_id,
        object_type=pipeline.object_type,
        pipeline_key=pipeline.key,
        owner_id=opportunity.owner_id,
        number=proposal.number,
        rule_id=proposal.rule_id,
        from_stage=proposal.from_stage,
        to_stage=proposal.to_stage,
        why=dict(proposal.facts),
        made_at=proposal.made_at,
        expires_at=proposal.expires_at,
        state=end.state if end else ProposalState.OPEN,
        ended_at=at,
        ended_by=end.by if end else "",
        ended_text=end.text if end else "",
        missing=end.missing if end else (),
    )
