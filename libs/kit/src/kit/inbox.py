"""Recognises events that were handled before."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_CLAIM = text(
    "INSERT INTO inbox (tenant_id, consumer, event_id)"
    " SELECT :tenant_id, :consumer, unnest(CAST(:ids AS uuid[]))"
    " ON CONFLICT DO NOTHING RETURNING event_id"
)


async def claim(session: AsyncSession, tenant_id: str, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """The ids that this consumer has not handled; they count as handled once the transaction commits.

    A second transaction that claims the same id meanwhile waits for the first and then gets nothing.
    """
    # One order for all, or two transactions that claim overlapping batches deadlock.
    parameters = {"tenant_id": tenant_id, "consumer": consumer, "ids": sorted(set(ids))}
    return set((await session.execute(_CLAIM, parameters)).scalars())
