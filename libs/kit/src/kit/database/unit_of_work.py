"""Transactions: one per request or consumed batch, always on behalf of one tenant.

Row-level security reads the transaction-local setting `app.tenant_id`; without it no row is visible.
"""

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from google.protobuf.message import Message
from sqlalchemy import event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from kit.database import bulk
from kit.database.resources import Resources
from kit.database.tables import outbox
from kit.events import Event, Received
from kit.settings import ServiceSettings
from kit.telemetry import EVENTS_PUBLISHED, current_traceparent

# Each execution is planned for its parameters and for the size that tables have by then. A plan kept from when a table
# was small would read all of it when it is large.
_PLANS = {"plan_cache_mode": "force_custom_plan"}
# What the driver sends to commit.
_COMMIT = "COMMIT;"
_AS_TENANT = text("SELECT set_config('app.tenant_id', :tenant_id, true)")


class UnitOfWork:
    """A transaction of one tenant with the events it causes: both are committed, or neither is."""

    def __init__(self, session: AsyncSession, tenant_id: str, source: str, prefix: str, resources: Resources) -> None:
        self.session = session
        self.tenant_id = tenant_id
        self.resources = resources
        self._source = source
        self._prefix = prefix
        self._outgoing: list[Event] = []
        self.published = 0
        self._callbacks: list[Callable[[], None]] = []

    def publish(
        self,
        message: Message,
        *,
        sequence: int,
        cause: Received[Any] | None = None,
        traceparent: str | None = None,
        topic: str = "",
        **given: Any,
    ) -> Event:
        """Queue an event for the outbox. It continues the trace of `cause`, the consumed event it follows from, or
        that of `traceparent`, or else that of the request. `topic` overrides the contract's (partner feeds); `id` and
        `time` may be given."""
        if traceparent is None:
            traceparent = cause.traceparent if cause is not None else current_traceparent()
        event = Event(self.tenant_id, message, sequence, traceparent, topic, **given)
        self._outgoing.append(event)
        return event

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this once the transaction is durable; it must not block or fail."""
        self._callbacks.append(callback)

    async def flush(self) -> None:
        """Write the deferred rows, and the queued events as outbox rows, in the order they were published. Every commit
        does so first; it is needed before deferred rows are read."""
        events, self._outgoing = self._outgoing, []
        rows = [event.row(self._source, self._prefix) for event in events]
        bulk.defer(self.session, outbox, rows)
        await bulk.write_deferred(self.session, self.tenant_id)
        for topic, count in Counter(row["topic"] for row in rows).items():
            EVENTS_PUBLISHED.labels(self._source, topic).inc(count)
        self.published += len(rows)

    def committed(self) -> None:
        """Run the callbacks; called by the edge that committed."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Database:
    """The service's database, reached as its application role."""

    def __init__(self, settings: ServiceSettings, resources: Resources | None = None) -> None:
        self.resources = resources or Resources()
        self._source = settings.service
        self._prefix = settings.topic_prefix
        self._relay_role = f"{settings.package}_relay"
        # Left to itself the driver would encrypt where the server offers it, and not check which server it is.
        tls = {"ssl": ssl.create_default_context(cafile=settings.database_tls_ca_file)} if settings.database_tls else {}
        self.engine = create_async_engine(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            # Without a free one a caller waits: a connection beyond the pool would be opened and closed for each use.
            max_overflow=0,
            pool_timeout=10,
            connect_args={
                "connection_class": _Connection,
                "server_settings": {"application_name": settings.service, **_PLANS},
                **tls,
            },
            # Errors go to logs, to /statusz and into dead letters; parameters are payloads.
            hide_parameters=True,
        )
        event.listen(self.engine.sync_engine, "checkout", _renew_if_closed)
        event.listen(self.engine.sync_engine, "checkin", _close_if_unfinished)
        self.on_events: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def unit_of_work(self, tenant_id: str) -> AsyncIterator[UnitOfWork]:
        """A transaction that commits at the end of the block, with its events, or rolls back on any error."""
        async with AsyncSession(self.engine, expire_on_commit=False, autoflush=False) as session, session.begin():
            await session.execute(_AS_TENANT, {"tenant_id": tenant_id})
            uow = UnitOfWork(session, tenant_id, self._source, self._prefix, self.resources)
            yield uow
            await uow.flush()
        if uow.published:
            self.on_events()
        uow.committed()

    @asynccontextmanager
    async def as_relay(self) -> AsyncIterator[AsyncConnection]:
        """A transaction in the role that sees every tenant's outbox and nothing else but what is to be pruned."""
        async with self.engine.begin() as connection:
            await connection.execute(text(f'SET LOCAL ROLE "{self._relay_role}"'))
            yield connection

    @asynccontextmanager
    async def held_by_relay(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection beside the pool's, in the relay's role, every statement a transaction of its own. These do not
        wait for the disk: should the server crash, it may forget the last ones."""
        async with self.engine.connect() as connection:
            assert connection.sync_connection is not None
            driver = await bulk.driver_below(connection)
            connection.sync_connection.detach()
            await driver.execute(f'SET ROLE "{self._relay_role}"; SET synchronous_commit = off')
            yield driver

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()


class _Connection(asyncpg.Connection):
    """A connection whose commit fails when the transaction cannot be committed."""

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """The server's reply. After a failed statement PostgreSQL answers COMMIT with ROLLBACK, and no error: a
        handler that swallowed the failure would pass for one that succeeded."""
        reply = await super().execute(query, *args, **options)
        if query == _COMMIT and reply != "COMMIT":
            raise asyncpg.InFailedSQLTransactionError("The transaction was rolled back: a statement in it had failed.")
        return reply


def _renew_if_closed(connection: Any, *_: Any) -> None:
    """Lend no connection that the server has closed; the others of its age are most likely closed as well."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _close_if_unfinished(connection: Any, record: Any) -> None:
    """Keep no connection whose transaction was not ended, as when a rollback was interrupted."""
    if connection is not None and connection.driver_connection.is_in_transaction():
        record.invalidate()
