"""What becomes of dead letters: they are listed, taken to be handled again, or dismissed, in the order of their
key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from kit.aside.dead_letters import RETRY_AFTER, cut
from kit.contracts.events import Record
from kit.database import rows, tables
from kit.database.unit_of_work import Database
from kit.errors import InvalidEvent
from kit.ids import utc_now
from kit.observability.telemetry import DEAD_LETTERS_WAITING

_COUNT = select(func.count()).select_from(tables.dead_letter).where(tables.DEAD_LETTER_WAITS)
_LETTER = tables.dead_letter


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter without its payload."""

    dead_letter_id: UUID
    topic: str
    partition: int
    offset: int
    key: str
    code: str
    detail: str
    attempts: int
    holds: bool
    at: datetime
    retry_at: datetime | None
    replayed_at: datetime | None
    dismissed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A dead letter that is being replayed."""

    record: Record
    partition: int
    offset: int
    attempts: int
    holds: bool


class Dismissed(Enum):
    """The outcome of a request to dismiss a dead letter."""

    NOW = auto()
    NOT_FOUND = auto()
    SETTLED_BEFORE = auto()


async def list_dead_letters(
    session: AsyncSession, after: UUID | None, limit: int, *, settled: bool, code: str | None = None
) -> list[DeadLetterRecord]:
    """The tenant's dead letters in id order, without payloads; those that no longer wait only if asked for."""
    statement = select(*rows.columns(_LETTER, DeadLetterRecord)).order_by(_LETTER.c.dead_letter_id).limit(limit)
    if after is not None:
        statement = statement.where(_LETTER.c.dead_letter_id > after)
    if not settled:
        statement = statement.where(tables.DEAD_LETTER_WAITS)
    if code is not None:
        statement = statement.where(_LETTER.c.code == code)
    return await rows.records(session, statement, DeadLetterRecord)


async def dead_letter(session: AsyncSession, dead_letter_id: UUID) -> DeadLetterRecord | None:
    """One of the tenant's dead letters."""
    statement = select(*rows.columns(_LETTER, DeadLetterRecord)).where(_LETTER.c.dead_letter_id == dead_letter_id)
    return await rows.record(session, statement, DeadLetterRecord)


async def first_of_key(session: AsyncSession, topic: str, key: str) -> UUID | None:
    """The dead letter that the others of this key wait behind."""
    statement = (
        select(_LETTER.c.dead_letter_id)
        .where(_LETTER.c.topic == topic, _LETTER.c.key == key, _LETTER.c.holds, tables.DEAD_LETTER_WAITS)
        .order_by(_LETTER.c.position)
        .limit(1)
    )
    return (await session.execute(statement)).scalar()


async def take_dead_letter(session: AsyncSession, dead_letter_id: UUID) -> Taken | None:
    """The event, marked as replayed; None if it was replayed before, also meanwhile."""
    c = _LETTER.c
    statement = (
        update(_LETTER)
        .where(c.dead_letter_id == dead_letter_id, c.replayed_at.is_(None))
        .values(replayed_at=func.now(), retry_at=None)
        .returning(c.topic, c.key, c.value, c.headers, c.partition, c.offset, c.attempts, c.holds)
    )
    letter = (await session.execute(statement)).one_or_none()
    if letter is None:
        return None
    record = Record(letter.topic, letter.key, letter.value, letter.headers)
    return Taken(record, letter.partition, letter.offset, letter.attempts, letter.holds)


async def retry_next(session: AsyncSession, topic: str, key: str) -> UUID | None:
    """Have what waits next under this key handled now: nothing holds it any longer. Its id."""
    following = await first_of_key(session, topic, key)
    if following is not None:
        due = update(_LETTER).where(_LETTER.c.dead_letter_id == following).values(retry_at=func.now())
        await session.execute(due)
    return following


