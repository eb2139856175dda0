"""Business hours of a tenant, its teams and its people."""

from datetime import datetime
from typing import Any

import pytest
from testing.service import eventually

from tests.builders import person_observed
from tests.stage_engine import Client, Tenant, draft

pytestmark = pytest.mark.stack


def week(opens: str, zone: str = "UTC", **more: Any) -> dict[str, Any]:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday")
    return {"zone": zone, "hours": [{"weekday": day, "opens": opens, "closes": "17:00"} for day in days], **more}


class TestCalendars:
    async def test_hours_are_put_read_and_refused(self, admin: Client, world_of: Tenant) -> None:
        path = "/v1/calendars/tenant"
        unset = await admin.call("GET", path, 404)
        assert (unset["code"], "Monday to Friday" in unset["detail"]) == ("calendar_not_found", True)
        body = week("08:30", "Europe/Berlin", holidays=["2026-12-25"])
        put = await admin.call("PUT", path, 200, body, match=0)
        assert (put["revision"], put["hours"], put["holidays"]) == (1, body["hours"], ["2026-12-25"])
        assert await admin.get(path) == put
        await admin.call("PUT", path, 412, body, match=0)
        refused = await admin.call("PUT", path, 422, week("08:30", "Mars/Olympus"), match=1)
        assert (refused["code"], refused["errors"][0]["pointer"]) == ("calendar_invalid", "/zone")
        backwards = await admin.call("PUT", path, 422, week("18:00"), match=1)
        assert backwards["errors"][0]["pointer"] == "/hours"
        rep = Client(world_of.service, world_of.tenant, "rep", "rita")
        await rep.call("PUT", path, 403, body, match=1)

    async def test_ones_own_go_first_then_the_teams_then_the_tenants(self, admin: Client, world_of: Tenant) -> None:
        stages = [dict(stage) for stage in draft()["stages"]]
        stages[0]["timers"] = [{"key": "call", "after": "2bh"}]
        await world_of.publish_pipeline(stages=stages)
        for person, manager in (("rita", "mona"), ("ron", "mona"), ("mona", "")):
            observed = person_observed(person, world_of.tenant, manager_id=manager)
            await world_of.service.publish(observed, tenant=world_of.tenant)

        async def known() -> None:
            assert await world_of.rows("SELECT count(*) FROM person") == [(3,)]

        await eventually(known)
        for scope, opens in (("tenant", "10:00"), ("team:mona", "11:00"), ("person:rita", "12:00")):
            await admin.call("PUT", f"/v1/calendars/{scope}", 200, week(opens), match=0)
        for each, owner in (("o1", "rita"), ("o2", "ron"), ("o3", "zoe")):
            await world_of.observe(each, "prospecting", owner_id=owner)
        await world_of.changes(3)
        for decision in await world_of.decisions(3):
            replayed = await admin.post(f"/v1/decisions/{decision.decision_id}/replay", expect=200)
            assert replayed["identical"] is True
        rows = await world_of.rows("SELECT opportunity_id, decision::json->>'calendar' FROM decision ORDER BY 1")
        assert [row[1] for row in rows] == ["person:rita@1", "team:mona@1", "tenant@1"]
        # Hours that change later leave alone what runs, and the replay of what was decided.
        before = await self.due(admin, "o3")
        await admin.call("PUT", "/v1/calendars/tenant", 200, week("06:00"), match=1)
        decision = (await world_of.decisions(3))[0]
        replayed = await admin.post(f"/v1/decisions/{decision.decision_id}/replay", expect=200)
        assert (replayed["identical"], await self.due(admin, "o3")) == (True, before)

    async def due(self, admin: Client, opportunity_id: str) -> datetime:
        [timer] = (await admin.get(f"/v1/opportunities/{opportunity_id}"))["timers"]
        return datetime.fromisoformat(timer["due"])
