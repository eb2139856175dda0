"""Recognises events that were handled before, and those whose key is held by a dead letter."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from kit.contracts.events import Received
from kit.database.bulk import driver_of
from kit.database.unit_of_work import UnitOfWork

# With a dead letter of the tenant, this claims nothing, and what is held is looked up.
_CLAIM = """
    INSERT INTO inbox (tenant_id, consumer, event_id)
    SELECT $1::varchar, $2::varchar, unnest($3::uuid[])
    WHERE NOT $4::boolean OR NOT EXISTS (
        SELECT FROM dead_letter
        WHERE tenant_id = $1::varchar AND holds AND replayed_at IS NULL AND dismissed_at IS NULL
    )
    ON CONFLICT DO NOTHING
    RETURNING event_id
"""
# FOR SHARE: one that is being replayed is waited for, and then holds nothing more. An event that was handled before is
# a duplicate, whatever holds its key.
_HELD = """
    SELECT given.event_id
    FROM unnest($3::uuid[], $4::text[], $5::text[]) AS given (event_id, topic, key)
    CROSS JOIN LATERAL (
        SELECT FROM dead_letter AS letter
        WHERE letter.tenant_id = $1::varchar AND letter.topic = given.topic AND letter.key = given.key AND letter.holds
            AND letter.replayed_at IS NULL AND letter.dismissed_at IS NULL
        ORDER BY letter.position
        LIMIT 1
        FOR SHARE
    ) AS first
    WHERE NOT EXISTS (
        SELECT FROM inbox WHERE tenant_id = $1::varchar AND consumer = $2::varchar AND inbox.event_id = given.event_id
    )
"""


class Claim(NamedTuple):
    """Which events may be handled now, and which wait behind a dead letter of their key; the others were handled."""

    new: set[UUID]
    held: set[UUID]


async def claim(uow: UnitOfWork, consumer: str, events: Sequence[Received[Any]], *, replayed: bool = False) -> Claim:
    """The events that this consumer has not handled; they count as handled once the transaction commits. One that is
    `replayed` is not held.

    A second transaction that claims the same id meanwhile waits for the first and then gets nothing.
    """
    driver = await driver_of(uow.session)
    # One order for all, or two transactions that claim overlapping batches deadlock.
    ids = sorted({event.id for event in events}, key=attrgetter("int"))
    new = {row[0] for row in await driver.fetch(_CLAIM, uow.tenant_id, consumer, ids, not replayed)}
    if replayed or len(new) == len(ids):
        return Claim(new, set())
    by_id = {event.id: event.record for event in events if event.id not in new}
    topics, keys = [record.topic for record in by_id.values()], [record.key for record in by_id.values()]
    held = {row[0] for row in await driver.fetch(_HELD, uow.tenant_id, consumer, list(by_id), topics, keys)}
    free = [id for id in ids if id in by_id and id not in held]
    new |= {row[0] for row in await driver.fetch(_CLAIM, uow.tenant_id, consumer, free, False)}
    return Claim(new, held)
