"""The tables every service has beside its own. Core tables: they are on the hot path."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

metadata = MetaData()


def table_base() -> type[SQLModel]:
    """A base class for one service's tables, with metadata of its own, so that two services that both have an
    `opportunity` can live in one process."""

    class Base(SQLModel, registry=registry(metadata=MetaData())):
        pass

    return Base


outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("topic", String, nullable=False),
    Column("key", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    # It is never searched: text costs least to write and read.
    Column("headers", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

inbox = Table(
    "inbox",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("consumer", String, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("status", Integer),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

audit = Table(
    "audit",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("audit_id", Uuid, primary_key=True),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("trace_id", String, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

DEAD_LETTER_WAITS = text("replayed_at IS NULL AND dismissed_at IS NULL")

dead_letter = Table(
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
    Index("dead_letter_waiting", "tenant_id", "dead_letter_id", postgresql_where=DEAD_LETTER_WAITS),
)
