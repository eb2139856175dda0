"""The reference: the same three hops with a transactional outbox and an idempotent inbox, and no business logic.

Four processes, a database each: submissions → scores → stage changes → CRM writes. Everything is batched the plain
way, so that what the platform adds shows as a ratio against it.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
import uuid
from multiprocessing.synchronize import Event as ProcessEvent

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

HOPS = ("submission", "score", "change", "write")
BATCH = 500
WRITERS = 4
PARTITIONS = 4
OPPORTUNITIES = 2000
SCHEMA = """
CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, value bytea NOT NULL);
CREATE TABLE inbox (event_id uuid PRIMARY KEY);
CREATE TABLE fact (
    event_id uuid PRIMARY KEY, opportunity text NOT NULL, body jsonb NOT NULL, born float8 NOT NULL,
    done float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp())
);
"""
INSERT_FACTS = (
    "INSERT INTO fact (event_id, opportunity, body, born)"
    " SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::float8[])"
)
INSERT_OUTBOX = "INSERT INTO outbox (key, value) SELECT * FROM unnest($1::text[], $2::bytea[])"
CLAIM = "INSERT INTO inbox SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id"
TAKE = (
    "DELETE FROM outbox WHERE position IN (SELECT position FROM outbox ORDER BY position LIMIT 1000 FOR UPDATE SKIP"
    " LOCKED) RETURNING position, key, value"
)


class Hop:
    """One process of the pipeline: reads the hop before it, keeps facts, sends on to the next."""

    def __init__(self, name: str, postgres: str, kafka: dict[str, str], prefix: str) -> None:
        place = HOPS.index(name)
        self.name = name
        self.database = f"{postgres}/{prefix}_{name}"
        self.kafka = kafka
        self.group = f"{prefix}-{name}"
        self.source = f"{prefix}.{HOPS[place - 1]}" if place else ""
        self.target = f"{prefix}.{name}" if name != HOPS[-1] else ""
        self.wake = asyncio.Event()

    async def run(self, stop: asyncio.Event, load: "Load | None") -> None:
        """Work until told to stop; the first hop makes the load instead of reading."""
        self.pool = await asyncpg.create_pool(self.database, min_size=2, max_size=6)
        relay = asyncio.create_task(self.relay(stop)) if self.target else None
        if load is None:
            await self.consume(stop)
        else:
            await load.run(self)
            await stop.wait()
        if relay is not None:
            await relay
        await self.pool.close()

    async def relay(self, stop: asyncio.Event) -> None:
        producer = AIOKafkaProducer(**self.kafka, enable_idempotence=True, linger_ms=1, max_batch_size=262144)
        await producer.start()
        while not stop.is_set():
            self.wake.clear()
            async with self.pool.acquire() as connection, connection.transaction():
                rows = sorted(await connection.fetch(TAKE), key=lambda row: row["position"])
                sent = [await producer.send(self.target, row["value"], key=row["key"].encode()) for row in rows]
                await asyncio.gather(*sent)
            if not rows:
                try:
                    await asyncio.wait_for(self.wake.wait(), 0.25)
                except TimeoutError:
                    continue
        await producer.stop()

    async def consume(self, stop: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            self.source, **self.kafka, group_id=self.group, enable_auto_commit=False,
            auto_offset_reset="earliest", fetch_max_wait_ms=50,
        )  # fmt: skip
        await consumer.start()
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
            values = [record.value for records in fetched.values() for record in records]
            if values:
                async with self.pool.acquire() as connection, connection.transaction():
                    await self.handle(connection, values)
                self.wake.set()
                await consumer.commit({partition: records[-1].offset + 1 for partition, records in fetched.items()})
        await consumer.stop()

    async def handle(self, connection: asyncpg.Connection, values: list[bytes]) -> None:
        events = {event["id"]: (event, value) for value in values for event in (json.loads(value),)}
        fresh = [str(row[0]) for row in await connection.fetch(CLAIM, list(events))]
        await self.store(connection, [events[event_id] for event_id in fresh])

    async def store(self, connection: asyncpg.Connection, pairs: list[tuple[dict, bytes]]) -> None:
        opportunities = [event["opportunity"] for event, _ in pairs]
        await connection.execute(
            INSERT_FACTS,
            [event["id"] for event, _ in pairs],
            opportunities,
            [value.decode() for _, value in pairs],
            [event["born"] for event, _ in pairs],
        )
        if self.target:
            await connection.execute(INSERT_OUTBOX, opportunities, [value for _, value in pairs])


class Load:
    """Submissions: each its own transaction, at full speed or at a rate, or in bulk."""

    def __init__(self, count: int, rate: float, bulk: bool) -> None:
        self.count, self.rate, self.bulk = count, rate, bulk

    def submission(self, number: int) -> tuple[dict, bytes]:
        answers = {f"q{place}": "x" * 20 for place in range(10)}
        event = {"id": str(uuid.uuid4()), "opportunity": f"o{number % OPPORTUNITIES}", "born": time.time()}
        event["answers"] = answers
        return event, json.dumps(event).encode()

    async def run(self, hop: Hop) -> None:
        size = BATCH if self.bulk else 1
        gate, began = asyncio.Semaphore(1 if self.bulk else WRITERS), time.time()

        async def write(first: int) -> None:
            async with gate:
                pairs = [self.submission(number) for number in range(first, min(first + size, self.count))]
                async with hop.pool.acquire() as connection, connection.transaction():
                    await hop.store(connection, pairs)
            hop.wake.set()

        pending: set[asyncio.Task] = set()
        for first in range(0, self.count, size):
            if self.rate:
                await asyncio.sleep(max(0.0, began + first / self.rate - time.time()))
            pending.add(asyncio.create_task(write(first)))
            if len(pending) >= BATCH:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*pending)


def process(
    name: str, postgres: str, kafka: dict[str, str], prefix: str, ended: ProcessEvent, load: Load | None
) -> None:
    """The main function of one hop's process."""

    async def main() -> None:
        stop = asyncio.Event()
        work = asyncio.create_task(Hop(name, postgres, kafka, prefix).run(stop, load))
        while not ended.is_set() and not work.done():
            await asyncio.wait([work], timeout=0.1)
        stop.set()
        await work

    uvloop.run(main())


