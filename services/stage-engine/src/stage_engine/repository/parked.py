"""Inputs that wait for an opportunity or a pipeline."""

from collections.abc import Collection, Sequence

from kit.database import bulk
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models import parked_event
from stage_engine.records import ParkedRecord

_AT_ONCE = 1000


class ParkedRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def park(self, found: Sequence[ParkedRecord]) -> None:
        """Keep these, in this order."""
        await bulk.insert(self._session, parked_event, self._tenant_id, found)

    async def count(self, kind: str, at_most: int) -> int:
        """How many of this kind wait; counted no further than asked."""
        some = select(parked_event.c.parked_no).where(parked_event.c.kind == kind).limit(at_most).subquery()
        return (await self._session.execute(select(func.count()).select_from(some))).scalar_one()

    async def take(self, kind: str, opportunity_ids: Collection[str] | None = None) -> list[bytes]:
        """Remove what waits and return it in the order it came; of these opportunities, or of all."""
        payloads: list[bytes] = []
        while batch := await self._take_some(kind, opportunity_ids):
            payloads += batch
        return payloads

    async def _take_some(self, kind: str, opportunity_ids: Collection[str] | None) -> list[bytes]:
        chosen = select(parked_event.c.parked_no).where(parked_event.c.kind == kind)
        if opportunity_ids is not None:
            chosen = chosen.where(parked_event.c.opportunity_id.in_(sorted(opportunity_ids)))
        chosen = chosen.order_by(parked_event.c.parked_no).limit(_AT_ONCE)
        statement = (
            delete(parked_event)
            .where(parked_event.c.tenant_id == self._tenant_id, parked_event.c.parked_no.in_(chosen))
            .returning(parked_event.c.parked_no, parked_event.c.payload)
        )
        found = sorted((await self._session.execute(statement)).all())
        return [payload for _, payload in found]
