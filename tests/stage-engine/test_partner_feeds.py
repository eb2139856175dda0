"""Partner feeds, on a real database and broker."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from sandbox.stack.topics import Topic, create_topics
from sqlalchemy import text
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from testing.service import ServiceUnderTest, StartService, eventually

from tests.stage_engine import Client, first_observed

pytestmark = pytest.mark.stack

NORTHWIND = {"partner_key": "northwind"}


async def lose(admin: Client, opportunity_id: str, revision: int = 1) -> None:
    lost = {"to_stage": "closed_lost", "reason_code": "PRICE"}
    await admin.post(f"/v1/opportunities/{opportunity_id}/transitions", lost, match=revision)


class TestPartnerFeeds:
    async def test_a_feed_needs_a_topic_that_exists_and_has_no_say_in_which(self, tenant: str, admin: Client) -> None:
        missing = await admin.post("/v1/partner-feeds", NORTHWIND, expect=422)
        assert missing["code"] == "partner_topic_missing"
        assert f"stagecraft.partner.{tenant}.northwind.stage-changed.v1" in missing["detail"]
        another = {**NORTHWIND, "topic": "stagecraft.partner.acme.northwind.stage-changed.v1"}
        assert (await admin.post("/v1/partner-feeds", another, expect=422))["code"] == "validation_failed"
        assert (await admin.get("/v1/partner-feeds"))["items"] == []

    async def test_a_partner_gets_every_change_under_ids_of_its_own(self, engine: ServiceUnderTest) -> None:
        tenant = "acme"
        admin = Client(engine, tenant)
        topic = "stagecraft.partner.acme.northwind.stage-changed.v1"
        await admin.post("/v1/partner-feeds", NORTHWIND)
        assert (await admin.post("/v1/partner-feeds", NORTHWIND, expect=409))["code"] == "partner_feed_exists"
        assert [f["topic"] for f in (await admin.get("/v1/partner-feeds"))["items"]] == [topic]
        opportunity_id = await first_observed(engine, tenant, admin)
        await lose(admin, opportunity_id)
        ours = await engine.events(StageChanged, tenant=tenant, count=2)
        theirs = await engine.events(StageChanged, tenant=tenant, count=2, topic=topic)
        assert [e.message for e in theirs] == [e.message for e in ours]
        assert not {e.id for e in theirs} & {e.id for e in ours}

    async def test_a_partner_that_leaves_holds_up_no_other_and_its_feed_can_be_removed(
        self, start_service: StartService, tenant: str
    ) -> None:
        """Its topic is deleted while changes are on their way."""
        engine = await start_service("stage_engine")
        admin, other = Client(engine, tenant), Client(engine, f"{tenant}-other")
        name = engine.settings.topic_prefix + f"stagecraft.partner.{tenant}.northwind.stage-changed.v1"
        servers = engine.infrastructure.bootstrap_servers
        await create_topics(servers, [Topic(name=name, partitions=1, writer="stage-engine")])
        # A broker knows a new topic a moment later.
        await eventually(lambda: admin.post("/v1/partner-feeds", NORTHWIND))
        first, second = [await first_observed(engine, each.tenant, each) for each in (admin, other)]
        topic = name.removeprefix(engine.settings.topic_prefix)
        assert len(await engine.events(StageChanged, tenant=tenant, count=1, topic=topic)) == 1
        kafka = AIOKafkaAdminClient(bootstrap_servers=servers)
        await kafka.start()
        await kafka.delete_topics([name])

        async def gone() -> None:
            assert name not in await kafka.list_topics()

        # The broker deletes a topic a moment after it says so, and takes events until then.
        await eventually(gone)
        await kafka.close()

        await lose(admin, first)
        await lose(other, second)
        for each in (tenant, other.tenant):
            assert len(await engine.events(StageChanged, tenant=each, count=2)) == 2

        async def quarantined(count: int) -> None:
            found = (await admin.get("/v1/quarantined-events"))["items"]
            assert [(each["topic"], each["whole_topic"]) for each in found] == [(name, True)] * count

        await eventually(lambda: quarantined(1))
        won = {"to_stage": "prospecting", "reason_code": "REOPENED"}
        await admin.post(f"/v1/opportunities/{first}/transitions", won, match=2)
        await eventually(lambda: quarantined(2))

        await admin.delete("/v1/partner-feeds/northwind")
        await quarantined(0)
        assert (await admin.delete("/v1/partner-feeds/northwind", expect=404))["code"] == "partner_feed_not_found"
        assert (await admin.get("/v1/partner-feeds"))["items"] == []
        assert len(await engine.events(StageChanged, tenant=tenant, count=3)) == 3

        async def drained() -> None:
            async with engine.database.as_relay() as connection:
                assert (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar() == 0

        await eventually(drained)
