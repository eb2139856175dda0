"""At a million rows, as the planner is told, what people ask of timers, obligations, actions and worklists is found by
indexes: no query of a request looks through a whole table."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from kit.database import bulk
from kit.database.unit_of_work import Database
from kit.ids import utc_now
from sqlalchemy import event, text
from stage_engine.repository import timers
from stage_engine.repository.timers import TimerRepository
from testing.service import ServiceUnderTest

from tests.stage_engine import Tenant

pytestmark = pytest.mark.stack

ROWS, AS_IF = 20_000, 1_000_000
LARGE = ("opportunity", "obligation", "action", "decision")
OWNERS = 500
_COPIES = """
    INSERT INTO opportunity ({given}, {listed})
    SELECT 'x' || n, 'u' || n % {owners}, 'u' || n % {owners}, now() - n * interval '1 minute',
           CASE WHEN n % 50 = 0 THEN now() + n * interval '1 minute' END,
           CASE WHEN n % 50 = 1 THEN now() + (n - 10000) * interval '1 minute' END,
           CASE WHEN n % 10 = 0 THEN 'account' WHEN n % 10 = 1 THEN 'lead' ELSE 'opportunity' END,
           CASE WHEN n % 10 > 1 THEN 'x' || (n - n % 10) ELSE '' END, n % 200 = 0, n % 200 = 1, n % 2, {listed}
    FROM opportunity, generate_series(1, {rows}) AS n WHERE opportunity_id = 'o1'
"""
_GIVEN = (
    "opportunity_id", "owner_id", "assignee_id", "created_at", "due_at", "stalled_at", "object_type", "account_id",
    "on_hold", "quarantined", "earned_rank",
)  # fmt: skip
_OBLIGATIONS = """
    INSERT INTO obligation (tenant_id, opportunity_id, key, made_at, object_type, pipeline_key, due, owner_id, state,
                            by, source, hour, wall_seconds, business_seconds)
    SELECT '{tenant}', 'x' || n, 'first_call', at, 'lead', 'leads', at + interval '2 hours', 'u' || n % {owners},
           CASE WHEN n % 100 = 0 THEN 'open' ELSE 'met' END, '', 'Web', 9, 60, 60
    FROM generate_series(1, {rows}) AS n, LATERAL (SELECT now() - n * interval '20 minutes' AS at) AS made
"""
_ACTIONS = """
    INSERT INTO action (tenant_id, action_id, opportunity_id, object_type, decision_id, revision, action_key, kind,
                        phase, text, details, addressee, target, fields, due_at, expires_at, requested_at, state, code,
                        words, record_id, settled_at, settled_by)
    SELECT '{tenant}', gen_random_uuid(), 'x' || n, 'lead', gen_random_uuid(), 1, 'call', 'task', 'entry', 'Call', '',
           '', '', '{{}}', NULL, now(), now() - n * interval '1 minute',
           CASE WHEN n % 100 = 0 THEN 'open' ELSE 'done' END, '', '', '', NULL, ''
    FROM generate_series(1, {rows}) AS n
"""
PATHS = [
    "/v1/obligations",
    "/v1/obligations?state=open",
    "/v1/obligations?owner_id=u7",
    "/v1/obligations?key=first_call&due_from={day}",
    "/v1/obligations/not?by=person&since={day}",
    "/v1/obligations/not?by=team&key=first_call&since={day}",
    "/v1/speed-to-lead?key=first_call&since={day}",
    "/v1/actions?state=open",
    "/v1/actions?state=open&kind=task",
    "/v1/opportunities?to_confirm=true",
    "/v1/opportunities?on_hold=true",
    "/v1/opportunities?stalled=true",
    "/v1/opportunities?stage=prospecting",
    "/v1/leads",
    "/v1/opportunities/x7/next-steps",
    "/v1/opportunities/x7/actions",
    "/v1/accounts/portfolio?by=owner&owner_id=u10",
]
Asked = tuple[str, tuple[Any, ...]]


@contextmanager
def watched(database: Database) -> Iterator[list[Asked]]:
    """The queries of a database until the end of the block."""
    seen: list[Asked] = []

    def before(_: Any, __: Any, statement: str, parameters: Any, ____: Any, _____: bool) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            seen.append((statement, tuple(parameters or ())))

    event.listen(database.engine.sync_engine, "before_cursor_execute", before)
    yield seen
    event.remove(database.engine.sync_engine, "before_cursor_execute", before)


async def plans(service: ServiceUnderTest, tenant: str, asked: list[Asked], tables: Sequence[str] = LARGE) -> list[str]:
    """How the planner would do those of these that read one of the tables, as the service's own role."""
    found: list[str] = []
    async with service.database.unit_of_work(tenant) as uow:
        driver = await bulk.driver_of(uow.session)
        for statement, parameters in asked:
            if any(name in statement for name in tables):
                rows = await driver.fetch(f"EXPLAIN {statement}", *parameters)
                found.append("\n".join([statement, *(row[0] for row in rows)]))
    return found


