"""At a million opportunities, as the planner is told, a worklist and an opportunity are found by indexes. How little of
their histories is read is counted on filled tables."""

from typing import Any

import psycopg
import pytest
from testing.service import StartService

from tests.plans.test_work import OWNERS, ROWS, looked_through, plans, take_for_large, watched

pytestmark = pytest.mark.stack
TENANT = "tenant-of-many"
LARGE = ("opportunity",)
_OPPORTUNITIES = """
    INSERT INTO opportunity (tenant_id, opportunity_id, owner_id, deleted, observed_no, pipeline_key, pipeline_version,
                             stage_key, stage_category, visit_no, revision, recommendation_no)
    SELECT %s, 'x' || n, 'u' || n %% %s, false, 1, 'sales', 1, 'demo', CASE WHEN n %% 4 = 0 THEN 'won' ELSE 'open' END,
           1, 1, 0
    FROM generate_series(1, %s) AS n
"""
PATHS = [
    "/v1/worklist",
    "/v1/opportunities/x7/next-assessment",
    "/v1/opportunities/x7/timeline",
]


async def test_no_request_looks_through_a_whole_table(start_service: StartService) -> None:
    service = await start_service("assessment")
    with psycopg.connect(service.owner_url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [TENANT])
        connection.execute(_OPPORTUNITIES, [TENANT, OWNERS, ROWS])
    await take_for_large(service.owner_url, LARGE)
    faults: dict[tuple[str, str], list[str]] = {}
    shown: dict[str, Any] = {}
    checked = 0
    for role in ("rep", "manager", "admin"):
        for path in PATHS:
            with watched(service.database) as asked:
                reply = await service.client.get(path, headers=service.headers(TENANT, role, "u7"))
            if reply.status_code == 403:
                continue
            assert reply.status_code == 200, (path, reply.text)
            shown[path] = reply.json()
            found = await plans(service, TENANT, asked, LARGE)
            checked += len(found)
            if wrong := [plan for plan in found if looked_through(plan, LARGE)]:
                faults[role, path] = wrong
    assert checked >= len(PATHS)
    # All of this owner's are open.
    assert len(shown["/v1/worklist"]["items"]) == ROWS // OWNERS
    assert not faults, "\n\n".join(plan for each in faults.values() for plan in each)
