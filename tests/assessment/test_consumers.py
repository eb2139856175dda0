"""Replicas stay right under re-delivery, disorder and bad events."""

from datetime import UTC, datetime
from typing import Any

import pytest
from assessment.service.events import replicate_opportunities, replicate_recommendations, replicate_stages
from google.protobuf.timestamp_pb2 import Timestamp
from kit.contracts.events import Event, decode
from kit.errors import InvalidEvent
from kit.ids import utc_now, uuid7
from sqlalchemy import text
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_OPEN
from stagecraft.stage.v1.stage_changed_pb2 import CAUSE_CRM, TRANSITION_KIND_ADOPT, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import OUTCOME_PROPOSED

from tests.builders import record_observed

pytestmark = pytest.mark.stack
MOVE: dict[str, Any] = {
    "opportunity_id": "006A",
    "transition_id": str(uuid7()),
    "kind": TRANSITION_KIND_ADOPT,
    "cause": CAUSE_CRM,
    "pipeline_key": "sales",
    "to_stage": "demo",
    "changed_at": utc_now(),
}


def stamp_of(second: int) -> Timestamp:
    return Timestamp(seconds=1_772_000_000 + second)


async def opportunity(world: Any, opportunity_id: str = "006A") -> dict[str, Any]:
    async with world.service.database.unit_of_work(world.tenant) as uow:
        statement = text("SELECT * FROM opportunity WHERE opportunity_id = :id")
        found = (await uow.session.execute(statement, {"id": opportunity_id})).mappings().first()
    assert found is not None
    return dict(found)


async def holds(world: Any, **expected: Any) -> None:
    async def check() -> None:
        row = await opportunity(world)
        assert {name: row[name] for name in expected} == expected

    await world.eventually(check)


class TestOrder:
    async def test_a_lower_revision_never_wins(self, world: Any) -> None:
        await world.place(stage="discovery", revision=2)
        await world.place(stage="prospecting", revision=1)
        await world.place("006B", stage="demo", revision=1)
        await holds(world, stage_key="discovery", visit_no=2, revision=2)

        async def both_kept() -> None:
            items = (await world.call("GET", "/opportunities/006A/timeline", role="admin")).json()["items"]
            assert sorted(item["detail"]["revision"] for item in items) == [1, 2]

        await world.eventually(both_kept)
        await holds(world, stage_key="discovery", visit_no=2, revision=2)

    async def test_an_older_observation_never_wins(self, world: Any) -> None:
        await world.observe(sequence=5, owner_id="ann")
        await world.observe(sequence=4, owner_id="bob")
        await world.observe(sequence=6, owner_id="ann", amount="7")
        await holds(world, owner_id="ann", observed_no=6)

    async def test_either_side_may_come_first(self, world: Any) -> None:
        await world.place(stage="demo", revision=3)
        await holds(world, stage_key="demo", owner_id=None)
        await world.observe(sequence=9, stage_key="negotiation")
        await holds(world, stage_key="demo", revision=3, owner_id="rep", observed_no=9)

    async def test_a_rescore_is_shown_whatever_its_order(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = str(uuid7())
        assert (await world.submit(submission_id)).status_code == 201
        await world.scored(submission_id, "70", scored_at=stamp_of(2))
        await world.scored(submission_id, "56", scored_at=stamp_of(1))
        await world.decided(submission_id, OUTCOME_PROPOSED, decision_no=2, proposed_stage="discovery")
        await world.decided(submission_id, decision_no=1)

        async def newest() -> None:
            timeline = (await world.call("GET", "/opportunities/006A/timeline")).json()["items"]
            assert sorted(i["kind"] for i in timeline) == ["decision"] * 2 + ["score"] * 2 + [
                "stage_change",
                "submission",
            ]
            answer = (await world.call("GET", f"/submissions/{submission_id}")).json()
            assert (answer["score"]["score"], answer["decision"]["outcome"]) == ("70", "proposed")

        await world.eventually(newest)

    async def test_re_delivery_changes_nothing(self, world: Any) -> None:
        change = StageChanged(
            transition_id=str(uuid7()), opportunity_id="006A", pipeline_key="sales", revision=1, to_stage="demo",
            visit_no=1, kind=TRANSITION_KIND_ADOPT, cause=CAUSE_CRM, to_category=CATEGORY_OPEN,
            changed_at=datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        event_id = await world.service.publish(change, tenant=world.tenant)
        await world.service.publish(change, tenant=world.tenant, event_id=event_id)
        # The same fact under another id, as after a restore of the producer's database.
        await world.service.publish(change, tenant=world.tenant)
        await world.place("006A", "discovery", revision=2)
        await holds(world, stage_key="discovery")
        items = (await world.call("GET", "/opportunities/006A/timeline", role="admin")).json()["items"]
        assert [item["detail"]["revision"] for item in items] == [1, 2]


class TestIsolation:
    async def test_tenants_do_not_see_each_other(self, world: Any) -> None:
        stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
        await world.place(stage="demo")
        await stranger.place(stage="discovery")
        await holds(world, stage_key="demo")
        await holds(stranger, stage_key="discovery")
        assert (await world.call("GET", "/assessments", role="admin")).json()["items"] == []

    async def test_every_table_forces_row_security(self, world: Any) -> None:
        statement = text(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relforcerowsecurity"
        )
        async with world.service.database.unit_of_work(world.tenant) as uow:
            assert list((await uow.session.execute(statement)).scalars()) == ["alembic_version"]


class TestBadEvents:
    async def test_are_put_aside_and_do_not_block(self, world: Any) -> None:
        prefix = world.service.settings.topic_prefix
        bad = RecordObserved(object_type="opportunity", record_id="006X", kind=99)  # pyright: ignore[reportArgumentType]
        record = Event(world.tenant, bad, 1).record("test", prefix)
        await world.service.send(record)
        await world.place("006X", "demo", cause=0)
        await world.observe("006A", sequence=2)
        await world.place("006A", "demo", revision=2)
        await holds(world, stage_key="demo", owner_id="rep")

        async def listed() -> None:
            answer = (await world.call("GET", "/dead-letters", role="sre")).json()
            assert [item["code"] for item in answer["items"]] == ["unknown_value"] * 2

        await world.eventually(listed)

    @pytest.mark.parametrize(
        ("handler", "bad", "good"),
        [
            (
                replicate_opportunities,
                RecordObserved(object_type="opportunity", record_id="006A"),
                record_observed(opportunity_id="006A"),
            ),
            (
                replicate_stages,
                StageChanged(**MOVE, revision=1),
                StageChanged(**MOVE, revision=2, to_category=CATEGORY_OPEN),
            ),
            (
                replicate_recommendations,
                StageRecommended(opportunity_id="006A", recommendation_id="one", recommended_at=utc_now()),
                StageRecommended(opportunity_id="006A", recommendation_id=str(uuid7()), recommended_at=utc_now()),
            ),
        ],
    )
    async def test_one_that_a_later_one_replaces_is_put_aside_all_the_same(
        self, world: Any, handler: Any, bad: Any, good: Any
    ) -> None:
        events = [decode(Event(world.tenant, each, n).record("test"), 0, n) for n, each in enumerate((bad, good), 1)]
        async with world.service.database.unit_of_work(world.tenant) as uow:
            with pytest.raises(InvalidEvent):
                await handler(uow, events)
