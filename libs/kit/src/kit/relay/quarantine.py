"""Events that the broker refuses for good: set aside with all that follow them in their line, so that every other event
goes on. They wait until a person sends them again, once the cause is removed, or dismisses them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import tables
from kit.database.rows import columns, record, records
from kit.database.waiting import Waiting
from kit.relay.lease import Lease, LeaseLost, held

WAITING = Waiting("quarantined_events", tables.quarantined_event, "quarantined_at", "dismissed_at IS NULL")
# Setting aside and sending again wait for each other. Otherwise an event could be set aside behind one that has just
# left, and wait for nothing. The number is any constant; each service has a database of its own.
_IN_TURN = "SELECT pg_advisory_xact_lock(7235940123)"
_SAME_LINE = "q.topic = {0}.topic AND (q.whole_topic OR q.key = {0}.key) AND q.dismissed_at IS NULL"
_MOVED = "tenant_id, position, event_id, topic, key, value, headers, created_at"
# Of a row `o` of the outbox: one before it in its line is quarantined.
BLOCKED = f"EXISTS (SELECT FROM quarantined_event AS q WHERE {_SAME_LINE.format('o')})"
# No parameter reaches the text of these statements.
_SET_ASIDE = f"""
    WITH moved AS (DELETE FROM outbox AS o WHERE position = ANY($4::bigint[]) AND {held(5)} {{}} RETURNING {_MOVED})
    INSERT INTO quarantined_event ({_MOVED}, code, detail, whole_topic) SELECT {_MOVED}, $1, $2, $3 FROM moved
"""  # noqa: S608
_SET_GUILTY_ASIDE = _SET_ASIDE.format("")
_SET_REST_ASIDE = _SET_ASIDE.format(f"AND {BLOCKED}")
_FREE = text(f"""
    WITH freed AS (
        DELETE FROM quarantined_event AS q USING quarantined_event AS named
        WHERE named.tenant_id = :tenant_id AND named.position = :position AND named.dismissed_at IS NULL
          AND q.tenant_id = named.tenant_id AND q.topic = named.topic AND q.dismissed_at IS NULL
          AND (q.key = named.key OR named.whole_topic)
        RETURNING q.*
    ), returned AS (
        INSERT INTO outbox ({_MOVED}) OVERRIDING SYSTEM VALUE SELECT {_MOVED} FROM freed RETURNING position
    )
    SELECT count(*) FROM returned
""")  # noqa: S608
BEHIND = "behind"
_REPLY_SECONDS = 10


@dataclass(frozen=True)
class QuarantinedEvent:
    """An event in quarantine, without its payload. `position` names it; `whole_topic` says that its line is its topic,
    and not its key alone."""

    position: int
    event_id: UUID
    topic: str
    key: str
    whole_topic: bool
    code: str
    detail: str
    created_at: datetime
    quarantined_at: datetime
    dismissed_at: datetime | None


_table = tables.quarantined_event
_COLUMNS = columns(_table, QuarantinedEvent)


async def set_aside(
    connection: asyncpg.Connection, lease: Lease, position: int, code: str, detail: str, *, whole_topic: bool
) -> None:
    """Move an event from the outbox into quarantine, which blocks its line. LeaseLost when another may lead by now."""
    await _move(connection, _SET_GUILTY_ASIDE, lease, [position], code, detail, whole_topic)


async def set_rest_aside(
    connection: asyncpg.Connection, lease: Lease, positions: Sequence[int], *, whole_topic: bool
) -> None:
    """Move events after those of their line that are in quarantine already."""
    await _move(connection, _SET_REST_ASIDE, lease, positions, BEHIND, "An event before it was refused.", whole_topic)


async def _move(
    connection: asyncpg.Connection,
    statement: str,
    lease: Lease,
    positions: Sequence[int],
    code: str,
    detail: str,
    whole_topic: bool,
) -> None:
    async with connection.transaction():
        await connection.execute(_IN_TURN, timeout=_REPLY_SECONDS)
        if not await lease.hold(connection):
            raise LeaseLost
        await connection.execute(statement, code, detail, whole_topic, positions, *lease.key, timeout=_REPLY_SECONDS)


async def list_quarantined(
    session: AsyncSession, after: int | None, limit: int, *, dismissed: bool
) -> list[QuarantinedEvent]:
    """The tenant's quarantined events in the order in which they were published."""
    statement = select(*_COLUMNS).order_by(_table.c.position).limit(limit)
    if after is not None:
        statement = statement.where(_table.c.position > after)
    if not dismissed:
        statement = statement.where(tables.QUARANTINE_HOLDS)
    return await records(session, statement, QuarantinedEvent)


async def find_quarantined(session: AsyncSession, position: int) -> QuarantinedEvent | None:
    """One of the tenant's, also when it was dismissed."""
    return await record(session, select(*_COLUMNS).where(_table.c.position == position), QuarantinedEvent)


async def send_again(session: AsyncSession, tenant_id: str, position: int) -> int:
    """Give all that waits in the line of this event back to the outbox, each to its place; how many."""
    await session.execute(text(_IN_TURN))
    return (await session.execute(_FREE, {"tenant_id": tenant_id, "position": position})).scalar_one()


async def dismiss(session: AsyncSession, position: int) -> bool:
    """Let an event wait no longer: it will never be sent. False when it does not wait."""
    one = update(_table).where(_table.c.position == position, tables.QUARANTINE_HOLDS)
    statement = one.values(dismissed_at=func.now()).returning(_table.c.position)
    return (await session.execute(statement)).one_or_none() is not None


async def dismiss_topic(session: AsyncSession, topic: str) -> int:
    """Let nothing of a topic wait any longer; how many did."""
    of_topic = update(_table).where(_table.c.topic == topic, tables.QUARANTINE_HOLDS)
    statement = of_topic.values(dismissed_at=func.now()).returning(_table.c.position)
    return len((await session.execute(statement)).all())
