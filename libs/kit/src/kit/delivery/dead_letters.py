"""Events that could not be handled: kept in the database with their origin, announced on `<topic>.dlq.<group>`, and
counted until a person replays them, once the cause is removed, or dismisses them."""

from enum import Enum, auto
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import tables
from kit.database.unit_of_work import Database
from kit.errors import InvalidEvent
from kit.events import Record
from kit.telemetry import DEAD_LETTERS_WAITING

# The tenant of events whose own cannot be read.
UNKNOWN_TENANT = "-"
_NAMESPACE = UUID("5b0f5e55-3d53-4d0a-9c39-8f1f5b0c6a52")
_COUNT = select(func.count()).select_from(tables.dead_letter).where(tables.DEAD_LETTER_WAITS)


class Dismissed(Enum):
    """The outcome of a request to dismiss a dead letter."""

    NOW = auto()
    NOT_FOUND = auto()
    SETTLED_BEFORE = auto()


async def dead_letter(
    database: Database,
    group: str,
    record: Record,
    invalid: InvalidEvent,
    attempts: int,
    partition: int,
    offset: int,
) -> None:
    """Keep the event and announce it, in one transaction; the same offset again changes nothing."""
    row: dict[str, Any] = {
        "tenant_id": _storable(record.headers.get("ce_tenantid") or UNKNOWN_TENANT),
        "dead_letter_id": uuid5(_NAMESPACE, f"{group}/{record.topic}/{partition}/{offset}"),
        "topic": record.topic,
        "partition": partition,
        "offset": offset,
        "key": _storable(record.key),
        "value": record.value,
        "headers": {_storable(name): _storable(value) for name, value in record.headers.items()},
        "code": invalid.code,
        "detail": _storable(invalid.detail[:500]),
        "attempts": attempts,
    }
    origin = {f"dlq-{name}": str(row[name]) for name in ("topic", "partition", "offset", "code", "detail", "attempts")}
    async with database.unit_of_work(row["tenant_id"]) as uow:
        statement = insert(tables.dead_letter).values(row).on_conflict_do_nothing()
        if (await uow.session.execute(statement.returning(tables.dead_letter.c.dead_letter_id))).scalar() is None:
            return
        announced = tables.outbox.insert().values(
            event_id=row["dead_letter_id"],
            topic=f"{record.topic}.dlq.{group}",
            headers={**row["headers"], **origin, "dlq-group": group},
            **{name: row[name] for name in ("tenant_id", "key", "value")},
        )
        await uow.session.execute(announced)
        uow.after_commit(database.on_events)


async def list_dead_letters(
    session: AsyncSession, after: UUID | None, limit: int, *, settled: bool
) -> list[dict[str, Any]]:
    """The tenant's dead letters in id order, without payloads; those that no longer wait only if asked for."""
    table = tables.dead_letter
    columns = [c for c in table.c if c.name not in ("value", "headers", "key")]
    statement = select(*columns).order_by(table.c.dead_letter_id).limit(limit)
    if after is not None:
        statement = statement.where(table.c.dead_letter_id > after)
    if not settled:
        statement = statement.where(tables.DEAD_LETTER_WAITS)
    return [dict(row) for row in (await session.execute(statement)).mappings()]


async def take_dead_letter(session: AsyncSession, dead_letter_id: UUID) -> tuple[Record, int, int] | None:
    """The event with its partition and offset, marked as replayed; None if it is not the tenant's."""
    table = tables.dead_letter
    statement = (
        update(table)
        .where(table.c.dead_letter_id == dead_letter_id)
        .values(replayed_at=func.now())
        .returning(table.c.topic, table.c.key, table.c.value, table.c.headers, table.c.partition, table.c.offset)
    )
    letter = (await session.execute(statement)).one_or_none()
    if letter is None:
        return None
    return Record(letter.topic, letter.key, letter.value, letter.headers), letter.partition, letter.offset


async def dismiss_dead_letter(session: AsyncSession, dead_letter_id: UUID) -> Dismissed:
    """Let it wait no longer: it will never be handled."""
    table = tables.dead_letter
    one = table.c.dead_letter_id == dead_letter_id
    waiting = update(table).where(one, tables.DEAD_LETTER_WAITS).values(dismissed_at=func.now())
    if (await session.execute(waiting.returning(table.c.dead_letter_id))).scalar() is not None:
        return Dismissed.NOW
    known = (await session.execute(select(table.c.dead_letter_id).where(one))).scalar()
    return Dismissed.NOT_FOUND if known is None else Dismissed.SETTLED_BEFORE


async def measure_dead_letters(database: Database, service: str) -> None:
    """Set the gauge of those that wait, of all tenants."""
    async with database.as_relay() as connection:
        DEAD_LETTERS_WAITING.labels(service).set((await connection.execute(_COUNT)).scalar_one())


def _storable(text: str) -> str:
    return text.replace("\x00", "�")