async def retry_all(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> int:
    """Have all of the tenant's that wait and meet the conditions handled again soon, each key in its order; how many
    are due."""
    earlier = _LETTER.alias()
    is_first = ~(
        select(earlier.c.position)
        .where(
            earlier.c.topic == _LETTER.c.topic,
            earlier.c.key == _LETTER.c.key,
            earlier.c.position < _LETTER.c.position,
            earlier.c.holds,
            earlier.c.replayed_at.is_(None),
            earlier.c.dismissed_at.is_(None),
        )
        .exists()
    )
    first = update(_LETTER).where(tables.DEAD_LETTER_WAITS, *conditions, is_first | ~_LETTER.c.holds)
    return len((await session.execute(first.values(retry_at=func.now()).returning(_LETTER.c.position))).all())


async def failed_again(session: AsyncSession, dead_letter_id: UUID, reason: InvalidEvent, *, permanent: bool) -> None:
    """Note that another attempt failed; the next one follows later, unless it is of no use or was the last."""
    c = _LETTER.c
    attempts = (await session.execute(select(c.attempts).where(c.dead_letter_id == dead_letter_id))).scalar_one()
    again = not permanent and attempts < len(RETRY_AFTER)
    noted = {
        "attempts": attempts + 1,
        "code": reason.code,
        "detail": cut(reason.detail),
        "retry_at": utc_now() + RETRY_AFTER[attempts] if again else None,
    }
    await session.execute(update(_LETTER).where(c.dead_letter_id == dead_letter_id).values(**noted))


async def dismiss_dead_letter(session: AsyncSession, dead_letter_id: UUID) -> Dismissed:
    """Let it wait no longer: it will never be handled. What waited behind it is handled now."""
    one = _LETTER.c.dead_letter_id == dead_letter_id
    dismissed = await dismiss_all(session, [one])
    if dismissed:
        return Dismissed.NOW
    known = (await session.execute(select(_LETTER.c.dead_letter_id).where(one))).scalar()
    return Dismissed.NOT_FOUND if known is None else Dismissed.SETTLED_BEFORE


async def dismiss_all(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> int:
    """Let all of the tenant's that wait and meet the conditions wait no longer; how many. What waited behind them is
    handled now."""
    c = _LETTER.c
    waiting = update(_LETTER).where(tables.DEAD_LETTER_WAITS, *conditions)
    done = (
        await session.execute(waiting.values(dismissed_at=func.now(), retry_at=None).returning(c.topic, c.key, c.holds))
    ).all()
    freed = {(letter.topic, letter.key) for letter in done if letter.holds}
    for topic, key in sorted(freed):
        await retry_next(session, topic, key)
    return len(done)


async def due_dead_letters(database: Database, at_most: int) -> list[tuple[str, UUID]]:
    """Tenant and id of those that are to be handled again now, of all tenants."""
    statement = text(
        "SELECT tenant_id, dead_letter_id FROM dead_letter "
        "WHERE retry_at <= now() AND replayed_at IS NULL AND dismissed_at IS NULL ORDER BY retry_at LIMIT :at_most"
    )
    async with database.as_relay() as connection:
        return [(row[0], row[1]) for row in await connection.execute(statement, {"at_most": at_most})]


async def tenants_with_dead_letters(database: Database, at_most: int) -> list[tuple[str, int]]:
    """Tenants and how many of their dead letters wait, most first."""
    statement = (
        select(_LETTER.c.tenant_id, func.count())
        .where(tables.DEAD_LETTER_WAITS)
        .group_by(_LETTER.c.tenant_id)
        .order_by(func.count().desc(), _LETTER.c.tenant_id)
        .limit(at_most)
    )
    async with database.as_relay() as connection:
        return [(row[0], row[1]) for row in await connection.execute(statement)]


async def measure_dead_letters(database: Database, service: str) -> None:
    """Set the gauge of those that wait, of all tenants."""
    async with database.as_relay() as connection:
        DEAD_LETTERS_WAITING.labels(service).set((await connection.execute(_COUNT)).scalar_one())
