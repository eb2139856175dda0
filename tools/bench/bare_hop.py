"""One process of the bare pipeline.

Its standard input controls it: the first line is one JSON object that says what it is, any other line ends the warm-up,
and the end of the input ends the process, also when the bench is killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from asyncpg.pool import PoolConnectionProxy

Connection = asyncpg.Connection | PoolConnectionProxy
HOPS = ("submission", "score", "change", "write")
BATCH = 500
WRITERS = 4
CONNECTIONS = 4
OPPORTUNITIES = 2000
POLL_SECONDS = 0.1
GATHER_SECONDS = 0.002
KEEP_ONE = "INSERT INTO fact (event_id, opportunity, body, born) VALUES ($1, $2, $3, $4)"
KEEP_MANY = (
    "INSERT INTO fact (event_id, opportunity, body, born)"
    " SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::float8[])"
)
TELL_ONE = "INSERT INTO outbox (key, value) VALUES ($1, $2)"
TELL_MANY = "INSERT INTO outbox (key, value) SELECT * FROM unnest($1::text[], $2::bytea[])"
CLAIM = "INSERT INTO inbox SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"
TAKE = (
    "DELETE FROM outbox WHERE position IN (SELECT position FROM outbox ORDER BY position LIMIT 1000)"
    " RETURNING position, key, value"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A submission on its way; `body` is the event as it travels."""

    event_id: uuid.UUID
    opportunity: str
    born: float
    body: str


@dataclass(frozen=True)
class Load:
    """What is submitted: each its own transaction, at full speed or at a rate a second, or 500 a transaction. The
    `warm_up` goes first, at full speed, and does not count."""

    count: int
    rate: float = 0.0
    bulk: bool = False
    warm_up: int = 0


@dataclass(frozen=True)
class Place:
    """Where a run takes place; `prefix` keeps it apart from all others."""

    postgres: str
    kafka: dict[str, Any]
    prefix: str

    def database(self, hop: str) -> str:
        return f"{self.postgres}/{self.prefix}_{hop}"

    def topic(self, hop: str) -> str:
        return f"{self.prefix}.{hop}"


class Orders:
    """The commands to a process while it runs."""

    def __init__(self) -> None:
        self.warm = asyncio.Event()
        self.over = asyncio.Event()

    async def follow(self, control: asyncio.StreamReader) -> None:
        """Read commands until the end."""
        while await control.readline():
            self.warm.set()
        self.warm.set()
        self.over.set()


class Hop:
    """One process of the pipeline: stores the events of the hop before it and sends its own to the next."""

    def __init__(self, name: str, place: Place, orders: Orders) -> None:
        self._name, self._place, self._orders = name, place, orders
        self._last = name == HOPS[-1]
        self._wake = asyncio.Event()

    async def run(self, load: Load | None) -> None:
        """Work until the end; the hop that makes the load creates submissions instead of reading."""
        self._pool = await asyncpg.create_pool(
            self._place.database(self._name), min_size=CONNECTIONS, max_size=CONNECTIONS
        )
        async with self._pool, asyncio.TaskGroup() as group:
            if not self._last:
                group.create_task(self._relay())
            group.create_task(self._submit(load) if load else self._consume())

    async def _relay(self) -> None:
        producer = AIOKafkaProducer(**self._place.kafka, enable_idempotence=True, linger_ms=1, max_batch_size=262144)
        topic = self._place.topic(self._name)
        async with producer:
            while not self._orders.over.is_set():
                self._wake.clear()
                async with self._pool.acquire() as connection, connection.transaction():
                    rows = sorted(await connection.fetch(TAKE), key=lambda row: row["position"])
                    await asyncio.gather(
                        *[await producer.send(topic, row["value"], key=row["key"].encode()) for row in rows]
                    )
                if not rows:
                    await _within(self._wake.wait(), POLL_SECONDS)
                # Rows gather while a round that took few waits: a commit and a send for each would cost more.
                if len(rows) < BATCH:
                    await asyncio.sleep(GATHER_SECONDS)

    async def _consume(self) -> None:
        before = HOPS[HOPS.index(self._name) - 1]
        consumer = AIOKafkaConsumer(
            self._place.topic(before), **self._place.kafka,
            group_id=f"{self._place.prefix}-{self._name}", enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )  # fmt: skip
        async with consumer:
            while not self._orders.over.is_set():
                fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
                values = [
                    record.value for records in fetched.values() for record in records if record.value is not None
                ]
                if not values:
                    continue
                facts = {fact.event_id: fact for fact in map(_read, values)}
                async with self._pool.acquire() as connection, connection.transaction():
                    fresh = await connection.fetch(CLAIM, list(facts))
                    await self._keep_many(connection, [facts[row["event_id"]] for row in fresh])
                self._wake.set()
                await consumer.commit({partition: records[-1].offset + 1 for partition, records in fetched.items()})

    async def _submit(self, load: Load) -> None:
        await self._make(Load(load.warm_up, bulk=load.bulk))
        await self._orders.warm.wait()
        await self._make(load)

    async def _make(self, load: Load) -> None:
        size = BATCH if load.bulk else 1
        firsts, began = iter(range(0, load.count, size)), time.time()

        async def write() -> None:
            for first in firsts:
                if load.rate and (early := began + first / load.rate - time.time()) > 0:
                    await asyncio.sleep(early)
                facts = [_submission(number) for number in range(first, min(first + size, load.count))]
                async with self._pool.acquire() as connection, connection.transaction():
                    await (self._keep_many(connection, facts) if load.bulk else _keep_one(connection, facts[0]))
                self._wake.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(1 if load.bulk else WRITERS):
                group.create_task(write())

    async def _keep_many(self, connection: Connection, facts: Sequence[Fact]) -> None:
        opportunities, bodies = [fact.opportunity for fact in facts], [fact.body for fact in facts]
        ids, births = [fact.event_id for fact in facts], [fact.born for fact in facts]
        await connection.execute(KEEP_MANY, ids, opportunities, bodies, births)
        if not self._last:
            await connection.execute(TELL_MANY, opportunities, [body.encode() for body in bodies])


async def _keep_one(connection: Connection, fact: Fact) -> None:
    await connection.execute(KEEP_ONE, fact.event_id, fact.opportunity, fact.body, fact.born)
    await connection.execute(TELL_ONE, fact.opportunity, fact.body.encode())


def _submission(number: int) -> Fact:
    event_id, opportunity, born = uuid.uuid4(), f"o{number % OPPORTUNITIES}", time.time()
    answers = {f"q{question}": "x" * 20 for question in range(10)}
    body = {"id": str(event_id), "opportunity": opportunity, "born": born, "answers": answers}
    return Fact(event_id, opportunity, born, json.dumps(body))


def _read(value: bytes) -> Fact:
    event = json.loads(value)
    return Fact(uuid.UUID(event["id"]), event["opportunity"], event["born"], value.decode())


async def _within(waiting: Awaitable[object], seconds: float) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return


async def _main() -> None:
    loop, control = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin)
    given = json.loads(await control.readline())
    orders = Orders()
    load = Load(**given["load"]) if given["load"] else None
    async with asyncio.TaskGroup() as group:
        group.create_task(orders.follow(control))
        group.create_task(Hop(given["name"], Place(**given["place"]), orders).run(load))


if __name__ == "__main__":
    # A terminal's Ctrl-C reaches every process; only the bench says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    uvloop.run(_main())
