"""The API and the consumers where no CRM is behind them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from kit.contracts.events import Event
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed

from tests.published import publish_pipelines

pytestmark = pytest.mark.stack
Eventually = Callable[..., Awaitable[Any]]
TENANT = "recorded"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service: Any, make: SimpleNamespace) -> AsyncIterator[Any]:
    found = await start_service("crm_connector", salesforce_tenant=TENANT, crm_poll_seconds=0.2)
    await publish_pipelines(found, TENANT, make.pipeline())
    await found.publish(make.assessment(), tenant=TENANT)
    yield found


@pytest.fixture
def opportunity() -> str:
    return f"opportunity-{uuid4().hex[:8]}"


@pytest.fixture
def intents(service: Any, eventually: Eventually) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    async def wanted(opportunity: str, *states: str, tenant: str = TENANT) -> list[dict[str, Any]]:
        async def check() -> list[dict[str, Any]]:
            path = f"/v1/write-intents?opportunity_id={opportunity}"
            reply = await service.client.get(path, headers=service.headers(tenant))
            found = reply.json()["items"]
            assert [item["state"] for item in found] == list(states)
            return found

        return await eventually(check)

    return wanted


class TestConsumers:
    async def test_a_recorded_write_counts_as_done(
        self, service: Any, make: SimpleNamespace, opportunity: str, intents: Any, freshness_shown: Any
    ) -> None:
        message = make.decision(
            opportunity, target="discovery", expected="prospecting", submission=make.scored(opportunity)
        )
        trace = "0af7651916cd43dd8448eb211c80319c"
        event = Event(TENANT, message, 1, f"00-{trace}-b7ad6b7169203331-01")
        await service.send(event.record("test", service.settings.topic_prefix))
        (intent,) = await intents(opportunity, "CONFIRMED")
        assert (intent["lane"], intent["target_stage"]) == ("STAGE", "discovery")
        (confirmed,) = await service.events(
            CrmWriteConfirmed, tenant=TENANT, count=1, where=lambda each: each.opportunity_id == opportunity
        )
        assert confirmed.message.submission_id == message.submission.submission_id
        assert confirmed.traceparent.split("-")[1] == trace
        await freshness_shown()

    async def test_what_writes_nothing_is_no_intent(
        self, service: Any, make: SimpleNamespace, opportunity: str, intents: Any
    ) -> None:
        await service.publish(make.decision(opportunity), tenant=TENANT)
        await service.publish(make.decision(opportunity, 2, target="demo"), tenant=TENANT, sequence=2)
        (intent,) = await intents(opportunity, "CONFIRMED")
        assert intent["decision_no"] == 2

    async def test_redelivery_under_the_same_and_under_another_id(
        self, service: Any, make: SimpleNamespace, opportunity: str, intents: Any
    ) -> None:
        message = make.decision(opportunity, target="demo")
        event_id = await service.publish(message, tenant=TENANT)
        await service.publish(message, tenant=TENANT, event_id=event_id)
        await service.publish(message, tenant=TENANT)
        await service.publish(
            make.decision(opportunity, 2, submission=make.scored(opportunity)), tenant=TENANT, sequence=2
        )
        await intents(opportunity, "CONFIRMED", "CONFIRMED")

    async def test_bad_events_are_put_aside_and_do_not_block(
        self, service: Any, make: SimpleNamespace, opportunity: str, intents: Any, eventually: Eventually
    ) -> None:
        # What comes after a bad event of its own opportunity would wait behind it.
        bad = make.decision(f"{opportunity}-1", target="demo")
        bad.decision_id = "not-a-uuid"
        other = f"{opportunity}-2"
        worse = make.decision(other, 2, submission=make.scored(other, score="seventy"))
        for number, message in enumerate((bad, worse), start=1):
            await service.publish(message, tenant=TENANT, sequence=number)
        record = Event(TENANT, make.decision(f"{opportunity}-3", 3), 3).record("test", service.settings.topic_prefix)
        await service.send(type(record)(record.topic, record.key, b"\xff\xff", record.headers))
        await service.publish(make.decision(opportunity, 4, target="demo"), tenant=TENANT, sequence=4)
        (intent,) = await intents(opportunity, "CONFIRMED")
        assert intent["decision_no"] == 4

        async def buried() -> None:
            reply = await service.client.get("/v1/dead-letters", headers=service.headers(TENANT))
            codes = sorted(item["code"] for item in reply.json()["items"])
            assert codes == ["bad_decimal", "bad_id", "bad_payload"]

        await eventually(buried)

    async def test_an_older_version_of_a_pipeline_changes_nothing(
        self, service: Any, make: SimpleNamespace, tenant: str, eventually: Eventually
    ) -> None:
        newer, older = make.pipeline(2), make.pipeline(1)
        newer.stages[1].name = "Discovery call"
        await service.publish(newer, tenant=tenant, sequence=2)
        await service.publish(older, tenant=tenant, sequence=1)
        await service.publish(make.pipeline(key="marker", default=False), tenant=tenant)

        async def marker() -> None:
            reply = await service.client.get("/v1/stage-mappings/marker", headers=service.headers(tenant))
            assert reply.status_code == 200

        await eventually(marker)
        reply = await service.client.get("/v1/stage-mappings/sales", headers=service.headers(tenant))
        assert reply.json()["pipeline_version"] == 2
        assert reply.json()["stages"]["discovery"] == "Discovery call"


class TestTenants:
    async def test_a_tenant_sees_and_moves_only_its_own(
        self, service: Any, make: SimpleNamespace, opportunity: str, tenant: str, intents: Any
    ) -> None:
        await service.publish(make.decision(opportunity, target="demo"), tenant=TENANT)
        (intent,) = await intents(opportunity, "CONFIRMED")
        await intents(opportunity, tenant=tenant)
        headers, client = service.headers(tenant), service.client
        path = f"/v1/write-intents/{intent['intent_id']}"
        assert (await client.get(path, headers=headers)).status_code == 404
        assert (await client.post(f"{path}/retry", headers=headers)).status_code == 404
        assert (await client.get(f"/v1/opportunities/{opportunity}", headers=headers)).status_code == 404
        assert (await client.get("/v1/stage-mappings/sales", headers=headers)).status_code == 404

    async def test_without_a_crm_of_its_own_nothing_is_written_for_it(
        self, service: Any, make: SimpleNamespace, opportunity: str, tenant: str, intents: Any
    ) -> None:
        await publish_pipelines(service, tenant, make.pipeline())
        await service.publish(make.decision(opportunity, target="demo"), tenant=tenant)
        await intents(opportunity, "NEW", tenant=tenant)
        found = (await service.client.get("/v1/connection", headers=service.headers(tenant))).json()
        assert found["state"] == "NOT_CONNECTED"
        assert found["unfinished_since"] is not None
        reply = await service.client.post("/v1/imports", headers=service.headers(tenant))
        assert (reply.status_code, reply.json()["code"]) == (409, "tenant_not_connected")


class TestApi:
    async def test_the_connection(self, service: Any, eventually: Eventually) -> None:
        async def live() -> dict[str, Any]:
            found = (await service.client.get("/v1/connection", headers=service.headers(TENANT))).json()
            assert found["state"] == "RECORDING"
            return found

        found = await eventually(live)
        assert (found["adapter"], found["last_error"]) == ("recording", "")

    async def test_pages_and_filters(self, service: Any, make: SimpleNamespace, opportunity: str, intents: Any) -> None:
        for number in range(1, 4):
            await service.publish(make.decision(opportunity, number, target="demo"), tenant=TENANT, sequence=number)
        await intents(opportunity, "CONFIRMED", "CONFIRMED", "CONFIRMED")
        path, seen = f"/v1/write-intents?opportunity_id={opportunity}&state=CONFIRMED&limit=2", []
        cursor = ""
        while cursor is not None:
            reply = await service.client.get(path + cursor, headers=service.headers(TENANT))
            seen += [item["decision_no"] for item in reply.json()["items"]]
            following = reply.json()["next_cursor"]
            cursor = f"&cursor={following}" if following else None
        assert seen == [3, 2, 1]
        none = await service.client.get(
            f"{path}&state=PARKED".replace("state=CONFIRMED&", ""), headers=service.headers(TENANT)
        )
        assert none.json()["items"] == []

    @pytest.mark.parametrize(
        ("method", "path", "role"),
        [
            ("GET", "connection", "rep"),
            ("GET", "write-intents", "rep"),
            ("POST", "imports", "rep"),
            ("POST", "write-intents/019ab3c4-0000-7000-8000-000000000000/retry", "manager"),
            ("PUT", "stage-mappings/sales", "manager"),
        ],
    )
    async def test_scopes(self, service: Any, method: str, path: str, role: str) -> None:
        body = {"stages": {}} if method == "PUT" else None
        headers = {**service.headers(TENANT, role), "If-Match": '"0"'}
        reply = await service.client.request(method, f"/v1/{path}", json=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (403, "missing_scope")

    async def test_a_mapping_needs_its_etag(self, service: Any) -> None:
        reply = await service.client.put(
            "/v1/stage-mappings/sales", json={"stages": {}}, headers=service.headers(TENANT)
        )
        assert reply.status_code == 428

    async def test_what_is_not_there(self, service: Any) -> None:
        headers = service.headers(TENANT)
        for path, code in {
            f"write-intents/{uuid4()}": "write_intent_not_found",
            f"imports/{uuid4()}": "import_not_found",
            "opportunities/006nobody": "opportunity_not_found",
            "stage-mappings/none": "pipeline_not_found",
        }.items():
            reply = await service.client.get(f"/v1/{path}", headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (404, code)

    async def test_a_repeated_import_request_is_answered_alike(self, service: Any) -> None:
        headers = {**service.headers(TENANT), "Idempotency-Key": uuid4().hex}
        first = await service.client.post("/v1/imports", headers=headers)
        again = await service.client.post("/v1/imports", headers=headers)
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json() == again.json()
        assert again.headers["idempotent-replay"] == "true"

    async def test_manual_changes_are_audited(
        self, service: Any, make: SimpleNamespace, tenant: str, eventually: Eventually
    ) -> None:
        await publish_pipelines(service, tenant, make.pipeline())
        headers = {**service.headers(tenant, subject="ann"), "If-Match": '"0"'}

        async def mapped() -> None:
            body = {"stages": {"demo": "Demo call"}}
            reply = await service.client.put("/v1/stage-mappings/sales", json=body, headers=headers)
            assert reply.status_code == 200
            assert reply.headers["etag"] == '"1"'
            assert reply.json()["is_default"] is False

        await eventually(mapped)
        entries = (await service.client.get("/v1/audit-entries", headers=headers)).json()["items"]
        assert [(e["action"], e["subject"], e["actor"]) for e in entries] == [
            ("stage-mapping.replaced", "sales", "ann")
        ]