async def prepare(postgres: str, kafka: dict[str, str], prefix: str) -> None:
    admin = await asyncpg.connect(f"{postgres}/postgres")
    for name in HOPS:
        await admin.execute(f'CREATE DATABASE "{prefix}_{name}"')
        connection = await asyncpg.connect(f"{postgres}/{prefix}_{name}")
        await connection.execute(SCHEMA)
        await connection.close()
    await admin.close()
    broker = AIOKafkaAdminClient(**kafka)
    await broker.start()
    await broker.create_topics([NewTopic(f"{prefix}.{name}", PARTITIONS, 1) for name in HOPS[:-1]])
    await broker.close()


async def result(postgres: str, prefix: str, count: int, limit_seconds: float = 600) -> dict:
    """Throughput from the first submission's making to the last write, and the latencies, once all are through."""
    connection = await asyncpg.connect(f"{postgres}/{prefix}_{HOPS[-1]}")
    deadline = time.monotonic() + limit_seconds
    while await connection.fetchval("SELECT count(*) FROM fact") < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the bare pipeline did not finish")
        await asyncio.sleep(0.1)
    row = await connection.fetchrow(
        "SELECT max(done) - min(born), percentile_cont(array[.5, .95, .99]) WITHIN GROUP (ORDER BY done - born)"
        " FROM fact"
    )
    await connection.close()
    return {"per_s": count / row[0], "latency_ms": [value * 1000 for value in row[1]]}


async def drop(postgres: str, prefix: str) -> None:
    admin = await asyncpg.connect(f"{postgres}/postgres")
    for name in HOPS:
        await admin.execute(f'DROP DATABASE IF EXISTS "{prefix}_{name}" WITH (FORCE)')
    await admin.close()


def run(postgres: str, kafka: dict[str, str], count: int, *, rate: float = 0, bulk: bool = False) -> dict:
    """One run of the reference; `postgres` is the administrator's URL without a database."""
    prefix, ended = f"bare{uuid.uuid4().hex[:8]}", multiprocessing.Event()
    asyncio.run(prepare(postgres, kafka, prefix))
    load = Load(count, rate, bulk)
    hops = [
        multiprocessing.Process(
            target=process, args=(name, postgres, kafka, prefix, ended, load if name == HOPS[0] else None)
        )
        for name in HOPS[::-1]
    ]
    try:
        for hop in hops[:-1]:
            hop.start()
        time.sleep(3)
        hops[-1].start()
        return asyncio.run(result(postgres, prefix, count))
    finally:
        ended.set()
        for hop in hops:
            if hop.pid:
                hop.join(10)
        asyncio.run(drop(postgres, prefix))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--postgres", required=True, help="administrator's URL without a database")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("-n", type=int, default=20000)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--bulk", action="store_true")
    given = parser.parse_args()
    kafka = {"bootstrap_servers": given.kafka}
    sys.stdout.write(json.dumps(run(given.postgres, kafka, given.n, rate=given.rate, bulk=given.bulk)) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
