"""The reference: the same three hops with a transactional outbox and an idempotent inbox, and no business logic.

Four processes, a database each: submissions → scores → stage changes → CRM writes. Everything is batched the plain
way, so that what the platform adds shows as a ratio against it. `python -m tools.bench.bare` runs it alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tools.bench.bare_hop import HOPS, Load, Place
from tools.bench.outcome import Outcome

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
JOIN_SECONDS = 3.0
STOP_SECONDS = 10.0
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
RESULT = """
SELECT max(done) - min(born), percentile_cont(0.99) WITHIN GROUP (ORDER BY done - born) FROM fact WHERE born >= $1
"""


def run(postgres: str, kafka: dict[str, Any], load: Load) -> Outcome:
    """One run of the reference; `postgres` is the administrator's URL without a database."""
    place = Place(postgres, kafka, f"bare{uuid.uuid4().hex[:8]}")
    hops: list[subprocess.Popen[str]] = []
    try:
        asyncio.run(_prepare(place))
        hops += [_start(hop, place, None) for hop in HOPS[1:]]
        time.sleep(JOIN_SECONDS)
        hops.append(_start(HOPS[0], place, load))
        return asyncio.run(_watch(place, load, hops))
    finally:
        for hop in hops:
            _input(hop).close()
        for hop in hops:
            _end(hop)
        asyncio.run(_clean(place))


def _start(name: str, place: Place, load: Load | None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.bench.bare_hop"]
    hop = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=ROOT)
    orders = {"name": name, "place": asdict(place), "load": asdict(load) if load else None}
    _tell(hop, json.dumps(orders))
    return hop


def _tell(hop: subprocess.Popen[str], line: str) -> None:
    _input(hop).write(line + "\n")
    _input(hop).flush()


def _input(hop: subprocess.Popen[str]) -> IO[str]:
    assert hop.stdin is not None
    return hop.stdin


def _end(hop: subprocess.Popen[str]) -> None:
    try:
        hop.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        hop.kill()
        hop.wait()


async def _prepare(place: Place) -> None:
    admin = await asyncpg.connect(f"{place.postgres}/postgres")
    for hop in HOPS:
        await admin.execute(f'CREATE DATABASE "{place.prefix}_{hop}"')
        connection = await asyncpg.connect(place.database(hop))
        await connection.execute(SCHEMA)
        await connection.close()
    await admin.close()
    broker = AIOKafkaAdminClient(**place.kafka)
    await broker.start()
    await broker.create_topics([NewTopic(place.topic(hop), PARTITIONS, 1) for hop in HOPS[:-1]])
    await broker.close()


async def _clean(place: Place) -> None:
    admin = await asyncpg.connect(f"{place.postgres}/postgres")
    for hop in HOPS:
        await admin.execute(f'DROP DATABASE IF EXISTS "{place.prefix}_{hop}" WITH (FORCE)')
    await admin.close()
    broker = AIOKafkaAdminClient(**place.kafka)
    await broker.start()
    await broker.delete_topics([place.topic(hop) for hop in HOPS[:-1]])
    await broker.close()


async def _watch(place: Place, load: Load, hops: list[subprocess.Popen[str]]) -> Outcome:
    connection = await asyncpg.connect(place.database(HOPS[-1]))
    try:
        await _arrived(connection, load.warm_up, hops)
        since = time.time()
        _tell(hops[-1], "warm")
        await _arrived(connection, load.warm_up + load.count, hops)
        seconds, p99 = await connection.fetchrow(RESULT, since)
        return Outcome(load.count / seconds, p99)
    finally:
        await connection.close()


async def _arrived(connection: asyncpg.Connection, count: int, hops: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while (found := int(await connection.fetchval("SELECT count(*) FROM fact") or 0)) < count:
        if any(hop.poll() is not None for hop in hops) or time.monotonic() > deadline:
            raise RuntimeError(f"the bare pipeline wrote {found} of {count}")
        await asyncio.sleep(POLL_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.bare", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--postgres", required=True, help="administrator's URL without a database")
    parser.add_argument("--kafka", required=True)
    parser.add_argument("-n", type=int, default=20000)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--bulk", action="store_true")
    parser.add_argument("--warm-up", type=int, default=0)
    given = parser.parse_args()
    # A topic that was made just now has no leader yet.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    outcome = run(
        given.postgres, {"bootstrap_servers": given.kafka}, Load(given.n, given.rate, given.bulk, given.warm_up)
    )
    sys.stdout.write(f"{outcome.per_s:.0f} submissions/s, p99 {outcome.p99_s * 1000:.0f} ms\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
