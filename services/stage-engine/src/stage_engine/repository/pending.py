"""Moves that wait for approval, who may decide on them, and what rules propose."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.database.sets import among
from kit.database.tables import team
from kit.http.ownership import Owners
from sqlalchemy import ColumnElement, Select, delete, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.pending import ApprovalState
from stage_engine.models.pending import approval, approver, proposal
from stage_engine.records.pending import ApprovalRecord, ApproverRecord, ProposalRecord, ProposalTotal

_APPROVAL = columns(approval, ApprovalRecord)
_PROPOSAL = columns(proposal, ProposalRecord)
_KEEP_APPROVAL = bulk.replace(approval, *(n for n in bulk.column_names(ApprovalRecord) if n != "approval_id"))
_KEEP_PROPOSAL = bulk.replace(proposal, *(n for n in bulk.column_names(ProposalRecord) if n != "proposal_id"))


@dataclass(frozen=True, slots=True)
class Decider:
    """A person as an approver: who it is, of which roles, whom it reports to, and who reports to it."""

    person_id: str
    roles: frozenset[str]
    teams: frozenset[str]
    reports: frozenset[str]

    @property
    def names(self) -> list[str]:
        """By which it is named without regard to the subject."""
        return sorted({f"person:{self.person_id}", *(f"team:{each}" for each in self.teams)})


class PendingRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def keep_approvals(self, changed: Sequence[ApprovalRecord], approvers: Sequence[ApproverRecord]) -> None:
        """Write these as they are now, with the commit, and who may decide on them."""
        if changed:
            ids = [each.approval_id for each in changed]
            await self._session.execute(delete(approver).where(among(approver.c.approval_id, ids)))
            bulk.defer(self._session, approval, changed, conflict=_KEEP_APPROVAL)
            bulk.defer(self._session, approver, approvers)

    def keep_proposals(self, changed: Sequence[ProposalRecord]) -> None:
        """Write these as they are now, with the commit."""
        bulk.defer(self._session, proposal, changed, conflict=_KEEP_PROPOSAL)

    async def decider(self, person_id: str, roles: frozenset[str]) -> Decider:
        """A person with these roles as an approver."""
        above, below = (
            select(a).where(team.c.tenant_id == self._tenant_id, b == person_id)
            for a, b in ((team.c.manager_id, team.c.person_id), (team.c.person_id, team.c.manager_id))
        )
        teams = frozenset((await self._session.execute(above)).scalars())
        return Decider(person_id, roles, teams, frozenset((await self._session.execute(below)).scalars()))

    async def approval(self, approval_id: UUID) -> ApprovalRecord | None:
        """One request, about an opportunity of any owner."""
        return await record(
            self._session, select(*_APPROVAL).where(approval.c.approval_id == approval_id), ApprovalRecord
        )

    async def is_named(self, approval_id: UUID, names: Collection[str]) -> bool:
        """Whether one of these names may decide on a request that waits."""
        statement = select(true()).where(approver.c.approval_id == approval_id, among(approver.c.name, names)).limit(1)
        return (await self._session.execute(statement)).scalar() is not None

    async def approvals(
        self, state: ApprovalState | None, owners: Owners, names: Collection[str], after: UUID, limit: int
    ) -> list[ApprovalRecord]:
        """Requests about opportunities of these owners, and those that one of these names may decide on."""
        found = await records(self._session, approvals_page(state, owners, after, limit), ApprovalRecord)
        if not owners.are_all and state in (None, ApprovalState.PENDING):
            found += await records(self._session, named_page(names, None, after, limit), ApprovalRecord)
        return _merged(found, limit)

    async def mine(self, of: Decider, owners: Owners, after: UUID, limit: int) -> list[ApprovalRecord]:
        """Requests that this person may decide on now: named, or by what it is to the owner."""
        found = await records(self._session, named_page(of.names, of.person_id, after, limit), ApprovalRecord)
        found += await records(self._session, owned_page(of, owners, after, limit), ApprovalRecord)
        return _merged(found, limit)

    async def pending_of(self, pipeline_key: str) -> int:
        """How many requests wait in a pipeline."""
        of = approval.c
        statement = select(func.count()).where(of.pipeline_key == pipeline_key, of.state == ApprovalState.PENDING.value)
        return (await self._session.execute(statement)).scalar_one()

    async def proposal(self, proposal_id: UUID) -> ProposalRecord | None:
        """One proposal, about an opportunity of any owner."""
        return await record(
            self._session, select(*_PROPOSAL).where(proposal.c.proposal_id == proposal_id), ProposalRecord
        )

    async def proposals(self, state: str | None, owners: Owners, after: UUID, limit: int) -> list[ProposalRecord]:
        """Proposals about opportunities of these owners."""
        return await records(self._session, proposals_page(state, owners, after, limit), ProposalRecord)

    async def proposal_totals(self, pipeline_key: str, owners: Owners) -> list[ProposalTotal]:
        """How the proposals of each rule of a pipeline ended."""
        of = proposal.c
        statement = (
            select(of.rule_id, of.state, func.count().label("proposals"))
            .where(of.pipeline_key == pipeline_key, owners.condition(of.owner_id))
            .group_by(of.rule_id, of.state)
            .order_by(of.rule_id, of.state)
        )
        return await records(self._session, statement, ProposalTotal)


def approvals_page(state: str | None, owners: Owners, after: UUID, limit: int) -> Select[Any]:
    """A page of the requests about opportunities of these owners."""
    of = approval.c
    statement = select(*_APPROVAL).where(of.approval_id > after, owners.condition(of.owner_id))
    if state is not None:
        statement = statement.where(of.state == state)
    return statement.order_by(of.approval_id).limit(limit)


def named_page(names: Collection[str], unless: str | None, after: UUID, limit: int) -> Select[Any]:
    """A page of the requests that wait for one of these names, without those that this person may not decide on."""
    found = select(approver.c.approval_id).where(among(approver.c.name, names), approver.c.approval_id > after)
    of = approval.c
    statement = select(*_APPROVAL).where(among(of.approval_id, found))
    if unless is not None:
        statement = statement.where(~_named([f"barred:{unless}"]))
    return statement.order_by(of.approval_id).limit(limit)


def owned_page(of: Decider, owners: Owners, after: UUID, limit: int) -> Select[Any]:
    """A page of the requests that wait for a role of this person, or for a manager of the owner."""
    seen = owners.person_ids
    watched = Owners(None if seen is None else seen | of.reports)
    c = approval.c
    by_role = _named([f"role:{role}" for role in sorted(of.roles)]) & owners.condition(c.owner_id)
    by_report = _named(["manager_of_owner"]) & among(c.owner_id, sorted(of.reports)) if of.reports else false()
    statement = select(*_APPROVAL).where(
        c.approval_id > after, c.state == ApprovalState.PENDING.value, watched.condition(c.owner_id),
        or_(by_role, by_report), ~_named([f"barred:{of.person_id}"]),
    )  # fmt: skip
    return statement.order_by(c.approval_id).limit(limit)


def proposals_page(state: str | None, owners: Owners, after: UUID, limit: int) -> Select[Any]:
    """A page of the proposals about opportunities of these owners."""
    of = proposal.c
    statement = select(*_PROPOSAL).where(of.proposal_id > after, owners.condition(of.owner_id))
    if state is not None:
        statement = statement.where(of.state == state)
    return statement.order_by(of.proposal_id).limit(limit)


def _named(names: Collection[str]) -> ColumnElement[bool]:
    """Whether a request waits for one of these names."""
    found = select(approver.c.name).where(
        approver.c.tenant_id == approval.c.tenant_id, approver.c.approval_id == approval.c.approval_id,
        among(approver.c.name, names),
    )  # fmt: skip
    return found.exists()


def _merged(found: Sequence[ApprovalRecord], limit: int) -> list[ApprovalRecord]:
    once = {each.approval_id: each for each in found}
    return [once[key] for key in sorted(once)][:limit]