def looked_through(plan: str, tables: Sequence[str] = LARGE) -> list[str]:
    return [name for name in tables if re.search(rf"Seq Scan on {name}\b", plan)]


async def take_for_large(owner_url: str, tables: Sequence[str]) -> None:
    """Let the planner take these tables for a million rows. The pages stay few: that a whole table looks cheap to read
    makes it the harder test."""
    connection = await asyncpg.connect(owner_url)
    try:
        for table in tables:
            await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            await connection.execute(f"ANALYZE {table}")
            await connection.execute(
                "SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', $1::text,"
                " 'reltuples', $2::real, 'relpages', relpages) FROM pg_class WHERE relname = $1",
                table,
                AS_IF,
            )
    finally:
        await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(start_service: Any) -> Tenant:
    """An engine with tables that the planner takes for large."""
    tenant = Tenant(await start_service("stage_engine"), "tenant-of-many")
    await tenant.publish_pipeline()
    await tenant.observe("o1", "prospecting")
    await tenant.changes(1)
    names = await tenant.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'opportunity'")
    listed = ", ".join(name for (name,) in names if name not in _GIVEN)
    given = {"tenant": tenant.tenant, "rows": ROWS, "owners": OWNERS}
    await tenant.rows(_COPIES.format(given=", ".join(_GIVEN), listed=listed, **given))
    await tenant.rows(_OBLIGATIONS.format(**given))
    await tenant.rows(_ACTIONS.format(**given))
    await take_for_large(tenant.service.owner_url, LARGE)
    return tenant


@pytest.mark.parametrize("role", ["admin", "manager", "rep"])
async def test_no_request_looks_through_a_whole_table(large: Tenant, role: str) -> None:
    headers, day = large.service.headers(large.tenant, role, "u7"), f"{utc_now():%Y-%m-%d}T00:00:00Z"
    faults: dict[str, list[str]] = {}
    checked = 0
    for path in PATHS:
        with watched(large.service.database) as asked:
            reply = await large.service.client.get(path.format(day=day), headers=headers)
        if reply.status_code == 403:
            continue
        assert reply.status_code == 200, (path, reply.text)
        found = await plans(large.service, large.tenant, asked)
        checked += len(found)
        if wrong := [plan for plan in found if looked_through(plan)]:
            faults[path] = wrong
    assert checked >= len(PATHS) - 3
    assert not faults, "\n\n".join(plan for each in faults.values() for plan in each)


async def test_timers_that_are_due_are_found_by_their_index(large: Tenant) -> None:
    with watched(large.service.database) as asked:
        async with large.service.database.unit_of_work(large.tenant) as uow:
            await TimerRepository(uow.session, large.tenant).claim(utc_now(), 100)
    found = await plans(large.service, large.tenant, asked)
    async with large.service.database.as_relay() as relay:
        rows = await relay.execute(text(f"EXPLAIN {timers.TENANTS}"), {"now": utc_now()})
        found.append("\n".join(row[0] for row in rows))
    assert len(found) >= 2
    for plan in found:
        assert "opportunity_due" in plan, plan
        assert not looked_through(plan), plan
