"""People decide on moves that wait for them."""

from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners
from kit.ids import uuid7
from kit.operators.audit import record

from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.requests import Answer, ApprovalAnswer, ProposalAnswer
from stage_engine.errors.pending import ApprovalEnded, ApprovalNotFound, ProposalEnded, ProposalNotFound
from stage_engine.errors.pipelines import PipelineNotFound
from stage_engine.records.pending import ApprovalRecord, ProposalRecord, ProposalTotal
from stage_engine.repository.pending import Decider, PendingRepository
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.commanding import strongest_role
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.rulesets import Rulesets

_STILL = ApprovalState.PENDING, ProposalState.OPEN


class Answering:
    """On behalf of a caller who sees what belongs to the owners it sees, and the moves that it may decide on."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._owners = Owners.seen_by(caller)
        self._repository = PendingRepository(uow.session, uow.tenant_id)
        self._deciding = Deciding(uow, Rulesets(uow))

    async def approvals(
        self, state: ApprovalState | None, *, mine: bool, after: UUID, limit: int
    ) -> list[ApprovalRecord]:
        """Requests by the time they were made; `mine`: those that the caller may decide on now."""
        of = await self._decider()
        if mine:
            wanted = state in (None, ApprovalState.PENDING) and not self._caller.has_left
            return await self._repository.mine(of, self._owners, after, limit) if wanted else []
        names = [] if self._caller.has_left else of.names
        return await self._repository.approvals(state, self._owners, names, after, limit)

    async def approval(self, approval_id: UUID) -> ApprovalRecord:
        """One request. ApprovalNotFound."""
        found = await self._repository.approval(approval_id)
        if found is None:
            raise ApprovalNotFound(approval_id)
        await self._demand(found, await self._decider())
        return found

    async def answer(self, approval_id: UUID, answer: Answer, reason: str) -> Decided:
        """The decision on what the caller says. ApprovalNotFound, ApprovalEnded when it waits no more."""
        found = await self._repository.approval(approval_id)
        if found is None:
            raise ApprovalNotFound(approval_id)
        opportunity = await self._locked(found.opportunity_id, ApprovalNotFound(approval_id))
        of = await self._decider()
        await self._demand(found, of)
        request = opportunity.approval_request
        if request is None or request.number != found.number:
            raise ApprovalEnded(await self.approval(approval_id))
        # A role counts for what the person sees anyway.
        roles = tuple(sorted(of.roles)) if self._owners.include(opportunity.owner_id) else ()
        given = ApprovalAnswer(
            command_id=str(uuid7()),
            opportunity_id=found.opportunity_id,
            number=found.number,
            answer=answer,
            actor=of.person_id,
            roles=roles,
            teams=tuple(sorted(of.teams)),
            manages_owner=opportunity.owner_id in of.reports,
            reason=reason,
        )
        return await self._decide(given, f"approval.{answer}", approval_id)

    async def proposals(self, state: ProposalState | None, after: UUID, limit: int) -> list[ProposalRecord]:
        """What rules propose, or did, by the time it was made."""
        return await self._repository.proposals(state, self._owners, after, limit)

    async def proposal_totals(self, pipeline_key: str) -> list[ProposalTotal]:
        """What became of all that the rules of a pipeline proposed. PipelineNotFound."""
        if await PipelineRepository(self._uow.session, self._uow.tenant_id).one(pipeline_key) is None:
            raise PipelineNotFound(pipeline_key)
        return await self._repository.proposal_totals(pipeline_key, self._owners)

    async def proposal(self, proposal_id: UUID) -> ProposalRecord:
        """One proposal. ProposalNotFound."""
        found = await self._repository.proposal(proposal_id)
        if found is None:
            raise ProposalNotFound(proposal_id)
        self._owners.demand(found.owner_id, ProposalNotFound(proposal_id))
        return found

    async def judge(self, proposal_id: UUID, *, accepted: bool, reason: str) -> Decided:
        """The decision on what the caller says. ProposalNotFound, ProposalEnded when it is not open any more."""
        found = await self.proposal(proposal_id)
        opportunity = await self._locked(found.opportunity_id, ProposalNotFound(proposal_id))
        self._owners.demand(opportunity.owner_id, ProposalNotFound(proposal_id))
        proposal = opportunity.proposals.get(found.rule_id)
        if proposal is None or proposal.number != found.number:
            raise ProposalEnded(await self.proposal(proposal_id))
        given = ProposalAnswer(
            command_id=str(uuid7()),
            opportunity_id=found.opportunity_id,
            rule_id=found.rule_id,
            number=found.number,
            accepted=accepted,
            actor=self._caller.person_id,
            role=strongest_role(self._caller),
            reason=reason,
        )
        return await self._decide(given, "proposal.accept" if accepted else "proposal.reject", proposal_id)

    async def _decide(self, given: ApprovalAnswer | ProposalAnswer, action: str, id_: UUID) -> Decided:
        (decided,) = await self._deciding.decide([Arrival(given)])
        outcome = decided.decision.outcome.value
        detail = {"decision_id": str(decided.record.decision_id), "outcome": outcome}
        await record(self._uow, self._caller, action, str(id_), **detail)
        return decided

    async def _locked(self, opportunity_id: str, absent: ApprovalNotFound | ProposalNotFound) -> Opportunity:
        found = (await self._deciding.load([opportunity_id])).get(opportunity_id)
        if found is None:
            raise absent
        return found

    async def _demand(self, found: ApprovalRecord, of: Decider) -> None:
        """ApprovalNotFound unless the caller sees the subject, or may decide on the request."""
        if self._owners.include(found.owner_id):
            return
        if not self._caller.has_left:
            names = [*of.names, *(["manager_of_owner"] if found.owner_id in of.reports else [])]
            if await self._repository.is_named(found.approval_id, names):
                return
        self._owners.demand(found.owner_id, ApprovalNotFound(found.approval_id))

    async def _decider(self) -> Decider:
        # Of a caller who sees everything anyway, the team is not known yet.
        return await self._repository.decider(self._caller.person_id, self._caller.roles)
