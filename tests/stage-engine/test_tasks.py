"""What runs in the background."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from stage_engine.tasks import check_one, measure_gap
from stage_engine.tenants import Tenants
from stagecraft.crm.v1 import record_observed_pb2 as crm
from testing.service import eventually

from tests.stage_engine import Client, Tenant, metric

pytestmark = pytest.mark.stack


class TestBackground:
    async def test_stored_decisions_are_decided_again_and_a_changed_one_is_found(self, world_of: Tenant) -> None:
        runtime, same = world_of.service.runtime, 'stage_replays_total{outcome="same"}'
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        made = {UUID(d.decision_id) for d in await world_of.decisions(2)}
        assert await metric(world_of.service, "stage_decision_latency_seconds_count") > 0
        before = await metric(world_of.service, same)
        assert {await check_one(runtime, world_of.tenant, place) for place in (0.0, 0.5, 1.0)} <= made
        # The check also runs by itself.
        assert await metric(world_of.service, same) >= before + 3
        assert runtime.resources.get(Tenants).any()
        connection = await asyncpg.connect(world_of.service.owner_url)
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", world_of.tenant)
        await connection.execute(
            "UPDATE decision SET after = replace(after, 'discovery', 'demo') WHERE decision_no = 2"
        )
        await connection.close()
        different = await metric(world_of.service, 'stage_replays_total{outcome="different"}')
        await check_one(runtime, world_of.tenant, 1.0)
        assert await metric(world_of.service, 'stage_replays_total{outcome="different"}') > different
        assert await check_one(runtime, "nobody", 0.5) is None

    async def test_a_decision_that_cannot_be_decided_again_is_counted(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        connection = await asyncpg.connect(world_of.service.owner_url)
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", world_of.tenant)
        await connection.execute("UPDATE decision SET given = 'no JSON'")
        await connection.close()
        failed = await metric(world_of.service, 'stage_replays_total{outcome="failed"}')
        with pytest.raises(ValueError, match="JSON"):
            await check_one(world_of.service.runtime, world_of.tenant, 0.0)
        assert await metric(world_of.service, 'stage_replays_total{outcome="failed"}') > failed

    async def test_the_check_runs_by_itself(self, start_service: Any) -> None:
        own = await start_service("stage_engine", replay_check_seconds=0.05)
        tenant = Tenant(own, "acme")
        await tenant.publish_pipeline()
        await tenant.observe("o1", "prospecting")
        await tenant.changes(1)
        checked = await metric(own, 'stage_replays_total{outcome="same"}')

        async def more() -> None:
            assert await metric(own, 'stage_replays_total{outcome="same"}') > checked

        await eventually(more)

    async def test_what_waits_and_the_gap_are_counted_over_all_tenants(self, start_service: Any) -> None:
        own = await start_service("stage_engine", replay_check_seconds=0)
        waiting = 'waiting_items{service="stage-engine",what="%s"}'
        for name in ("acme", "umbrella"):
            tenant = Tenant(own, name)
            await tenant.score("unseen", "prospecting", "70", ("prospecting", 1))
            await tenant.publish_pipeline()
            await tenant.observe("o1", "prospecting")
            await tenant.observe("o2", "", crm_stage="Renamed")
            await tenant.observe("o3", "demo", kind=crm.OBSERVATION_KIND_UPDATED)
            await tenant.decisions(3)
            # The last word counts.
            for word in (True, False, True)[: 2 if name == "acme" else 3]:
                switch = {"open": word, "reason": "A look at what moved."}
                await Client(own, name).call("PUT", "/v1/pipelines/field_example/breaker", 200, switch)

        async def counted() -> None:
            assert await metric(own, waiting % "open_breakers") == 1
            assert await metric(own, waiting % "parked_events") == 2
            assert await metric(own, waiting % "quarantined_opportunities") == 2
            assert await metric(own, waiting.replace("items", "oldest_age_seconds") % "parked_events") > 0

        await eventually(counted)
        stop = asyncio.Event()
        task = asyncio.create_task(measure_gap(own.runtime, stop))

        async def measured() -> None:
            assert await metric(own, "stage_open_opportunities") == 4
            assert await metric(own, "stage_actions_open") == 0

        await eventually(measured)
        stop.set()
        await task
