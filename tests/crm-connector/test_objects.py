"""Leads and accounts go through their stages like opportunities: seen, decided on and written back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from crm_connector.salesforce.preflight import RULE_MISSING
from sandbox.salesforce.testing import RunningOrg
from stage_engine.templates import templates
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_LOST, CATEGORY_OPEN, PipelinePublished, Stage
from stagecraft.stage.v1.stage_changed_pb2 import CAUSE_CRM, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.service import ServiceUnderTest, StartService, eventually

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
        await self.linked.publish_pipelines(message)

    async def created(self, stage: str = "first") -> str:
        body = {**self.needed, self.field: self.stages[KEYS.index(stage)]}
        async with self.linked.org.session() as client:
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

    async def held(self, record_id: str) -> dict[str, Any]:
        names = f"Id, {self.field}, Stagecraft_Outcome__c"
        soql = f"SELECT {names} FROM {self.name} WHERE Id = '{record_id}'"
        async with self.linked.org.session() as client:
            return (await client.get("/services/data/v67.0/query", params={"q": soql})).json()["records"][0]


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
        assert (await subjects.held(record_id))[subjects.field] == subjects.stages[1]
        (confirmed,) = await linked.service.events(
            CrmWriteConfirmed, tenant=linked.tenant, count=1, where=lambda each: each.opportunity_id == record_id
        )
        assert confirmed.message.stage_key == "second"
        await subjects.decide(record_id, "last", "second", 2)
        await linked.state_of(record_id, "ECHOED", "ECHOED")
        assert (await subjects.held(record_id))["Stagecraft_Outcome__c"] == "lost"
        assert len(await linked.observed(record_id, 1)) == 1

    async def test_a_stage_that_a_person_set_is_not_replaced(self, subjects: Subjects) -> None:
        linked = subjects.linked
        record_id = await subjects.created()
        linked.org.sim("edit", {"id": record_id, "fields": {subjects.field: subjects.stages[2]}})
        await subjects.seen(record_id, "last")
        await subjects.decide(record_id, "second", "first")
        await linked.state_of(record_id, "CONFLICT")
        assert (await subjects.held(record_id))[subjects.field] == subjects.stages[2]


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
        assert (await subjects.held(record_id))[subjects.field] == subjects.stages[0]

        linked.org.sim("rule", {"active": True, "object": subjects.name})
        linked.org.sim("permissions", {})
        await linked.service.client.post("/v1/connection/retry", headers=linked.headers)
        await eventually(missing)
        await linked.state_of(record_id, "ECHOED")


@dataclass
class Loop:
    """The stage engine and the connector of one tenant, between them the broker, and the org."""

    org: RunningOrg
    engine: ServiceUnderTest
    connector: ServiceUnderTest
    tenant: str

    async def publish(self, document: dict[str, Any]) -> None:
        headers = self.engine.headers(self.tenant)
        made = await self.engine.client.post("/v1/pipelines", json=document, headers=headers)
        assert made.status_code == 201, made.text
        done = await self.engine.client.post(f"/v1/pipelines/{document['key']}/publish", headers=headers)
        assert done.status_code == 201, done.text

    async def moved(self, record_id: str, *stages: str) -> list[StageChanged]:
        """The moves of the record, once they led through these stages."""

        events = await self.engine.events(
            StageChanged, tenant=self.tenant, count=len(stages), where=lambda each: each.opportunity_id == record_id
        )
        own = [event.message for event in events]
        assert [each.to_stage for each in own] == list(stages)
        return own

    async def holds(self, name: str, record_id: str, field: str, value: str) -> None:
        async def held() -> None:
            assert (await client.get(f"/services/data/v67.0/sobjects/{name}/{record_id}")).json()[field] == value

        async with self.org.session() as client:
            await eventually(held)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def loop(org: RunningOrg, start_service: StartService, make: Any) -> Loop:
    tenant, prefix = f"tenant-{uuid4().hex[:8]}", f"t{uuid4().hex[:8]}."
    engine = await start_service("stage_engine", topic_prefix=prefix)
    connector = await start_service("crm_connector", topic_prefix=prefix, **make.settings(org, tenant))
    found = Loop(org, engine, connector, tenant)
    await found.publish(templates()["field_example"])
    for object_type, (_, _, _, names) in KINDS.items():
        categories = ("open", "open", "lost")
        stages = [{"key": k, "name": n, "category": c} for k, n, c in zip(KEYS, names, categories, strict=True)]
        called = {"fact": "activity.call.count", "cell": ">= 1"}
        rule = {"rule_id": "called", "from_stage": "first", "to_stage": "second", "mode": "auto"}
        document = {"key": f"{object_type}s", "name": "Its own", "object_type": object_type, "stages": stages}
        await found.publish({**document, "skip_policy": "forbid", "rules": [{**rule, "conditions": [called]}]})
    return found


@pytest.mark.parametrize("object_type", sorted(KINDS))
class TestWithTheEngine:
    @pytest.mark.capability(40)
    async def test_a_call_moves_the_record_and_a_person_moves_it_on(self, loop: Loop, object_type: str) -> None:
        name, needed, field, stages = KINDS[object_type]
        key = {"lead": "leads", "account": "accounts"}[object_type]
        (record_id,) = loop.org.sim("load", {key: [{**needed, field: stages[0]}]})[key]

        async def live() -> None:
            connection = await loop.connector.client.get("/v1/connection", headers=loop.connector.headers(loop.tenant))
            assert connection.json()["state"] == "LIVE"

        await eventually(live)
        # A change, since the org says nothing of what was loaded.
        loop.org.sim("edit", {"id": record_id, "fields": {"Description": "seen"}})
        (seen,) = await loop.moved(record_id, "first")
        assert seen.object_type == object_type

        about = {"WhoId" if object_type == "lead" else "WhatId": record_id}
        (task,) = loop.org.sim("load", {"tasks": [{"Type": "Call", "Status": "Not Started", **about}]})["tasks"]
        loop.org.sim("edit", {"id": task, "fields": {"Status": "Completed"}})
        _, called = await loop.moved(record_id, "first", "second")
        assert (called.object_type, called.rule_id) == (object_type, "called")
        await loop.holds(name, record_id, field, stages[1])

        loop.org.sim("edit", {"id": record_id, "fields": {field: stages[2]}})
        *_, closed = await loop.moved(record_id, "first", "second", "last")
        assert closed.cause == CAUSE_CRM
        decided = await loop.engine.events(
            StageDecided, tenant=loop.tenant, count=1, where=lambda each: each.opportunity_id == record_id
        )
        assert {event.message.object_type for event in decided} == {object_type}
