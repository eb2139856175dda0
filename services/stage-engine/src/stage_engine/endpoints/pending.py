"""Moves that wait for people, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Path, Query, Response
from kit.http.auth import Caller, requires
from kit.http.etag import etag
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.requests import Answer
from stage_engine.endpoints.opportunities import shown_decision
from stage_engine.records.pending import ApprovalRecord, ProposalRecord
from stage_engine.schemas.opportunities import DecisionOut
from stage_engine.schemas.pending import (
    ApprovalOut,
    ConsentBody,
    ProposalOut,
    ProposalTotalOut,
    ProposalTotals,
    RefusalBody,
)
from stage_engine.service.answering import Answering
from stage_engine.service.deciding import Decided

# Nothing has to be said: the body may be left out.
Consent = Annotated[ConsentBody, Body(default_factory=ConsentBody)]
_READ, _WRITE = requires("opportunities:read"), requires("transitions:write")

approvals, proposals = router("approvals"), router("proposals")


@approvals.get("/approvals", dependencies=[_READ])
async def list_approvals(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    state: Annotated[ApprovalState | None, Query(description="only those in this state")] = None,
    mine: Annotated[bool, Query(description="only those that the caller may decide on now")] = False,
) -> Page[ApprovalOut]:
    """Moves that wait for approval, or did, in the order in which they were asked for: about what the caller sees, and
    those that name the caller as an approver."""
    after = paging.after(UUID) or UUID(int=0)
    found = await Answering(uow, caller).approvals(state, mine=mine, after=after, limit=paging.limit + 1)
    return paging.page(found, lambda each: [each.approval_id], _approval)


@approvals.get("/approvals/{approval_id}", dependencies=[_READ])
async def get_approval(approval_id: UUID, uow: Uow, caller: Caller) -> ApprovalOut:
    """One move that waits for approval, or did."""
    return _approval(await Answering(uow, caller).approval(approval_id))


@approvals.post("/approvals/{approval_id}/approve", status_code=201, dependencies=[_WRITE])
async def approve_approval(
    approval_id: UUID, body: Consent, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Agree. With the last who is needed the move is made, if it may be made as things are now. The reply is the
    decision: look at `outcome` and `transition`."""
    return _reply(await Answering(uow, caller).answer(approval_id, Answer.APPROVE, body.text), response)


@approvals.post("/approvals/{approval_id}/reject", status_code=201, dependencies=[_WRITE])
async def reject_approval(
    approval_id: UUID, body: RefusalBody, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Refuse the move, with a reason. One approver is enough for that, and the subject stays where it is."""
    return _reply(await Answering(uow, caller).answer(approval_id, Answer.REJECT, body.reason), response)


@approvals.post("/approvals/{approval_id}/withdraw", status_code=201, dependencies=[_WRITE])
async def withdraw_approval(
    approval_id: UUID, body: Consent, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Take the own wish back."""
    return _reply(await Answering(uow, caller).answer(approval_id, Answer.WITHDRAW, body.text), response)


@proposals.get("/proposals", dependencies=[_READ])
async def list_proposals(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    state: Annotated[ProposalState | None, Query(description="only those in this state")] = None,
) -> Page[ProposalOut]:
    """What rules propose, or did, about what the caller sees, in the order in which it was proposed."""
    after = paging.after(UUID) or UUID(int=0)
    found = await Answering(uow, caller).proposals(state, after, paging.limit + 1)
    return paging.page(found, lambda each: [each.proposal_id], _proposal)


@proposals.get("/proposals/{proposal_id}", dependencies=[_READ])
async def get_proposal(proposal_id: UUID, uow: Uow, caller: Caller) -> ProposalOut:
    """One proposal."""
    return _proposal(await Answering(uow, caller).proposal(proposal_id))


@proposals.post("/proposals/{proposal_id}/accept", status_code=201, dependencies=[_WRITE])
async def accept_proposal(
    proposal_id: UUID, body: Consent, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Make the move that a rule proposes, if the rule still holds in the mode that is in force now. The reply is the
    decision: look at `outcome`."""
    return _reply(await Answering(uow, caller).judge(proposal_id, accepted=True, reason=body.text), response)


@proposals.post("/proposals/{proposal_id}/reject", status_code=201, dependencies=[_WRITE])
async def reject_proposal(
    proposal_id: UUID, body: RefusalBody, uow: Uow, caller: Caller, response: Response
) -> DecisionOut:
    """Say no to what a rule proposes, with a reason. The subject stays where it is."""
    return _reply(await Answering(uow, caller).judge(proposal_id, accepted=False, reason=body.reason), response)


@proposals.get("/pipelines/{key}/proposal-totals", dependencies=[requires("analytics:read"), _READ])
async def get_proposal_totals(
    key: Annotated[str, Path(max_length=64, examples=["sales"])], uow: Uow, caller: Caller
) -> ProposalTotals:
    """What became of all that each rule of the pipeline proposed: how often people agree with it."""
    found = await Answering(uow, caller).proposal_totals(key)
    totals = [ProposalTotalOut.model_validate(each, from_attributes=True) for each in found]
    return ProposalTotals(pipeline_key=key, totals=totals)


def _reply(decided: Decided, response: Response) -> DecisionOut:
    response.headers["ETag"] = etag(decided.opportunity.revision)
    response.headers["Location"] = f"/v1/decisions/{decided.record.decision_id}"
    return shown_decision(decided.record)


def _approval(found: ApprovalRecord) -> ApprovalOut:
    return ApprovalOut.model_validate(found, from_attributes=True)


def _proposal(found: ProposalRecord) -> ProposalOut:
    return ProposalOut.model_validate(found, from_attributes=True)
