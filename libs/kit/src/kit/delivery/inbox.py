"""Recognises events that were handled before."""

from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from kit.database.bulk import driver_of
from kit.database.unit_of_work import UnitOfWork, is_plain

_CLAIM = (
    "INSERT INTO inbox (tenant_id, consumer, event_id) SELECT $1, $2, unnest($3::uuid[])"
    " ON CONFLICT DO NOTHING RETURNING event_id"
)
_OURS = (
    "SELECT event_id FROM inbox WHERE tenant_id = $1 AND consumer = $2 AND event_id = any($3)"
    " AND xmin = pg_current_xact_id()::xid"
)


async def claim(session: AsyncSession, tenant_id: str, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """The ids that this consumer has not handled; they count as handled once the transaction commits.

    A second transaction that claims the same id meanwhile waits for the first and then gets nothing.
    """
    found = await (await driver_of(session)).fetch(_CLAIM, tenant_id, consumer, _ordered(ids))
    return {row[0] for row in found}


def opening(tenant_id: str, consumer: str, ids: Sequence[UUID]) -> str:
    """The claim as the opening of a transaction, which saves a message to the server; empty where a name would have to
    be quoted."""
    if not (is_plain(tenant_id) and is_plain(consumer)):
        return ""
    listed = ",".join(map(str, _ordered(ids)))
    return (
        f"INSERT INTO inbox (tenant_id, consumer, event_id) SELECT '{tenant_id}', '{consumer}',"
        f" unnest('{{{listed}}}'::uuid[]) ON CONFLICT DO NOTHING"
    )


async def claimed(uow: UnitOfWork, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """What the transaction, if it was opened with these, has claimed; otherwise claim them now."""
    if not uow.opened.startswith("INSERT"):
        return await claim(uow.session, uow.tenant_id, consumer, ids)
    wanted = set(ids)
    if uow.opened == f"INSERT 0 {len(wanted)}":
        return wanted
    found = await (await driver_of(uow.session)).fetch(_OURS, uow.tenant_id, consumer, list(wanted))
    return {row[0] for row in found}


def _ordered(ids: Sequence[UUID]) -> list[UUID]:
    # One order for all, or two transactions that claim overlapping batches deadlock.
    return sorted(set(ids), key=attrgetter("int"))
