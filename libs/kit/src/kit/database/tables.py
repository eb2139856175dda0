"""The tables every service has beside its own. Core tables: they are on the hot path."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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

# Events that the broker refuses for good, and those behind them in their line: of the same topic and key, or of a
# partner's topic.
QUARANTINE_HOLDS = text("dismissed_at IS NULL")

quarantined_event = Table(
    "quarantined_event",
    metadata,
    Column("tenant_id", String, primary_key=True),
    # The place in the outbox, which it gets back when it is sent again.
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Uuid, nullable=False),
    Column("topic", String, nullable=False),
    Column("key", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("whole_topic", Boolean, nullable=False),
    Column("code", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("quarantined_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("dismissed_at", DateTime(timezone=True)),
    Index("quarantined_event_line", "topic", "key", postgresql_where=QUARANTINE_HOLDS),
    Index("quarantined_event_since", "quarantined_at", postgresql_where=QUARANTINE_HOLDS),
)

# A lead that ends by itself: the holder of the row leads until it expires, or is renewed. See kit.relay.lease.
lease = Table(
    "lease",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    # The server's process that serves the holder's session.
    Column("backend", Integer, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
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
    # The order in which they were set aside.
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("code", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Whether later events of its key wait behind it. Not behind one that was handled, and rejected.
    Column("holds", Boolean, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # When it is handled again without a person; null when a person decides.
    Column("retry_at", DateTime(timezone=True)),
    Column("replayed_at", DateTime(timezone=True)),
    Column("dismissed_at", DateTime(timezone=True)),
    Index("dead_letter_waiting", "tenant_id", "dead_letter_id", postgresql_where=DEAD_LETTER_WAITS),
    Index("dead_letter_key", "tenant_id", "topic", "key", "position", postgresql_where=DEAD_LETTER_WAITS),
    Index("dead_letter_due", "retry_at", postgresql_where=DEAD_LETTER_WAITS),
)

parked = Table(
    "parked",
    metadata,
    Column("tenant_id", String, primary_key=True),
    # The order of arrival.
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("what", String, nullable=False),
    Column("item", String, nullable=False),
    Column("waits_for", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("parked_for", "tenant_id", "what", "waits_for", "position"),
    Index("parked_item", "tenant_id", "what", "item", unique=True),
    Index("parked_key", "tenant_id", "what", "key"),
    Index("parked_waiting", "parked_at"),
)

# Users of the CRM, by whom tokens are matched to people: see kit.database.people.
person = Table(
    "person",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("person_id", String, primary_key=True),
    Column("active", Boolean, nullable=False),
    # Empty for none.
    Column("manager_id", String, nullable=False),
    # Digests of what else a token may name the person by; empty for what the CRM does not hold.
    Column("federation_id", String, nullable=False),
    Column("username", String, nullable=False),
    Column("email", String, nullable=False),
    Column("committed_at", DateTime(timezone=True), nullable=False),
    # The number of the event; the highest counts.
    Column("observed_no", BigInteger, nullable=False),
    Index("person_manager", "tenant_id", "manager_id"),
    *(Index(f"person_{claim}", "tenant_id", claim) for claim in ("federation_id", "username", "email")),
)

# Who reports to whom, directly or through others: derived from `person` whenever a manager changes.
team = Table(
    "team",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("manager_id", String, primary_key=True),
    Column("person_id", String, primary_key=True),
    Index("team_of_person", "tenant_id", "person_id"),
)

# Callers whose token names no user of the CRM that is known.
unmatched_person = Table(
    "unmatched_person",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("subject", String, primary_key=True),
    # What was looked for; empty for a token without the claim.
    Column("claim", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("count", BigInteger, nullable=False),
)
