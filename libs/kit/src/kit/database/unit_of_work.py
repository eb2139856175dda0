"""Transactions: one per request or consumed batch, always on behalf of one tenant.

Row-level security reads the transaction-local setting `app.tenant_id`; without it no row is visible.
"""

import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from google.protobuf.message import Message
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from kit.contracts.events import NO_TENANT, Event, Received
from kit.database import bulk
from kit.database.engine import new_engine, renew
from kit.database.faults import READ_ONLY, sqlstate_of
from kit.database.resources import Resources
from kit.database.tables import outbox
from kit.observability.telemetry import EVENTS_PUBLISHED, current_traceparent
from kit.settings import ServiceSettings

_SIDE_CONNECTIONS = 3
_PROBE = text(
    "INSERT INTO idempotency (tenant_id, subject, key, fingerprint) VALUES (:tenant_id, 'probe', :process, '') "
    "ON CONFLICT (tenant_id, subject, key) DO UPDATE SET created_at = now()"
)
_AS_TENANT = text("SELECT set_config('app.tenant_id', :tenant_id, true)")


class UnitOfWork:
    """A transaction of one tenant with the events it causes: both are committed, or neither is."""

    def __init__(self, session: AsyncSession, tenant_id: str, source: str, prefix: str, resources: Resources) -> None:
        self.session = session
        self.tenant_id = tenant_id
        self.resources = resources
        self.source = source
        self._prefix = prefix
        self._outgoing: list[dict[str, Any]] = []
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
        `time` may be given. EventTooLarge when its contract has no room for it."""
        if traceparent is None:
            traceparent = cause.traceparent if cause is not None else current_traceparent()
        event = Event(self.tenant_id, message, sequence, traceparent, topic, **given)
        self._outgoing.append(event.row(self.source, self._prefix))
        return event

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this once the transaction is durable; it must not block or fail."""
        self._callbacks.append(callback)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """A part that may fail without the rest: an error inside takes back its rows and its events, and goes on."""
        events, deferred = len(self._outgoing), bulk.deferred_until_now(self.session)
        try:
            async with self.session.begin_nested():
                yield
        except BaseException:
            del self._outgoing[events:]
            bulk.forget_deferred(self.session, deferred)
            raise

    async def flush(self) -> None:
        """Write the deferred rows, and the queued events as outbox rows, in the order they were published. Every commit
        does so first; it is needed before deferred rows are read."""
        rows, self._outgoing = self._outgoing, []
        bulk.defer(self.session, outbox, rows)
        await bulk.write_deferred(self.session, self.tenant_id)
        for topic, count in Counter(row["topic"] for row in rows).items():
            EVENTS_PUBLISHED.labels(self.source, topic).inc(count)
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
        self.topic_prefix = settings.topic_prefix
        self._process = f"{socket.gethostname()}/{os.getpid()}"
        self._relay_role = f"{settings.package}_relay"
        self.engine = new_engine(settings, settings.database_pool_size)
        # Probes and the relay need no more, and find a connection while requests wait for one.
        self.side = new_engine(settings, _SIDE_CONNECTIONS)
        self.on_events: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def unit_of_work(self, tenant_id: str) -> AsyncIterator[UnitOfWork]:
        """A transaction that commits at the end of the block, with its events, or rolls back on any error."""
        try:
            async with AsyncSession(self.engine, expire_on_commit=False, autoflush=False) as session, session.begin():
                await session.execute(_AS_TENANT, {"tenant_id": tenant_id})
                uow = UnitOfWork(session, tenant_id, self._source, self.topic_prefix, self.resources)
                yield uow
                await uow.flush()
        except Exception as error:
            if sqlstate_of(error) == READ_ONLY:
                renew(self.engine)
                renew(self.side)
            raise
        if uow.published:
            self.on_events()
        uow.committed()

    @asynccontextmanager
    async def as_relay(self) -> AsyncIterator[AsyncConnection]:
        """A transaction in the role that sees every tenant's outbox and nothing else but what is to be pruned."""
        async with self.side.begin() as connection:
            await connection.execute(text(f'SET LOCAL ROLE "{self._relay_role}"'))
            yield connection

    @asynccontextmanager
    async def held_by_relay(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection beside the pool's, in the relay's role, every statement a transaction of its own. These do not
        wait for the disk: should the server crash, it may forget the last ones."""
        async with self.side.connect() as connection:
            assert connection.sync_connection is not None
            driver = await bulk.driver_below(connection)
            connection.sync_connection.detach()
            await driver.execute(f'SET ROLE "{self._relay_role}"; SET synchronous_commit = off')
            yield driver

    async def write_probe(self) -> None:
        """Write and commit one row, as requests do; the same one again and again, until housekeeping forgets it."""
        async with self.side.begin() as connection:
            await connection.execute(_AS_TENANT, {"tenant_id": NO_TENANT})
            await connection.execute(_PROBE, {"tenant_id": NO_TENANT, "process": self._process})

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()
        await self.side.dispose()
