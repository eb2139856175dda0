"""The queue of actions that are not settled."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.actions import ActionKind, ActionState, QueuedAction
from crm_connector.models import action_queue

_QUEUED = columns(action_queue, QueuedAction)
_q = action_queue.c


class ActionRepository:
    """The actions of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def add(self, actions: Sequence[QueuedAction]) -> None:
        """Queue these, with the commit; one that is queued stays as it is."""
        bulk.defer(self._session, action_queue, actions, conflict="DO NOTHING")

    async def due(self, now: datetime, limit: int) -> list[QueuedAction]:
        """Those to send or to find out about, the oldest first."""
        statement = select(*_QUEUED).where(_q.tenant_id == self._tenant_id, _q.due_at <= now)
        return await records(self._session, statement.order_by(_q.due_at).limit(limit), QueuedAction)

    async def of_kind(self, kind: ActionKind, opportunity_ids: Collection[str]) -> list[QueuedAction]:
        """Those about these records."""
        statement = select(*_QUEUED).where(_q.tenant_id == self._tenant_id, _q.kind == kind)
        return await records(self._session, statement.where(among(_q.opportunity_id, opportunity_ids)), QueuedAction)

    async def keep(self, actions: Sequence[QueuedAction]) -> None:
        """Write back how far these are."""
        await bulk.update(self._session, action_queue, self._tenant_id, "action_id", actions)

    async def remove(self, action_ids: Collection[UUID]) -> set[UUID]:
        """Take these out; those that were there."""
        if not action_ids:
            return set()
        statement = delete(action_queue).where(_q.tenant_id == self._tenant_id, among(_q.action_id, action_ids))
        return set((await self._session.execute(statement.returning(_q.action_id))).scalars())

    async def abandon_sent(self, now: datetime) -> None:
        """Let it be found out at once what became of all that were sent."""
        sent = (_q.tenant_id == self._tenant_id, _q.state == ActionState.SENT)
        await self._session.execute(update(action_queue).where(*sent).values(due_at=now))
