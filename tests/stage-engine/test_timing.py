"""Timers fire by themselves: exactly once, in order, at a bounded rate, whatever happened meanwhile."""

import asyncio
import os
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from kit.ids import utc_now
from stage_engine.repository.timers import CLAIM
from stage_engine.service import timing
from stage_engine.service.timing import fire_page
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from testing.service import WAIT_SECONDS, eventually

from tests.stage_engine import Client, Tenant, draft, metric, stamp

pytestmark = pytest.mark.stack
# DUE_AT_ONCE=50000 for the whole storm, which takes some minutes.
DUE_AT_ONCE = int(os.environ.get("DUE_AT_ONCE", "1000"))
RULE = {
    "rule_id": "quiet", "from_stage": "prospecting", "to_stage": "closed_lost", "mode": "auto", "reason_code": "QUIET",
    "conditions": [{"fact": "timers.quiet.fired", "cell": "true"}],
}  # fmt: skip


def timed(after: str = "14d", **of_first: Any) -> dict[str, Any]:
    content = draft()
    stages = [dict(stage) for stage in content["stages"]]
    stages[0] |= {"timers": [{"key": "quiet", "after": after}], **of_first}
    return {"stages": stages, "rules": [*content["rules"], RULE]}


async def due(tenant: Tenant, at: datetime, where: str = "true") -> None:
    """Turn the clock: the timers of these opportunities were due at this time."""
    connection = await asyncpg.connect(tenant.service.owner_url)
    try:
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", tenant.tenant)
        await connection.execute(
            "UPDATE opportunity SET due_at = $1, state = jsonb_set(state::jsonb, '{timers,quiet,due}',"
            f" to_jsonb(to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))::text WHERE {where}",
            at,
        )
    finally:
        await connection.close()


async def fired(tenant: Tenant) -> list[tuple[str, int]]:
    rows = await tenant.rows(
        "SELECT opportunity_id, count(*) FROM decision WHERE identity LIKE 'timer:%' GROUP BY 1 ORDER BY 1"
    )
    return [(row[0], row[1]) for row in rows]


@pytest.fixture
async def still(start_service: Any, tenant: str) -> Tenant:
    """A tenant of an engine on whose tasks nothing waits: its timers fire when the test says so."""
    return Tenant(await start_service("stage_engine", timers_per_second=100_000), tenant)


