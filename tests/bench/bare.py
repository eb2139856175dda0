"""The reference: the same three hops with a transactional outbox and an idempotent inbox, and no business logic.

Four processes, a database each: submissions → scores → stage changes → CRM writes. Everything is batched the plain
way, so that what the platform adds shows as a ratio against it. `python -m tests.bench.bare` runs it alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Event

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.bench.outcome import Outcome

HOPS = ("submission", "score", "change", "write")
BATCH = 500
WRITERS = 4
CONNECTIONS = 4
PARTITIONS = 4
OPPORTUNITIES = 2000
JOIN_SECONDS = 3.0
POLL_SECONDS = 0.1
LIMIT_SECONDS = 300.0
SCHEMA = """
CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, value bytea NOT NULL);
CREATE TABLE inbox (event_id uuid PRIMARY KEY);
CREATE TABLE fact (
    event_id uuid PRIMARY KEY, opportunity text NOT NULL, body jsonb NOT NULL, born float8 NOT NULL,
    done float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp())
);
"""
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
RESULT = """
SELECT max(done) - min(born), percentile_cont(0.99) WITHIN GROUP (ORDER BY done - born) FROM fact WHERE born >= $1
"""


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
    kafka: str
    prefix: str

    def database(self, hop: str) -> str:
        return f"{self.postgres}/{self.prefix}_{hop}"

    def topic(self, hop: str) -> str:
        return f"{self.prefix}.{hop}"


@dataclass(frozen=True)
class Signals:
    """What the processes are told: that the warm-up is through, and that all is over."""

    warm: Event
    over: Event


class Hop:
    """One process of the pipeline: keeps what the hop before it tells, and tells the next."""

    def __init__(self, name: str, place: Place, signals: Signals) -> None:
        self._name, self._place, self._signals = name, place, signals
        self._last = name == HOPS[-1]
        self._wake = asyncio.Event()

    async def run(self, load: Load | None) -> None:
        """Work until all is over; the hop that has the load makes submissions instead of reading."""
        owner = os.getppid()
        self._pool = await asyncpg.create_pool(
            self._place.database(self._name), min_size=CONNECTIONS, max_size=CONNECTIONS
        )
        async with self._pool, asyncio.TaskGroup() as group:
            if not self._last:
                group.create_task(self._relay())
            group.create_task(self._submit(load) if load else self._consume())
            group.create_task(self._follow(owner))

    async def _follow(self, owner: int) -> None:
        """Nobody else would end what a killed bench has left behind."""
        while not self._signals.over.is_set():
            if os.getppid() != owner:
                self._signals.warm.set()
                self._signals.over.set()
            await asyncio.sleep(1)

    async def _relay(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._place.kafka, enable_idempotence=True, linger_ms=1, max_batch_size=262144
        )
        topic = self._place.topic(self._name)
        async with producer:
            while not self._signals.over.is_set():
                self._wake.clear()
                async with self._pool.acquire() as connection, connection.transaction():
                    rows = sorted(await connection.fetch(TAKE), key=lambda row: row["position"])
                    await asyncio.gather(
                        *[await producer.send(topic, row["value"], key=row["key"].encode()) for row in rows]
                    )
                if not rows:
                    await _within(self._wake.wait(), POLL_SECONDS)

    async def _consume(self) -> None:
        before = HOPS[HOPS.index(self._name) - 1]
        consumer = AIOKafkaConsumer(
            self._place.topic(before), bootstrap_servers=self._place.kafka,
            group_id=f"{self._place.prefix}-{self._name}", enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )  # fmt: skip
        async with consumer:
            while not self._signals.over.is_set():
                fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
                values = [record.value for records in fetched.values() for record in records]
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
        await _when(self._signals.warm.is_set)
        await self._make(load)
        await _when(self._signals.over.is_set)

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

    async def _keep_many(self, connection: asyncpg.Connection, facts: Sequence[Fact]) -> None:
        opportunities, bodies = [fact.opportunity for fact in facts], [fact.body for fact in facts]
        ids, births = [fact.event_id for fact in facts], [fact.born for fact in facts]
        await connection.execute(KEEP_MANY, ids, opportunities, bodies, births)
        if not self._last:
            await connection.execute(TELL_MANY, opportunities, [body.encode() for body in bodies])


async def _keep_one(connection: asyncpg.Connection, fact: Fact) -> None:
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


async def _when(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - an event of another process wakes nobody here
        await asyncio.sleep(0.02)


def _process(name: str, place: Place, signals: Signals, load: Load | None) -> None:
    # A terminal's Ctrl-C reaches every process; the bench itself says when all is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    uvloop.run(Hop(name, place, signals).run(load))


async def _prepare(place: Place) -> None:
    admin = await asyncpg.connect(f"{place.postgres}/postgres")
    for hop in HOPS:
        await admin.execute(f'CREATE DATABASE "{place.prefix}_{hop}"')
        connection = await asyncpg.connect(place.database(hop))
        await connection.execute(SCHEMA)
        await connection.close()
    await admin.close()
    broker = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await broker.start()
    await broker.create_topics([NewTopic(place.topic(hop), PARTITIONS, 1) for hop in HOPS[:-1]])
    await broker.close()


async def _clean(place: Place) -> None:
    admin = await asyncpg.connect(f"{place.postgres}/postgres")
    for hop in HOPS:
        await admin.execute(f'DROP DATABASE IF EXISTS "{place.prefix}_{hop}" WITH (FORCE)')
    await admin.close()
    broker = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await broker.start()
    await broker.delete_topics([place.topic(hop) for hop in HOPS[:-1]])
    await broker.close()


async def _watch(place: Place, load: Load, warm: Event) -> Outcome:
    connection = await asyncpg.connect(place.database(HOPS[-1]))
    try:
        await _arrived(connection, load.warm_up)
        since = time.time()
        warm.set()
        await _arrived(connection, load.warm_up + load.count)
        seconds, p99 = await connection.fetchrow(RESULT, since)
        return Outcome(load.count / seconds, p99)
    finally:
        await connection.close()


async def _arrived(connection: asyncpg.Connection, count: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while (found := await connection.fetchval("SELECT count(*) FROM fact")) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the bare pipeline wrote {found} of {count}")
        await asyncio.sleep(POLL_SECONDS)


def run(postgres: str, kafka: str, load: Load) -> Outcome:
    """One run of the reference; `postgres` is the administrator's URL without a database."""
    place = Place(postgres, kafka, f"bare{uuid.uuid4().hex[:8]}")
    signals = Signals(multiprocessing.Event(), multiprocessing.Event())
    readers = [multiprocessing.Process(target=_process, args=(hop, place, signals, None)) for hop in HOPS[1:]]
    writer = multiprocessing.Process(target=_process, args=(HOPS[0], place, signals, load))
    try:
        asyncio.run(_prepare(place))
        for process in readers:
            process.start()
        time.sleep(JOIN_SECONDS)
        writer.start()
        return asyncio.run(_watch(place, load, signals.warm))
    finally:
        signals.warm.set()
        signals.over.set()
        for process in (*readers, writer):
            _end(process)
        asyncio.run(_clean(place))


def _end(process: multiprocessing.Process) -> None:
    if process.pid is None:
        return
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bare", description=__doc__.splitlines()[0])
    parser.add_argument("--postgres", required=True, help="administrator's URL without a database")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("-n", type=int, default=20000)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--bulk", action="store_true")
    parser.add_argument("--warm-up", type=int, default=0)
    given = parser.parse_args()
    outcome = run(given.postgres, given.kafka, Load(given.n, given.rate, given.bulk, given.warm_up))
    sys.stdout.write(f"{outcome.per_s:.0f} submissions/s, p99 {outcome.p99_s * 1000:.0f} ms\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
