"""Recognises events that were handled before."""

from collections.abc import Sequence
from operator import attrgetter
from uuid import UUID

from kit.database.bulk import driver_of
from kit.database.unit_of_work import UnitOfWork

_CLAIM = """
    INSERT INTO inbox (tenant_id, consumer, event_id)
    SELECT $1, $2, unnest($3::uuid[])
    ON CONFLICT DO NOTHING
    RETURNING event_id
"""


async def claim(uow: UnitOfWork, consumer: str, ids: Sequence[UUID]) -> set[UUID]:
    """The ids that this consumer has not handled; they count as handled once the transaction commits.

    A second transaction that claims the same id meanwhile waits for the first and then gets nothing.
    """
    # One order for all, or two transactions that claim overlapping batches deadlock.
    ordered = sorted(set(ids), key=attrgetter("int"))
    found = await (await driver_of(uow.session)).fetch(_CLAIM, uow.tenant_id, consumer, ordered)
    return {row[0] for row in found}
