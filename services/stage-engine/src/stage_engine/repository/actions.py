"""Actions: what was asked for, and what became of it."""

from collections.abc import Collection, Sequence
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.database.sets import among
from kit.http.ownership import Owners
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.actions import ActionState
from stage_engine.models.opportunities import opportunity
from stage_engine.models.work import action
from stage_engine.records.work import ActionRecord, SettledAction

_ACTION = columns(action, ActionRecord)


class ActionRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def add(self, actions: Sequence[ActionRecord]) -> None:
        """Append, with the commit. The same action is asked for once."""
        bulk.defer(self._session, action, actions, conflict="DO NOTHING")

    async def settle(self, found: Sequence[SettledAction]) -> set[UUID]:
        """Settle those of these that are open; their ids."""
        where, values = "kept.state = $1", [ActionState.OPEN.value]
        return await bulk.update(self._session, action, self._tenant_id, "action_id", found, where=where, values=values)

    async def one(self, action_id: UUID) -> ActionRecord | None:
        """The action, about an opportunity of any owner."""
        return await record(self._session, select(*_ACTION).where(action.c.action_id == action_id), ActionRecord)

    async def these(self, action_ids: Collection[UUID]) -> list[ActionRecord]:
        """Those of these that exist."""
        return await records(self._session, select(*_ACTION).where(among(action.c.action_id, action_ids)), ActionRecord)

    async def of(self, opportunity_id: str, after: UUID, limit: int) -> list[ActionRecord]:
        """The actions about one opportunity, in the order in which they were asked for."""
        statement = select(*_ACTION).where(action.c.opportunity_id == opportunity_id, action.c.action_id > after)
        return await records(self._session, statement.order_by(action.c.action_id).limit(limit), ActionRecord)

    async def open_of(self, opportunity_id: str, limit: int) -> list[ActionRecord]:
        """Those about one opportunity that are not settled, the oldest first."""
        of = action.c
        statement = select(*_ACTION).where(of.opportunity_id == opportunity_id, of.state == ActionState.OPEN)
        return await records(self._session, statement.order_by(of.action_id).limit(limit), ActionRecord)

    async def many(
        self, state: str | None, kind: str | None, owners: Owners, after: UUID, limit: int
    ) -> list[ActionRecord]:
        """The actions in a state and of a kind, or of all, about opportunities of these owners."""
        statement = select(*_ACTION).where(action.c.action_id > after)
        if kind is not None:
            statement = statement.where(action.c.kind == kind)
        if state is not None:
            statement = statement.where(action.c.state == state)
        if not owners.are_all:
            seen = select(opportunity.c.opportunity_id).where(owners.condition(opportunity.c.owner_id))
            statement = statement.where(among(action.c.opportunity_id, seen))
        return await records(self._session, statement.order_by(action.c.action_id).limit(limit), ActionRecord)
