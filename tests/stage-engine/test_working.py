"""Figures of what people did and owed, counted from rows that say plainly what there is."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from kit.http.ownership import Owners
from sqlalchemy import insert
from stage_engine.domain.figures.catalogue import BY_KEY
from stage_engine.domain.figures.kinds import Group, rows_of
from stage_engine.models.work import activity, activity_total, obligation
from stage_engine.repository.figures.counting import CountingRepository
from stage_engine.repository.figures.sampling import Ask

from tests.stage_engine import Tenant

pytestmark = pytest.mark.stack
NOW = datetime(2026, 4, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def owed(key: str, owner_id: str, hours: int, state: str, took: int | None = None) -> dict[str, Any]:
    """Something to be done within two hours, made so many hours ago; `took` are the seconds until it was met."""
    made_at = NOW - hours * _HOUR
    return {
        "opportunity_id": "o1", "key": key, "made_at": made_at, "object_type": "opportunity",
        "pipeline_key": "field_example", "due": made_at + 2 * _HOUR, "owner_id": owner_id, "state": state,
        "met_at": None if took is None else made_at + timedelta(seconds=took), "by": owner_id, "source": "web",
        "hour": made_at.hour, "wall_seconds": took, "business_seconds": None if took is None else took // 2,
    }  # fmt: skip


class TestWorking:
    async def count(self, uow: Any, key: str, group: Group | None = None, horizon: int = 90) -> dict[str, Any]:
        period = NOW - timedelta(days=30), NOW + timedelta(days=1), NOW
        ask = Ask(Owners(None), "opportunity", *period, timedelta(days=horizon))
        tallies = await CountingRepository(uow.session).tallies(BY_KEY[key], ask, group)
        return {row.group: row for row in rows_of(BY_KEY[key].kind, tallies)}

    async def test_what_was_owed_is_met_in_time_late_open_or_cancelled(
        self, engine: Any, world_of: Tenant, tenant: str
    ) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "prospecting", owner_id="ann")
        await world_of.changes(1)
        rows = [
            owed("first_call", "ann", 10, "met", 3600), owed("first_call", "ann", 20, "late", 3 * 3600),
            owed("first_call", "bob", 30, "met", 1800), owed("first_call", "bob", 40, "missed"),
            owed("first_call", "bob", 1, "open"), owed("first_call", "bob", 50, "cancelled"),
            owed("visit", "ann", 60, "met", 60),
        ]  # fmt: skip
        async with engine.database.unit_of_work(tenant) as uow:
            await uow.session.execute(insert(obligation), [{"tenant_id": tenant, **row} for row in rows])
            found = (await self.count(uow, "obligations_in_time", Group.CATEGORY))["first_call"]
            assert (found.numerator, found.n, found.censored, found.excluded) == (2, 4, 1, 1)
            found = (await self.count(uow, "time_to_meet", Group.CATEGORY))["first_call"]
            # Half an hour, one hour and three; what was never met took longer than anything.
            assert (found.value, found.p90, found.n, found.censored) == (Decimal("0.0417"), None, 4, 1)
            assert found.mean == Decimal("0.0625")
            by_person = await self.count(uow, "business_time_to_meet", Group.PERSON)
            assert [(who, by_person[who].n) for who in ("ann", "bob")] == [("ann", 3), ("bob", 2)]
            assert set(await self.count(uow, "obligations_in_time", Group.HOUR)) >= {"14", "4"}

    async def test_an_activity_counts_once_whatever_it_is_about(
        self, engine: Any, world_of: Tenant, tenant: str
    ) -> None:
        await world_of.publish_pipeline()
        for id_ in ("o1", "o2"):
            await world_of.observe(id_, "prospecting", owner_id="ann")
        await world_of.changes(2)

        def did(subject: str, id_: str, kind: str, person_id: str, **more: Any) -> dict[str, Any]:
            at = NOW - timedelta(days=3)
            given = {"done": True, "withdrawn": False, "inbound": False, "occurred_at": at, "committed_at": at} | more
            return {"tenant_id": tenant, "subject_id": subject, "activity_id": id_, "kind": kind,
                    "person_id": person_id, **given}  # fmt: skip

        rows = [
            did("o1", "a1", "meeting", "ann"), did("o2", "a1", "meeting", "ann"), did("o1", "a2", "call", "bob"),
            did("o1", "a3", "call", "bob", done=False), did("o1", "a4", "call", "bob", withdrawn=True),
            did("o1", "a5", "call", "bob", occurred_at=NOW - timedelta(days=31)), did("lost", "a6", "call", "bob"),
        ]  # fmt: skip
        called = {"tenant_id": tenant, "subject_id": "o1", "kind": "call", "count": 1, "changes": 1,
                  "last_at": NOW - timedelta(days=80), "observed_at": NOW}  # fmt: skip
        async with engine.database.unit_of_work(tenant) as uow:
            await uow.session.execute(insert(activity), rows)
            await uow.session.execute(insert(activity_total), [called])
            by_person = await self.count(uow, "activities", Group.PERSON)
            assert {who: row.value for who, row in by_person.items()} == {"ann": 1, "bob": 1}
            assert (await self.count(uow, "meetings"))[""].value == 1
            assert (await self.count(uow, "touch_compliance"))[""].value == Decimal("0.5")
            assert (await self.count(uow, "touch_compliance", horizon=60))[""].value == 0
