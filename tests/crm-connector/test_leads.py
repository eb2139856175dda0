"""Intake of leads: taken in once, created in the org, observed there; with the recording adapter as well."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from crm_connector.domain.leads import NewLead
from kit.ids import uuid7
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_CREATED, RecordObserved
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_OPEN, CATEGORY_WON, PipelinePublished, Stage
from testing.service import StartService, eventually

from tests.published import publish_pipelines

pytestmark = pytest.mark.stack

ADA = {"name": "Ada Lee", "company": "Acme Bank", "source": "Web", "kind": "compliance"}


def leads_pipeline(key: str = "leads") -> PipelinePublished:
    stages = [
        Stage(key="new", name="Open - Not Contacted", category=CATEGORY_OPEN),
        Stage(key="done", name="Closed - Converted", category=CATEGORY_WON),
    ]
    return PipelinePublished(
        pipeline_key=key, version=1, name="Leads", stages=stages, object_type="lead", is_default=True
    )


def body(**given: Any) -> dict[str, Any]:
    return {"idempotency_key": str(uuid4()), **ADA, "email": f"{uuid4().hex[:8]}@acme.example", **given}


async def hand_in(service: Any, tenant: str, given: dict[str, Any], expect: int = 202, role: str = "service") -> Any:
    reply = await service.client.post("/v1/leads", json=given, headers=service.headers(tenant, role))
    assert reply.status_code == expect, reply.text
    return reply.json()


async def settled(service: Any, tenant: str, lead_id: str, state: str) -> Any:
    async def found() -> Any:
        reply = await service.client.get(f"/v1/leads/{lead_id}", headers=service.headers(tenant, "service"))
        assert reply.json()["state"] == state, reply.text
        return reply.json()

    return await eventually(found)


async def in_org(linked: Any, company: str) -> list[dict[str, Any]]:
    fields = "Id, FirstName, LastName, Company, LeadSource, Status, Email, Stagecraft_Lead_Kind__c"
    async with linked.org.session() as client:
        soql = f"SELECT {fields} FROM Lead WHERE Company = '{company}'"
        return (await client.get("/services/data/v67.0/query", params={"q": soql})).json()["records"]


async def observed(service: Any, tenant: str, record_id: str) -> RecordObserved:
    events = await service.events(
        RecordObserved, tenant=tenant, count=1, where=lambda each: each.record_id == record_id
    )
    return events[0].message


def facts(message: RecordObserved) -> dict[str, str]:
    return {fact.name: fact.text for fact in message.facts}


@pytest.mark.capability(57, 58)
async def test_a_lead_that_a_form_hands_in_is_one_lead_of_the_org_and_is_observed(linked: Any) -> None:
    await linked.publish_pipelines(leads_pipeline())
    first = await hand_in(linked.service, linked.tenant, body(company="Zero Bank"))
    # From here on the org's leads are followed.
    zero = await settled(linked.service, linked.tenant, first["lead_id"], "created")
    await observed(linked.service, linked.tenant, zero["record_id"])
    given = body(company="One Bank")
    taken = await hand_in(linked.service, linked.tenant, given)
    assert (taken["state"], taken["repeated"], taken["record_id"]) == ("accepted", False, "")
    again = await hand_in(linked.service, linked.tenant, given)
    assert (again["lead_id"], again["repeated"]) == (taken["lead_id"], True)
    done = await settled(linked.service, linked.tenant, taken["lead_id"], "created")
    [row] = await in_org(linked, "One Bank")
    assert row["Id"] == done["record_id"]
    assert (row["FirstName"], row["LastName"], row["LeadSource"]) == ("Ada", "Lee", "Web")
    assert (row["Stagecraft_Lead_Kind__c"], row["Email"]) == ("compliance", given["email"])
    seen = await observed(linked.service, linked.tenant, done["record_id"])
    assert (seen.object_type, seen.kind, seen.crm_stage) == ("lead", OBSERVATION_KIND_CREATED, row["Status"])
    said = facts(seen)
    assert (said["lead.company"], said["lead.source"], said["lead.kind"]) == ("One Bank", "Web", "compliance")


async def test_the_same_person_is_one_lead_whatever_the_key(linked: Any) -> None:
    given = body(company="Two Bank", email="Ada.Lee@Two.Example")
    others = [{**given, "idempotency_key": f"k{n}", "email": " ada.lee@two.example "} for n in range(8)]
    taken = await asyncio.gather(*(hand_in(linked.service, linked.tenant, each) for each in (given, *others)))
    assert len({each["lead_id"] for each in taken}) == 1
    assert sorted(each["repeated"] for each in taken) == [False, *([True] * 8)]
    await settled(linked.service, linked.tenant, taken[0]["lead_id"], "created")
    assert len(await in_org(linked, "Two Bank")) == 1
    unknown = [await hand_in(linked.service, linked.tenant, body(company="Two Bank", email="")) for _ in range(2)]
    assert len({each["lead_id"] for each in unknown}) == 2
    for each in unknown:
        await settled(linked.service, linked.tenant, each["lead_id"], "created")


async def test_what_cannot_be_a_lead_is_refused(linked: Any) -> None:
    given = body()
    taken = await hand_in(linked.service, linked.tenant, given)
    # One that is still on its way would meet the fault that the next test orders.
    await settled(linked.service, linked.tenant, taken["lead_id"], "created")
    other = await hand_in(linked.service, linked.tenant, {**given, "name": "Bob Ray"}, expect=409)
    assert other["code"] == "lead_key_used"
    for wrong in ({"name": " "}, {"email": "no address"}, {"company": "a\nb"}, {"more": "x"}):
        await hand_in(linked.service, linked.tenant, body(**wrong), expect=422)
    assert (await hand_in(linked.service, linked.tenant, body(), expect=403, role="rep"))["scope"] == "leads:write"
    elsewhere = await hand_in(linked.service, "another-tenant", body(), expect=409)
    assert elsewhere["code"] == "tenant_not_connected"
    reply = await linked.service.client.get(f"/v1/leads/{uuid7()}", headers=linked.service.headers(linked.tenant))
    assert (reply.status_code, reply.json()["code"]) == (404, "lead_not_found")


async def test_a_refusal_is_in_the_orgs_words_and_bars_no_other_try(linked: Any) -> None:
    linked.org.sim("faults", {"code": "DUPLICATES_DETECTED", "match": "Lead/Stagecraft_Action_Id__c"})
    given = body(company="Three Bank")
    taken = await hand_in(linked.service, linked.tenant, given)
    refused = await settled(linked.service, linked.tenant, taken["lead_id"], "refused")
    assert (refused["code"], refused["record_id"]) == ("DUPLICATES_DETECTED", "")
    assert (await hand_in(linked.service, linked.tenant, given))["state"] == "refused"
    anew = await hand_in(linked.service, linked.tenant, {**given, "idempotency_key": "once more"})
    assert anew["lead_id"] != taken["lead_id"]
    await settled(linked.service, linked.tenant, anew["lead_id"], "created")
    assert len(await in_org(linked, "Three Bank")) == 1


async def test_a_page_of_html_and_a_lost_reply_double_nothing(linked: Any) -> None:
    for fault in ({"html_503": True}, {"drop_after_commit": True}):
        linked.org.sim("faults", {**fault, "match": "Lead/Stagecraft_Action_Id__c"})
    given = [body(company=f"{name} Bank") for name in ("Four", "Five")]
    taken = [await hand_in(linked.service, linked.tenant, each) for each in given]
    for each in taken:
        await settled(linked.service, linked.tenant, each["lead_id"], "created")
    assert [len(await in_org(linked, each["company"])) for each in given] == [1, 1]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recording(start_service: StartService) -> AsyncIterator[tuple[Any, str]]:
    tenant = f"tenant-{uuid4().hex[:8]}"
    yield await start_service("crm_connector", salesforce_tenant=tenant, crm_poll_seconds=0.2), tenant


async def test_the_recording_adapter_shows_the_lead_itself(recording: tuple[Any, str]) -> None:
    service, tenant = recording
    await publish_pipelines(service, tenant, leads_pipeline())
    taken = await hand_in(service, tenant, body())
    done = await settled(service, tenant, taken["lead_id"], "created")
    seen = await observed(service, tenant, done["record_id"])
    assert (seen.object_type, seen.kind, seen.crm_stage) == ("lead", OBSERVATION_KIND_CREATED, "Open - Not Contacted")
    assert [(m.pipeline_key, m.stage_key) for m in seen.mapped_stages] == [("leads", "new")]
    assert facts(seen)["lead.company"] == "Acme Bank"


def test_equal_content_is_one_digest() -> None:
    one = NewLead("Ada", "Acme", "", "", "a@b.c", "")
    assert one.digest() == NewLead("Ada", "Acme", "", "", "a@b.c", "").digest()
    assert one.digest() != NewLead("Ada", "", "Acme", "", "a@b.c", "").digest()
