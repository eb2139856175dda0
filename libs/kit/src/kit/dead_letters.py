"""Events that could not be handled: kept in the database with their origin, announced on `<topic>.dlq.<group>`, and
counted until a person replays them, after the cause is mended, or dismisses them, for they never meant anything."""

from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Uuid,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from kit.db import Database
from kit.errors import ConflictProblem, InvalidEvent, NotFoundProblem
from kit.events import Record
from kit.tables import metadata, outbox
from kit.telemetry import DEAD_LETTERS_WAITING

# Events without a readable tenant have to belong to somebody.
UNKNOWN_TENANT = "-"
_NAMESPACE = UUID("5b0f5e55-3d53-4d0a-9c39-8f1f5b0c6a52")
_WAITS = text("replayed_at IS NULL AND dismissed_at IS NULL")

dead_letter_table = Table(
    "dead_letter",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("dead_letter_id", Uuid, primary_key=True),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("code", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("replayed_at", DateTime(timezone=True)),
    Column("dismissed_at", DateTime(timezone=True)),
    Index("dead_letter_waiting", "tenant_id", "dead_letter_id", postgresql_where=_WAITS),
)
_COUNT = select(func.count()).select_from(dead_letter_table).where(_WAITS)


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
    tenant_id = record.headers.get("ce_tenantid") or UNKNOWN_TENANT
    letter_id = uuid5(_NAMESPACE, f"{group}/{record.topic}/{partition}/{offset}")
    headers = _storable(record.headers)
    origin = {
        "dlq-topic": record.topic,
        "dlq-partition": str(partition),
        "dlq-offset": str(offset),
        "dlq-group": group,
        "dlq-code": invalid.code,
        "dlq-detail": invalid.detail[:500].replace("\x00", "�"),
        "dlq-attempts": str(attempts),
    }
    row: dict[str, Any] = {
        "tenant_id": tenant_id.replace("\x00", "�"),
        "dead_letter_id": letter_id,
        "topic": record.topic,
        "partition": partition,
        "offset": offset,
        "key": record.key.replace("\x00", "�"),
        "value": record.value,
        "headers": headers,
        "code": invalid.code,
        "detail": origin["dlq-detail"],
        "attempts": attempts,
    }
    async with database.unit_of_work(row["tenant_id"]) as uow:
        statement = insert(dead_letter_table).values(row).on_conflict_do_nothing()
        inserted = (await uow.session.execute(statement.returning(dead_letter_table.c.dead_letter_id))).scalar()
        if inserted is not None:
            await uow.session.execute(
                outbox.insert().values(
                    tenant_id=row["tenant_id"],
                    event_id=letter_id,
                    topic=f"{record.topic}.dlq.{group}",
                    key=row["key"],
                    value=record.value,
                    headers={**headers, **origin},
                )
            )
            uow.after_commit(database.on_events)


async def list_dead_letters(
    session: AsyncSession, after: UUID | None, limit: int, *, settled: bool
) -> list[dict[str, Any]]:
    """The tenant's dead letters in id order, without payloads; those that no longer wait only if asked for."""
    table = dead_letter_table
    columns = [c for c in table.c if c.name not in ("value", "headers", "key")]
    statement = select(*columns).order_by(table.c.dead_letter_id).limit(limit)
    if after is not None:
        statement = statement.where(table.c.dead_letter_id > after)
    if not settled:
        statement = statement.where(_WAITS)
    return [dict(row) for row in (await session.execute(statement)).mappings()]


async def take_dead_letter(session: AsyncSession, dead_letter_id: UUID) -> tuple[Record, int, int]:
    """The event with its partition and offset, marked as replayed. NotFoundProblem if it is not the tenant's."""
    table = dead_letter_table
    statement = (
        update(table)
        .where(table.c.dead_letter_id == dead_letter_id)
        .values(replayed_at=text("now()"))
        .returning(table.c.topic, table.c.key, table.c.value, table.c.headers, table.c.partition, table.c.offset)
    )
    letter = (await session.execute(statement)).one_or_none()
    if letter is None:
        raise NotFoundProblem(f"no dead letter {dead_letter_id}")
    return Record(letter.topic, letter.key, letter.value, letter.headers), letter.partition, letter.offset


async def dismiss_dead_letter(session: AsyncSession, dead_letter_id: UUID) -> None:
    """Let it wait no longer: it will never be handled. NotFoundProblem if it is not the tenant's, ConflictProblem if it
    does not wait."""
    table = dead_letter_table
    one = table.c.dead_letter_id == dead_letter_id
    dismissed = update(table).where(one, _WAITS).values(dismissed_at=text("now()")).returning(table.c.dead_letter_id)
    if (await session.execute(dismissed)).scalar() is not None:
        return
    if (await session.execute(select(table.c.dead_letter_id).where(one))).scalar() is None:
        raise NotFoundProblem(f"no dead letter {dead_letter_id}")
    raise ConflictProblem(
        f"the dead letter {dead_letter_id} was replayed or dismissed before", code="dead_letter_settled"
    )


async def measure_dead_letters(database: Database, service: str) -> None:
    """Set the gauge of those that wait, of all tenants."""
    async with database.as_relay() as connection:
        DEAD_LETTERS_WAITING.labels(service).set((await connection.execute(_COUNT)).scalar_one())


def _storable(headers: Any) -> dict[str, str]:
    return {name.replace("\x00", "�"): value.replace("\x00", "�") for name, value in headers.items()}
