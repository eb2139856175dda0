"""What the relay holds on to: a producer, a connection to the database, and the lead."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
from aiokafka import AIOKafkaProducer

from kit.database.unit_of_work import Database
from kit.delivery.patience import within
from kit.relay.lease import Lease, LeaseLost

log = logging.getLogger(__name__)

# For any statement of the relay; the broker may be given as long.
REPLY_SECONDS = 10
_CLOSE_SECONDS = 5
_CHANNEL = "outbox"


class Link:
    """Connects when it is asked, and lets go of all of it at once. One instance of a service leads; the others wake it
    when they have committed an event."""

    def __init__(
        self, database: Database, new_producer: Callable[[], Awaitable[AIOKafkaProducer]], wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._new_producer = new_producer
        self._wake = wake
        self._producer: AIOKafkaProducer | None = None
        self._connection: asyncpg.Connection | None = None
        self._connected = AsyncExitStack()
        self._leads = False
        self.lease = Lease("relay")

    @property
    def may_send(self) -> bool:
        """Whether no other instance can lead at this moment: without its session, another may at once."""
        return self._connection is not None and not self._connection.is_closed() and self.lease.unexpired

    @property
    def has_producer(self) -> bool:
        """Whether the broker was reached."""
        return self._producer is not None

    async def producer(self) -> AIOKafkaProducer:
        """The producer, started."""
        if self._producer is None:
            self._producer = await self._new_producer()
        return self._producer

    async def renewed_producer(self) -> AIOKafkaProducer:
        """Another producer: an idempotent one that failed once may repeat its events for ever, or stay stuck on
        OutOfOrderSequenceNumber."""
        await self._close_producer()
        return await self.producer()

    async def connection(self) -> asyncpg.Connection:
        """A connection in the relay's role, every statement a transaction of its own."""
        if self._connection is None:
            self._connection = await self._connected.enter_async_context(self._database.held_by_relay())
        return self._connection

    async def leads(self) -> bool:
        """Whether this instance leads. LeaseLost when it did until now."""
        connection = await self.connection()
        if await self.lease.hold(connection):
            if not self._leads:
                await connection.add_listener(_CHANNEL, lambda *_: self._wake())
                self._leads = True
            return True
        if self._leads:
            raise LeaseLost("another instance leads now")
        await connection.execute(f"NOTIFY {_CHANNEL}", timeout=REPLY_SECONDS)
        return False

    async def close(self) -> None:
        """Let go of the broker, then of the lead."""
        await self._close_producer()
        connection, self._connection, self._leads = self._connection, None, False
        try:
            if connection is not None:
                await self.lease.give_back(connection)
        except Exception as error:
            log.warning("the relay's lead was not given back: %s", error)
        self.lease.forget()
        try:
            await within(_CLOSE_SECONDS, self._connected.aclose())
        except Exception as error:
            log.warning("the relay's connection did not close cleanly: %s", error)

    async def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await within(_CLOSE_SECONDS, producer.stop())
            except Exception as error:
                log.warning("the producer did not close cleanly: %s", error)
