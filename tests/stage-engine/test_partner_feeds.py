"""Partner feeds, on a real database and broker."""

import pytest
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from testing.service import ServiceUnderTest

from tests.stage_engine import Client, first_observed

pytestmark = pytest.mark.stack


class TestPartnerFeeds:
    async def test_a_feed_needs_a_topic_of_the_tenant_that_exists(self, tenant: str, admin: Client) -> None:
        missing = {"partner_key": "northwind", "topic": f"stagecraft.partner.{tenant}.northwind.stage-changed.v1"}
        assert (await admin.post("/v1/partner-feeds", missing, expect=422))["code"] == "partner_topic_missing"
        foreign = {"partner_key": "northwind", "topic": "stagecraft.stage.changed.v1"}
        assert (await admin.post("/v1/partner-feeds", foreign, expect=422))["code"] == "partner_topic_foreign"
        assert (await admin.get("/v1/partner-feeds"))["items"] == []

    async def test_a_partner_gets_every_change_under_ids_of_its_own(self, engine: ServiceUnderTest) -> None:
        tenant = "acme"
        admin = Client(engine, tenant)
        topic = "stagecraft.partner.acme.northwind.stage-changed.v1"
        feed = {"partner_key": "northwind", "topic": topic}
        await admin.post("/v1/partner-feeds", feed)
        assert (await admin.post("/v1/partner-feeds", feed, expect=409))["code"] == "partner_feed_exists"
        assert [f["topic"] for f in (await admin.get("/v1/partner-feeds"))["items"]] == [topic]
        opportunity_id = await first_observed(engine, tenant, admin)
        lost = {"to_stage": "closed_lost", "reason_code": "PRICE"}
        await admin.post(f"/v1/opportunities/{opportunity_id}/transitions", lost, match=1)
        ours = await engine.events(StageChanged, tenant=tenant, count=2)
        theirs = await engine.events(StageChanged, tenant=tenant, count=2, topic=topic)
        assert [e.message for e in theirs] == [e.message for e in ours]
        assert not {e.id for e in theirs} & {e.id for e in ours}
