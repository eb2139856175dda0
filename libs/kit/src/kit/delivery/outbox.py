"""The relay: moves committed events from the outbox table to Kafka, at least once and in order."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from kit.database.unit_of_work import Database
from kit.delivery.pace import RELAY, pause
from kit.health import Watchdog
from kit.telemetry import EVENTS_RELAYED, OUTBOX_AGE, OUTBOX_DEPTH, RELAY_FAILURES

log = logging.getLogger(__name__)

BATCH = 500
POLL_SECONDS = 0.5
# The lock's number is any constant; each service has a database of its own.
_LEAD = "SELECT pg_try_advisory_lock(7235940121)"
_CHANNEL = "outbox"
# No cursor that skips ahead: positions are taken before commit, so it would pass by a row that commits late.
_TAKE = "SELECT position, topic, key, value, headers::text FROM outbox ORDER BY position LIMIT $1"
_DELETE = "DELETE FROM outbox WHERE position = ANY($1::bigint[])"
_STATE = text("SELECT count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0) FROM outbox")


class Relay:
    """Sends what the outbox holds. Any number of instances may run: one at a time leads, by a lock of its connection,
    so events of one key leave in order; the others tell it of theirs, and take over when it goes or fails. A crash
    after the acknowledgement sends a batch again under the same ids, which every inbox recognises."""

    def __init__(
        self,
        database: Database,
        service: str,
        new_producer: Callable[[], Awaitable[AIOKafkaProducer]],
        watchdog: Watchdog,
    ) -> None:
        self._database = database
        self._service = service
        self._new_producer = new_producer
        self._watchdog = watchdog
        self._producer: AIOKafkaProducer | None = None
        self._connection: asyncpg.Connection | None = None
        self._connected = AsyncExitStack()
        self._leads = False
        self._wake = asyncio.Event()
        self.connected = False

    def wake(self) -> None:
        """Look now: an event was committed, or the relay has to stop."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`, then once more until the outbox is empty."""
        failures, loop = 0, asyncio.get_running_loop()
        try:
            while not stop.is_set():
                self._watchdog.beat("relay")
                began = loop.time()
                try:
                    self._wake.clear()
                    sent = await self.round()
                    failures = 0
                except Exception as error:
                    failures += 1
                    RELAY_FAILURES.labels(self._service).inc()
                    log.warning("relay failed, round %d: %s", failures, error)
                    await self.close()
                    sent = 0
                # Neither of these is woken by commits: under load that would be no pause at all.
                if failures:
                    await pause(stop, min(POLL_SECONDS * 2**failures, 10))
                elif sent < BATCH:
                    await pause(stop, RELAY.rest_after(loop.time() - began))
                    await pause(self._wake, POLL_SECONDS)
            while not failures and await self.round() == BATCH:
                pass
        finally:
            await self.close()

    async def round(self) -> int:
        """Send one batch; the number of events sent, 0 also when another instance leads."""
        producer = await self._connected_producer()
        connection = await self._connected_database()
        if not self._leads:
            return 0
        batch = await connection.fetch(_TAKE, BATCH)
        if batch:
            await self._send(producer, batch)
            await connection.execute(_DELETE, [row["position"] for row in batch])
        EVENTS_RELAYED.labels(self._service).inc(len(batch))
        return len(batch)

    async def _connected_database(self) -> asyncpg.Connection:
        """The connection whose lock makes a leader; without it this asks for the lock again and wakes the leader."""
        if self._connection is None:
            self._connection = await self._connected.enter_async_context(self._database.held_by_relay())
        if not self._leads:
            self._leads = await self._connection.fetchval(_LEAD)
            if self._leads:
                await self._connection.add_listener(_CHANNEL, lambda *_: self.wake())
            else:
                await self._connection.execute(f"NOTIFY {_CHANNEL}")
        return self._connection

    async def _send(self, producer: AIOKafkaProducer, events: Sequence[Any]) -> None:
        """Queue all of them in their order, then wait for the acknowledgements."""
        acknowledgements: list[Awaitable[Any]] = []
        for event in events:
            headers = [(name, value.encode()) for name, value in json.loads(event["headers"]).items()]
            key = event["key"].encode()
            acknowledgements.append(await producer.send(event["topic"], event["value"], key, headers=headers))
        await asyncio.gather(*acknowledgements)

    async def measure(self) -> None:
        """Set the gauges of depth and age."""
        async with self._database.as_relay() as connection:
            depth, age = (await connection.execute(_STATE)).one()
        OUTBOX_DEPTH.labels(self._service).set(depth)
        OUTBOX_AGE.labels(self._service).set(float(age))

    async def topic_exists(self, topic: str) -> bool:
        """Whether the broker knows the topic: an event for an unknown one would hold up all that follow."""
        producer = await self._connected_producer()
        return topic in (await producer.client.fetch_all_metadata()).topics()

    async def _connected_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await self._new_producer()
            self.connected = True
        return self._producer

    async def close(self) -> None:
        """Let go of the broker, then of the lead; the next round connects anew."""
        # An idempotent producer may stay stuck on OutOfOrderSequenceNumber after a broker outage: never reuse it.
        producer, self._producer, self.connected = self._producer, None, False
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), 5)
            except Exception as error:
                log.warning("the producer did not close cleanly: %s", error)
        self._connection, self._leads = None, False
        try:
            await asyncio.wait_for(self._connected.aclose(), 5)
        except Exception as error:
            log.warning("the relay's connection did not close cleanly: %s", error)
