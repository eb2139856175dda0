"""With 200,000 visits of three years, a figure of one month reads a month of them, whatever it counts."""

import os
from datetime import timedelta
from typing import Any, LiteralString, cast
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from kit.http.ownership import Owners
from kit.ids import utc_now
from sqlalchemy import text
from stage_engine.domain.figures.catalogue import BY_KEY
from stage_engine.domain.figures.kinds import Group
from stage_engine.repository.figures.counting import CountingRepository
from stage_engine.repository.figures.sampling import Ask

from tests.plans.test_sets import rows_read
from tests.plans.test_work import looked_through, plans, take_for_large, watched
from tests.stage_engine import Tenant

pytestmark = [pytest.mark.slow, pytest.mark.stack]
# OPPORTUNITIES=100000 for a million visits, which takes some minutes.
OPPORTUNITIES, VISITS, DAYS = int(os.environ.get("OPPORTUNITIES", "20000")), 10, 1000
OF_A_MONTH = OPPORTUNITIES * VISITS * 30 // DAYS
# All visits of an opportunity may be looked at beside one of them.
MOST = (VISITS + 2) * OF_A_MONTH
# Without a period: as of now. Those of work are counted from tables that are empty here.
_OF_NOW = {"aging", "rotten_rate", "stalled_rate", "forecast", "forecast_earned", "optimism_gap", "stages_ahead",
           "touch_compliance", "activities", "meetings", "obligations_in_time", "time_to_meet",
           "business_time_to_meet"}  # fmt: skip
_TABLES = ("visit", "standing", "evaluation")
_FILL = """
    INSERT INTO {table}
    SELECT made.*
    FROM (SELECT to_jsonb(t) AS doc FROM {table} AS t WHERE tenant_id = '{tenant}' LIMIT 1) AS one,
        generate_series(1, {opportunities}) AS n,
        generate_series(1, {visits}) AS k,
        LATERAL (SELECT now() - (1 + (n * 7 + k * 97) % {days}) * interval '1 day' AS at) AS moment,
        LATERAL jsonb_populate_record(NULL::{table}, one.doc || jsonb_build_object(
            'opportunity_id', 'x' || n, {number}, {times}
        )) AS made
"""
_TIMES = {
    "visit": ("'revision', k", "'entered_at', at, 'created_at', at, 'visit_no', k, 'is_first', k < 5,"
              " 'left_at', CASE WHEN k < {visits} THEN at + interval '3 days' END, 'wall_seconds', 1,"
              " 'rank', (k - 1) % 5"),
    "standing": ("'decision_no', k", "'since', at, 'due', (at + interval '5 days')::date,"
                 " 'until', CASE WHEN k < {visits} THEN at + interval '9 days' END"),
    "evaluation": ("'decision_no', k", "'decided_at', at"),
    "opportunity": ("'revision', 1", "'updated_at', at"),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(start_service: Any) -> tuple[Any, str]:
    """An engine with many visits, standings and evaluations."""
    service, tenant = await start_service("stage_engine"), f"tenant-{uuid4().hex[:8]}"
    world = Tenant(service, tenant)
    await world.publish_pipeline()
    await world.observe("o1", "prospecting", close_date="2026-06-30")
    await world.changes(1)
    await world.score("o1", "prospecting", "50", ("prospecting", 1))
    await world.decisions(2)
    with psycopg.connect(service.owner_url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])
        for table, (number, times) in _TIMES.items():
            sizes = {"opportunities": OPPORTUNITIES, "visits": 1 if table == "opportunity" else VISITS, "days": DAYS}
            filling = _FILL.format(table=table, tenant=tenant, number=number, times=times.format(**sizes), **sizes)
            connection.execute(cast(LiteralString, filling))
        connection.execute("ANALYZE")
    return service, tenant


def of_a_month() -> Ask:
    """All of a month that is long over."""
    now = utc_now()
    return Ask(
        Owners(None), "opportunity", now - timedelta(days=330), now - timedelta(days=300), now, timedelta(days=20),
        stages=[("field_example", "discovery", 1)],
    )  # fmt: skip


async def test_a_figure_of_a_month_reads_a_month(filled: tuple[Any, str]) -> None:
    service, tenant = filled
    ask = of_a_month()
    for key in sorted(BY_KEY.keys() - _OF_NOW):
        async with service.database.unit_of_work(tenant) as uow:
            # What other processes read would not be counted here.
            await uow.session.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
            # Transactions just before this one are counted as well, until the server has reported them.
            before = [await rows_read(uow, table) for table in _TABLES]
            await CountingRepository(uow.session).tallies(BY_KEY[key], ask, Group.PERSON)
            read = [await rows_read(uow, table) - rows for table, rows in zip(_TABLES, before, strict=True)]
        assert 0 < sum(read) and max(read) <= MOST, (key, read)


async def test_no_figure_of_a_month_looks_through_what_a_million_left(filled: tuple[Any, str]) -> None:
    service, tenant = filled
    await take_for_large(service.owner_url, _TABLES)
    faults: dict[str, list[str]] = {}
    for key in sorted(BY_KEY.keys() - _OF_NOW):
        with watched(service.database) as asked:
            async with service.database.unit_of_work(tenant) as uow:
                await CountingRepository(uow.session).tallies(BY_KEY[key], of_a_month(), Group.PERSON)
        found = await plans(service, tenant, asked, _TABLES)
        assert found, key
        if wrong := [plan for plan in found if looked_through(plan, _TABLES)]:
            faults[key] = wrong
    assert not faults, "\n\n".join(plan for each in faults.values() for plan in each)
