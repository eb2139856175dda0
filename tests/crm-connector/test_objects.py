"""Leads and accounts go through their stages like opportunities: seen, decided on and written back."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from crm_connector.salesforce.preflight import RULE_MISSING
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_LOST, CATEGORY_OPEN, PipelinePublished, Stage
from testing.service import eventually

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

PERSON = {"LastName": "Lund", "Company": "Lund AB"}
# The object, what a record of it needs, its stage field, and three stages: ours and the CRM's.
KINDS = {
    "lead": ("Lead", PERSON, "Status", ["Open - Not Contacted", "Working - Contacted", "Closed - Not Converted"]),
    "account": ("Account", {"Name": "Initech"}, "Type", ["Prospect", "Customer", "Other"]),
}
KEYS = ("first", "second", "last")


class Subjects:
    """Records of one object type, as people and the connector change them."""

    def __init__(self, linked: Any, make: Any, object_type: str) -> None:
        self.linked, self.make, self.object_type = linked, make, object_type
        self.name, self.needed, self.field, self.stages = KINDS[object_type]

    async def publish(self) -> None:
        categories = (CATEGORY_OPEN, CATEGORY_OPEN, CATEGORY_LOST)
        stages = [Stage(key=k, name=n, category=c) for k, n, c in zip(KEYS, self.stages, categories, strict=True)]
        message = PipelinePublished(
            pipeline_key=f"{self.object_type}s", version=1, name="Its own", stages=stages, object_type=self.object_type
        )
        await self.linked.service.publish(message, tenant=self.linked.tenant)

    async def created(self, stage: str = "first") -> str:
        headers = {"Authorization": f"Bearer {self.linked.org.token()}"}
        body = {**self.needed, self.field: self.stages[KEYS.index(stage)]}
        async with httpx.AsyncClient(base_url=self.linked.org.url, headers=headers) as client:
            reply = await client.post(f"/services/data/v67.0/sobjects/{self.name}", json=body)
        assert reply.status_code == 201, reply.text
        await self.seen(reply.json()["id"], stage)
        return reply.json()["id"]

    async def seen(self, record_id: str, stage: str) -> RecordObserved:
        async def shown() -> RecordObserved:
            message = (await self.linked.observed(record_id, 1))[-1]
            assert (message.object_type, message.crm_stage) == (self.object_type, self.stages[KEYS.index(stage)])
            return message

        return await eventually(shown)

    async def decide(self, record_id: str, target: str, expected: str, number: int = 1) -> None:
        message = self.make.decision(record_id, number, target=target, expected=expected)
        message.object_type, message.pipeline_key = self.object_type, f"{self.object_type}s"
        await self.linked.decide(message)

    def held(self, record_id: str) -> dict[str, Any]:
        names = f"Id, {self.field}, Stagecraft_Outcome__c"
        headers = {"Authorization": f"Bearer {self.linked.org.token()}"}
        soql = f"SELECT {names} FROM {self.name} WHERE Id = '{record_id}'"
        with httpx.Client(base_url=self.linked.org.url, headers=headers) as client:
            return client.get("/services/data/v67.0/query", params={"q": soql}).json()["records"][0]


@pytest_asyncio.fixture(params=sorted(KINDS), loop_scope="session")
async def subjects(linked: Any, make: Any, request: pytest.FixtureRequest) -> AsyncIterator[Subjects]:
    found = Subjects(linked, make, request.param)
    await found.publish()
    yield found
    linked.org.sim("rule", {"active": True, "object": found.name})
    linked.org.sim("permissions", {})
    await linked.service.client.post("/v1/connection/retry", headers=linked.headers)


class TestWriteBack:
    async def test_a_decision_writes_the_stage_once_and_its_echo_is_no_news(self, subjects: Subjects) -> None:
        linked = subjects.linked
        record_id = await subjects.created()
        await subjects.decide(record_id, "second", "first")
        (intent,) = await linked.state_of(record_id, "ECHOED")
        assert (intent["object_type"], intent["attempts"]) == (subjects.object_type, 1)
        assert subjects.held(record_id)[subjects.field] == subjects.stages[1]
        confirmed = await linked.service.events(CrmWriteConfirmed, tenant=linked.tenant, count=1)
        assert [e.message.stage_key for e in confirmed if e.message.opportunity_id == record_id] == ["second"]
        assert len(await linked.observed(record_id, 1)) == 1
        await subjects.decide(record_id, "last", "second", 2)
        await linked.state_of(record_id, "ECHOED", "ECHOED")
        assert subjects.held(record_id)["Stagecraft_Outcome__c"] == "lost"

    async def test_a_stage_that_a_person_set_is_not_replaced(self, subjects: Subjects) -> None:
        linked = subjects.linked
        record_id = await subjects.created()
        linked.org.sim("edit", {"id": record_id, "fields": {subjects.field: subjects.stages[2]}})
        await subjects.seen(record_id, "last")
        await subjects.decide(record_id, "second", "first")
        await linked.state_of(record_id, "CONFLICT")
        assert subjects.held(record_id)[subjects.field] == subjects.stages[2]


class TestLacks:
    @pytest.mark.parametrize("lacking", ["rule", "field"])
    async def test_an_object_that_lacks_something_is_held_with_words_and_opportunities_go_on(
        self, subjects: Subjects, lacking: str
    ) -> None:
        linked = subjects.linked
        record_id = await subjects.created()
        if lacking == "rule":
            linked.org.sim("rule", {"active": False, "object": subjects.name})
            words = RULE_MISSING.format(subjects.name)
        else:
            linked.org.sim("permissions", {"hidden": [f"{subjects.name}.Stagecraft_Score__c"]})
            words = f"The field {subjects.name}.Stagecraft_Score__c is missing, or the integration user may not see it."

        async def missing(*expected: str) -> None:
            assert (await linked.get("connection"))["missing"] == list(expected)

        await linked.service.client.post("/v1/connection/retry", headers=linked.headers)
        await eventually(lambda: missing(words))
        await subjects.decide(record_id, "second", "first")
        opportunity = await linked.created()
        await linked.decide(subjects.make.decision(opportunity, target="discovery", expected="prospecting"))
        await linked.state_of(opportunity, "ECHOED")
        await linked.state_of(record_id, "NEW")
        assert subjects.held(record_id)[subjects.field] == subjects.stages[0]

        linked.org.sim("rule", {"active": True, "object": subjects.name})
        linked.org.sim("permissions", {})
        await linked.service.client.post("/v1/connection/retry", headers=linked.headers)
        await eventually(missing)
        await linked.state_of(record_id, "ECHOED")
