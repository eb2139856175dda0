"""Every object that the package follows has rows, a description, queries and change events, like an opportunity."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sandbox.salesforce import schema
from sandbox.salesforce.testing import RunningOrg

from tests.sandbox.salesforce.test_pubsub import Subscriber, begin, pubsub, take

__all__ = ["pubsub"]
New = Callable[..., Awaitable[str]]
MEETING = {"StartDateTime": "2026-05-01T10:00:00.000+0000", "Subject": "Demo"}
# A creation and a change of each.
WRITES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "User": (
        {"Username": "ann@acme.example", "LastName": "Ames", "Email": "ann@acme.example", "IsActive": True},
        {"IsActive": False},
    ),
    "Account": ({"Name": "Initech"}, {"Industry": "Energy"}),
    "Lead": (
        {"LastName": "Lund", "Company": "Lund AB", "Status": "Open - Not Contacted"},
        {"Status": "Working - Contacted"},
    ),
    "Task": ({"Subject": "Call", "Status": "Not Started"}, {"Status": "Completed"}),
    "Event": (MEETING, {"Location": "Oslo"}),
    "OpportunityContactRole": ({"Role": "Other"}, {"Role": "Decision Maker"}),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_record_is_created_changed_and_described(api: httpx.AsyncClient, pubsub: Subscriber, name: str) -> None:
    call = await begin(pubsub, topic_name=f"/data/{name}ChangeEvent")
    assert not (await call.read()).events
    first, change = WRITES[name]
    record_id = (await api.post(f"/sobjects/{name}", json=first)).raise_for_status().json()["id"]
    (await api.patch(f"/sobjects/{name}/{record_id}", json=change)).raise_for_status()

    found = (await api.get(f"/sobjects/{name}/{record_id}")).json()
    assert change.items() <= found.items()
    described = {field["name"] for field in (await api.get(f"/sobjects/{name}/describe")).json()["fields"]}
    assert described == {field.name for field in (schema.find_object(name) or schema.USER).fields}
    soql = f"SELECT Id, {next(iter(change))} FROM {name} WHERE Id = '{record_id}'"
    assert (await api.get("/query", params={"q": soql})).json()["totalSize"] == 1

    created, updated = [await pubsub.decode(event) for event in await take(call, 2)]
    headers = [event["ChangeEventHeader"] for event in (created, updated)]
    assert [(h["entityName"], h["changeType"], h["recordIds"]) for h in headers] == [
        (name, "CREATE", [record_id]),
        (name, "UPDATE", [record_id]),
    ]
    assert set(change) <= pubsub.changed(updated)
    assert change.items() <= updated.items()
    call.cancel()


async def test_one_topic_has_the_changes_of_all(
    org: RunningOrg, api: httpx.AsyncClient, pubsub: Subscriber, new_opportunity: New
) -> None:
    call = await begin(pubsub, topic_name="/data/ChangeEvents")
    assert not (await call.read()).events
    opportunity_id = await new_opportunity()
    task = {"WhatId": opportunity_id, "Status": "Completed", "Type": "Call"}
    (await api.post("/sobjects/Task", json=task)).raise_for_status()
    org.sim("edit", {"id": opportunity_id, "fields": {"NextStep": "Call"}})
    events = [await pubsub.decode(event) for event in await take(call, 3)]
    assert [e["ChangeEventHeader"]["entityName"] for e in events] == ["Opportunity", "Task", "Opportunity"]
    call.cancel()


class TestActivities:
    async def test_name_a_record_of_one_of_several_objects(self, api: httpx.AsyncClient, new_opportunity: New) -> None:
        opportunity_id = await new_opportunity()
        lead = {"LastName": "Lund", "Company": "Lund AB", "Status": "Open - Not Contacted"}
        lead_id = (await api.post("/sobjects/Lead", json=lead)).json()["id"]
        made = await api.post("/sobjects/Task", json={"WhatId": opportunity_id, "WhoId": lead_id})
        assert made.status_code == 201
        wrong = await api.post("/sobjects/Task", json={"WhatId": lead_id})
        assert wrong.json()[0]["errorCode"] == "MALFORMED_ID"
        where = f"WHERE WhatId IN ('{opportunity_id}')"
        found = await api.get("/query", params={"q": f"SELECT Id, WhoId FROM Task {where}"})
        assert [row["WhoId"] for row in found.json()["records"]] == [lead_id]

    async def test_a_task_is_closed_by_its_status(self, api: httpx.AsyncClient) -> None:
        task_id = (await api.post("/sobjects/Task", json={"Status": "In Progress"})).json()["id"]
        await api.patch(f"/sobjects/Task/{task_id}", json={"Status": "Completed"})
        done = (await api.get(f"/sobjects/Task/{task_id}")).json()
        assert done["IsClosed"]
        assert done["CompletedDateTime"] == done["LastModifiedDate"]

    async def test_go_with_the_record_that_they_are_about(self, api: httpx.AsyncClient, new_opportunity: New) -> None:
        opportunity_id = await new_opportunity()
        task_id = (await api.post("/sobjects/Task", json={"WhatId": opportunity_id})).json()["id"]
        (await api.delete(f"/sobjects/Opportunity/{opportunity_id}")).raise_for_status()
        assert (await api.get(f"/sobjects/Task/{task_id}")).status_code == 404


class TestLeads:
    async def test_their_statuses_are_listed_like_stages(self, api: httpx.AsyncClient) -> None:
        soql = "SELECT ApiName, MasterLabel, SortOrder, IsConverted FROM LeadStatus ORDER BY SortOrder"
        rows = (await api.get("/query", params={"q": soql})).json()["records"]
        names = [row["ApiName"] for row in rows]
        assert names[:2] == ["Open - Not Contacted", "Working - Contacted"]
        (status,) = [f for f in (await api.get("/sobjects/Lead/describe")).json()["fields"] if f["name"] == "Status"]
        assert [value["value"] for value in status["picklistValues"]] == names

    async def test_a_person_has_a_full_name(self, api: httpx.AsyncClient) -> None:
        lead = {"FirstName": "Liv", "LastName": "Lund", "Company": "Lund AB", "Status": "Open - Not Contacted"}
        lead_id = (await api.post("/sobjects/Lead", json=lead)).json()["id"]
        assert (await api.get(f"/sobjects/Lead/{lead_id}")).json()["Name"] == "Liv Lund"


async def test_a_load_brings_everything(org: RunningOrg, api: httpx.AsyncClient) -> None:
    deal = {"Name": "Big", "StageName": "Demo", "CloseDate": "2027-01-31"}
    (kind,) = org.sim(
        "load", {"record_types": [{"Name": "Renewal", "DeveloperName": "Renewal", "SobjectType": "Opportunity"}]}
    )["record_types"]
    loaded = org.sim(
        "load",
        {
            "accounts": [{"Name": "Initech"}],
            "contacts": [{"LastName": "Bolton"}],
            "opportunities": [deal | {"RecordTypeId": kind}],
            "leads": [{"LastName": "Lund", "Company": "Lund AB", "Status": "Open - Not Contacted"}],
            "tasks": [{"Subject": "Call"}],
            "events": [MEETING],
            "contact_roles": [{"Role": "Decision Maker"}],
        },
    )
    assert all(len(loaded[name]) == 1 for name in ("accounts", "contacts", "opportunities", "leads", "tasks", "events"))
    (deal_id,) = loaded["opportunities"]
    soql = f"SELECT RecordTypeId, RecordType.DeveloperName FROM Opportunity WHERE Id = '{deal_id}'"
    (row,) = (await api.get("/query", params={"q": soql})).json()["records"]
    assert row["RecordType"]["DeveloperName"] == "Renewal"
    (lead_id,) = loaded["leads"]
    org.sim("purge", {"id": lead_id})
    assert (await api.get(f"/sobjects/Lead/{lead_id}")).status_code == 404