class TestTimers:
    async def test_one_that_is_due_moves_the_opportunity_by_itself(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline(**timed())
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        [timer] = (await admin.get("/v1/opportunities/o1"))["timers"]
        assert (timer["key"], timer["paused"], timer["fired"]) == ("quiet", False, 0)
        left = datetime.fromisoformat(timer["due"]) - utc_now()
        assert timedelta(days=13) < left <= timedelta(days=14)
        late = await metric(world_of.service, "stage_timer_lateness_seconds_count")
        await due(world_of, utc_now() - timedelta(days=3))
        _, change = await world_of.changes(2)
        assert (change.to_stage, change.reason_code) == ("closed_lost", "QUIET")
        decision = (await world_of.decisions(2))[1]
        assert decision.input_kind == decided.INPUT_KIND_TIMER
        # Timers of other tests may fire meanwhile.
        assert await metric(world_of.service, "stage_timer_lateness_seconds_count") > late
        replayed = await admin.post(f"/v1/decisions/{decision.decision_id}/replay", expect=200)
        assert replayed["identical"] is True
        assert await fired(world_of) == [("o1", 1)]

    async def test_two_instances_and_a_downtime_fire_each_once(self, still: Tenant) -> None:
        await many_due_at_once(still, DUE_AT_ONCE)

    async def test_one_that_cannot_be_decided_holds_up_none_of_the_others(
        self, still: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await still.publish_pipeline(**timed())
        for each in ("a1", "b1", "c1"):
            await still.observe(each, "prospecting")
        await still.changes(3)
        real = timing.first_due

        def failing(opportunity: Any, now: datetime) -> Any:
            if opportunity.opportunity_id == "b1":
                raise ArithmeticError(opportunity.opportunity_id)
            return real(opportunity, now)

        monkeypatch.setattr(timing, "first_due", failing)
        await due(still, utc_now() - timedelta(days=1))

        async def others() -> None:
            assert await fired(still) == [("a1", 1), ("c1", 1)]
            [(until,)] = await still.rows("SELECT due_at FROM opportunity WHERE opportunity_id = 'b1'")
            assert until > utc_now()

        await eventually(others)

    async def test_a_tenant_with_many_due_does_not_hold_up_another(self, still: Tenant) -> None:
        other = Tenant(still.service, f"{still.tenant}-b")
        for each, count in ((still, 250), (other, 1)):
            await each.publish_pipeline(**timed())
            await copies(each, count)
        now = utc_now()
        await due(still, now - timedelta(days=9))
        await due(other, now - timedelta(days=1))

        async def done() -> None:
            assert await fired(other) == [("c00000001", 1)]

        await eventually(done)
        await all_fired(still, 250)


async def copies(tenant: Tenant, count: int) -> None:
    """So many opportunities with a timer, alike but for their ids."""
    await tenant.observe("c00000001", "prospecting")
    await tenant.changes(1)
    connection = await asyncpg.connect(tenant.service.owner_url)
    try:
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", tenant.tenant)
        names = [row[0] for row in await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'opportunity'"
            " AND column_name NOT IN ('opportunity_id', 'state')"
        )]  # fmt: skip
        listed = ", ".join(names)
        await connection.execute(
            f"INSERT INTO opportunity (opportunity_id, state, {listed})"
            " SELECT 'c' || lpad(n::text, 8, '0'), replace(state, 'c00000001', 'c' || lpad(n::text, 8, '0')),"
            f" {listed} FROM opportunity, generate_series(2, $1::int) AS n",
            count,
        )
    finally:
        await connection.close()


async def all_fired(tenant: Tenant, count: int) -> None:
    async def done() -> None:
        [(left,)] = await tenant.rows("SELECT count(*) FROM opportunity WHERE due_at IS NOT NULL")
        assert left == 0

    await eventually(done, seconds=max(WAIT_SECONDS, count / 100))
    [(once, most)] = await tenant.rows(
        "SELECT count(*), max(n) FROM (SELECT count(*) AS n FROM decision WHERE identity LIKE 'timer:%'"
        " GROUP BY opportunity_id) AS each"
    )
    assert (once, most) == (count, 1)


async def many_due_at_once(tenant: Tenant, count: int) -> None:
    """Two more loops beside that of the instance claim what is due; some of their transactions are cut off."""
    await tenant.publish_pipeline(**timed())
    await copies(tenant, count)
    await due(tenant, utc_now() - timedelta(days=3))
    database = tenant.service.runtime.database

    async def another() -> None:
        while await fire_page(database, tenant.tenant, 40):
            pass

    async def cut_off() -> None:
        for _ in range(5):
            task = asyncio.create_task(fire_page(database, tenant.tenant, 20))
            await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(another(), another(), cut_off())
    await all_fired(tenant, count)


class TestHold:
    @pytest.mark.capability(68)
    async def test_a_deal_is_deferred_and_goes_on_by_itself(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline(**timed())
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        path = "/v1/opportunities/o1"
        past = {"reason": "x", "until": "2026-01-01T00:00:00Z"}
        refused = await admin.call("POST", f"{path}/hold", 201, past, match=1)
        assert (refused["outcome"], refused["reasons"][0]["code"]) == ("rejected", "FAILED")
        until = (utc_now() + timedelta(days=30)).replace(microsecond=0)
        body = {"reason": "next quarter", "until": until.isoformat()}
        made = await admin.call("POST", f"{path}/hold", 201, body, match=1)
        assert (made["outcome"], made["transition"], made["input"]["kind"]) == ("accepted", None, "hold")
        shown = await admin.get(path)
        assert (shown["hold"]["reason"], shown["on_hold"], shown["timers"][1]["paused"]) == ("next quarter", True, True)
        assert [o["opportunity_id"] for o in (await admin.get("/v1/opportunities?on_hold=true"))["items"]] == ["o1"]
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        scored = (await world_of.decisions(4))[3]
        assert [r.code for r in scored.reasons] == ["ON_HOLD"]
        assert (await admin.get(path))["earned_stage"] == "discovery"
        await hold_ends(world_of)
        _, change = await world_of.changes(2)
        assert change.to_stage == "discovery"
        assert ((await admin.get(path))["hold"], (await admin.get("/v1/opportunities?on_hold=true"))["items"]) == (
            None,
            [],
        )
        kinds = [d.input_kind for d in await world_of.decisions(5)]
        assert kinds[1:] == [decided.INPUT_KIND_HOLD, decided.INPUT_KIND_HOLD, decided.INPUT_KIND_SUBMISSION,
                             decided.INPUT_KIND_TIMER]  # fmt: skip
        for decision in await world_of.decisions(5):
            replayed = await admin.post(f"/v1/decisions/{decision.decision_id}/replay", expect=200)
            assert replayed["identical"] is True

    async def test_a_person_resumes_it_and_strangers_see_nothing(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline(**timed())
        await world_of.observe("o1", "prospecting")
        await world_of.changes(1)
        path = "/v1/opportunities/o1"
        stranger = Client(world_of.service, world_of.tenant, "rep", "sam")
        await stranger.call("POST", f"{path}/hold", 404, {"reason": "x"}, match=1)
        await admin.call("POST", f"{path}/hold", 412, {"reason": "x"}, match=7)
        owner = Client(world_of.service, world_of.tenant, "rep", "rita")
        await owner.call("POST", f"{path}/hold", 201, {"reason": "x"}, match=1)
        resumed = await owner.call("POST", f"{path}/resume", 201, {}, match=1)
        assert resumed["outcome"] == "accepted"
        shown = await admin.get(path)
        assert (shown["hold"], shown["timers"][0]["paused"]) == (None, False)


async def hold_ends(tenant: Tenant) -> None:
    connection = await asyncpg.connect(tenant.service.owner_url)
    try:
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", tenant.tenant)
        await connection.execute("UPDATE opportunity SET due_at = now() - interval '1 day', state ="
            " regexp_replace(state, '(\"due\":|\"anchor\":|\"until\":)\"20[0-9-]+T[0-9:]+Z\"',"
            " '\\1\"2026-01-02T00:00:00Z\"', 'g')")  # fmt: skip
    finally:
        await connection.close()


class TestStalled:
    @pytest.mark.capability(69)
    async def test_stalled_deals_are_listed_the_longest_first(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline(**timed(stalled_after_days=10, expected_days=20))
        for each, days in (("o1", 12), ("o2", 9), ("o3", 300), ("o4", 11)):
            at = stamp(utc_now() - timedelta(days=days))
            await world_of.observe(each, "prospecting", committed_at=at)
        await world_of.changes(4)
        path = "/v1/opportunities?stalled=true"
        found = await admin.get(f"{path}&limit=2")
        rest = await admin.get(f"{path}&limit=2&cursor={found['next_cursor']}")
        assert [o["opportunity_id"] for o in (*found["items"], *rest["items"])] == ["o3", "o1", "o4"]
        shown = await admin.get("/v1/opportunities/o3")
        assert shown["age_business_days"] > 200
        assert shown["rotting_at"] > shown["inactive_at"]
        await admin.call("POST", "/v1/opportunities/o3/hold", 201, {"reason": "x"}, match=1)
        assert [o["opportunity_id"] for o in (await admin.get(path))["items"]] == ["o1", "o4"]


class TestPlans:
    async def test_looking_for_what_is_due_or_stalled_reads_an_index(self, still: Tenant) -> None:
        await still.publish_pipeline(**timed(stalled_after_days=10))
        await copies(still, 5000)
        await still.rows("ANALYZE opportunity")
        now = f"'{utc_now().isoformat()}'"
        claim = str(CLAIM).replace(":tenant_id", f"'{still.tenant}'").replace(":now", now).replace(":limit", "100")
        stalled = (
            "SELECT opportunity_id FROM opportunity"
            f" WHERE tenant_id = '{still.tenant}' AND stalled_at <= {now} ORDER BY stalled_at, opportunity_id LIMIT 51"
        )
        for statement, index in ((claim, "opportunity_due"), (stalled, "opportunity_stalled")):
            plan = "\n".join(row[0] for row in await still.rows(f"EXPLAIN {statement}"))
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan
