"""Timers that are due at once: fired by the system, and claimed and written by a bare loop on the same server."""

from __future__ import annotations

import json
import time
import uuid

import asyncpg
import uvloop

from tools.bench.report import Report
from tools.bench.system import System

PAGE = 100
# Each is put off, and its hold ended a moment ago: what fires is a timer of the engine itself, whatever the pipeline.
_DUE = """
    UPDATE opportunity
    SET due_at = now(), on_hold = true, state = (
        state::jsonb || jsonb_build_object(
            'hold', jsonb_build_object(
                'since', '2026-01-01T00:00:00Z', 'until', '2026-01-02T00:00:00Z', 'fact', '', 'cell', '',
                'reason', 'bench', 'actor', 'bench'
            ),
            'timers', jsonb_build_object('@hold', jsonb_build_object(
                'anchor', '2026-01-02T00:00:00Z', 'set_by', $1::int, 'visit_no', 0, 'due', '2026-01-02T00:00:00Z'
            ))
        )
    )::text
    WHERE opportunity_id IN (
        SELECT opportunity_id FROM opportunity WHERE category = 'open' AND NOT deleted ORDER BY opportunity_id LIMIT $2
    )
"""
_FIRED = "SELECT count(*) FROM decision WHERE given::json->>'kind' = 'timer'"
_SECONDS = """
    SELECT extract(epoch FROM max(decided_at) - min(decided_at))::float8
    FROM decision WHERE given::json->>'kind' = 'timer' AND decided_at >= $1
"""
_BARE = """
    CREATE TABLE timer (id text PRIMARY KEY, due timestamptz, state text NOT NULL);
    CREATE INDEX ON timer (due) WHERE due IS NOT NULL;
    CREATE TABLE log (id uuid PRIMARY KEY, state text NOT NULL);
    CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text NOT NULL);
"""
_CLAIM = "SELECT id, state FROM timer WHERE due <= now() ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED"
_WRITE = """
    UPDATE timer SET due = NULL, state = given.state FROM unnest($1::text[], $2::text[]) AS given (id, state)
    WHERE timer.id = given.id
"""


def timers(report: Report, running: System, count: int) -> None:
    """Timers a second, beside the same number of bare rows."""
    report.measure("timers", lambda: uvloop.run(_pair(running, count)))


async def _pair(running: System, count: int) -> tuple[float, float]:
    await running.settled()
    since = await running.databases.value("stage-engine", "SELECT clock_timestamp()")
    fired = await running.databases.value("stage-engine", _FIRED)
    await running.databases.rows("stage-engine", _DUE, int(time.time()) % 2**31, count)
    await running.until("stage-engine", _FIRED, fired + count)
    seconds = await running.databases.value("stage-engine", _SECONDS, since)
    await running.settled()
    return count / max(seconds, 0.001), await _bare(running.postgres, count)


async def _bare(postgres: str, count: int) -> float:
    """The reference: claim a page, change each state, log it, queue an event, commit."""
    name = f"bare_timers_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(f"{postgres}/postgres")
    await admin.execute(f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(f"{postgres}/{name}")
    try:
        await connection.execute(_BARE)
        state = json.dumps({"stage": "prospecting", "facts": {"text": "x" * 1000}})
        fill = "INSERT INTO timer SELECT n::text, now(), $1 FROM generate_series(1, $2::int) AS n"
        await connection.execute(fill, state, count)
        began = time.perf_counter()
        while await _page(connection):
            pass
        return count / (time.perf_counter() - began)
    finally:
        await connection.close()
        await admin.execute(f'DROP DATABASE "{name}"')
        await admin.close()


async def _page(connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        rows = await connection.fetch(_CLAIM, PAGE)
        after = [json.dumps({**json.loads(row[1]), "fired": True}) for row in rows]
        await connection.execute(_WRITE, [row[0] for row in rows], after)
        log = "INSERT INTO log SELECT gen_random_uuid(), each FROM unnest($1::text[]) AS each"
        await connection.execute(log, after)
        await connection.execute("INSERT INTO outbox (value) SELECT each FROM unnest($1::text[]) AS each", after)
        return len(rows)
