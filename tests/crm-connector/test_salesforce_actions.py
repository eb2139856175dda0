"""Actions in the simulated org, served in this process: each is carried out once, and a reading finds it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from crm_connector.domain.actions import ActionKind, CrmAction
from crm_connector.domain.intents import Verdict
from crm_connector.salesforce.adapter import SalesforceCrm
from crm_connector.salesforce.auth import JwtBearer, Sessions
from crm_connector.salesforce.objects import subject_objects
from crm_connector.salesforce.rest import Rest
from sandbox.salesforce.app import OrgProcess, open_org
from sandbox.salesforce.testing import RunningOrg

URL = "http://org"


@dataclass
class Desk:
    """The adapter, and an org whose replies a test may lose."""

    process: OrgProcess
    directory: Path
    lost: int = 0
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._org = httpx.ASGITransport(app=self.process.app)
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._serve), base_url=URL)
        client = RunningOrg(self.directory).client
        key = self.directory / "credentials" / "connector.key.pem"
        credentials = JwtBearer(client["client_id"], client["username"], "https://login.salesforce.com", key)
        sessions = Sessions(self.http, URL, credentials)
        self.rest = Rest(self.http, sessions, "67.0")
        self.crm: Any = SalesforceCrm(self.http, self.rest, sessions, None, subject_objects())  # pyright: ignore[reportArgumentType]

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        reply = await self._org.handle_async_request(request)
        content = await reply.aread()
        if self.lost and request.method in ("POST", "PATCH") and "token" not in request.url.path:
            self.lost -= 1
            raise httpx.ReadError("the reply was lost")
        return httpx.Response(reply.status_code, headers=reply.headers, content=content)

    def rows(self, name: str) -> list[dict[str, Any]]:
        tables = self.process.app.state.org.tables
        return [row for row in tables[name].values() if not row.get("IsDeleted")]

    async def created(self, name: str, **fields: Any) -> str:
        session = await self.crm._sessions.current()
        headers = {"Authorization": f"Bearer {session.token}"}
        reply = await self.http.post(f"/services/data/v67.0/sobjects/{name}", json=fields, headers=headers)
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]

    async def opportunity(self) -> str:
        return await self.created("Opportunity", Name="Deal", StageName="Prospecting", CloseDate="2027-03-31")

    async def lead(self) -> str:
        return await self.created("Lead", LastName="Lee", Company="Acme", Status="Open - Not Contacted")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    process = open_org(tmp_path / "data", tmp_path / "credentials", instance_url=URL, keepalive_seconds=3)
    journal = asyncio.create_task(process.journal.run())
    found = Desk(process, tmp_path)
    yield found
    await found.http.aclose()
    process.journal.close()
    await journal


def action(record_id: str, kind: ActionKind, **given: Any) -> CrmAction:
    fields: dict[str, Any] = {
        "action_id": uuid4(),
        "object_type": "opportunity",
        "opportunity_id": record_id,
        "kind": kind,
        "text": "Call the customer",
        "details": "They asked for a price.",
        "person_id": "",
        "target": "",
        "fields": {},
        "due_on": datetime(2026, 3, 4, 9, tzinfo=UTC),
        "expires_at": datetime(2999, 1, 1, tzinfo=UTC),
        "requested_at": datetime.now(UTC) - timedelta(seconds=5),
    }
    return CrmAction(**fields | given)


async def given_kinds(desk: Desk) -> dict[ActionKind, tuple[CrmAction, str]]:
    """An action of each kind, and the object whose records it makes."""
    deal, lead = await desk.opportunity(), await desk.lead()
    person = await desk.created("User", Username="ron@acme.org", LastName="Ron", Email="ron@acme.org")
    meeting = {"Subject": "Demo", "StartDateTime": "2026-03-05T09:00:00Z", "WhatId": deal}
    return {
        ActionKind.TASK: (action(deal, ActionKind.TASK), "Task"),
        ActionKind.NOTIFICATION: (action(deal, ActionKind.NOTIFICATION), "FeedItem"),
        ActionKind.FIELD_UPDATE: (action(deal, ActionKind.FIELD_UPDATE, fields={"NextStep": "Call"}), ""),
        ActionKind.CREATE_RECORD: (action(deal, ActionKind.CREATE_RECORD, target="Event", fields=meeting), "Event"),
        ActionKind.LEAD: (
            action("", ActionKind.LEAD, object_type="lead", text="Ada Lee", fields={"company": "Acme"}),
            "Lead",
        ),
        ActionKind.OWNER: (action(deal, ActionKind.OWNER, person_id=person), ""),
        ActionKind.CONVERT_LEAD: (
            action(lead, ActionKind.CONVERT_LEAD, object_type="lead", text="New deal"),
            "Opportunity",
        ),
    }


@pytest.mark.parametrize("kind", list(ActionKind))
@pytest.mark.parametrize("lost", [0, 1])
async def test_each_kind_is_done_once_also_when_the_reply_is_lost(desk: Desk, kind: ActionKind, lost: int) -> None:
    asked, made = (await given_kinds(desk))[kind]
    before = len(desk.rows(made)) if made else 0
    assert (await desk.crm.carried_out(asked)).reply.verdict is Verdict.AGAIN
    desk.lost = lost
    carried = await desk.crm.carry_out(asked)
    if lost:
        assert carried.reply.verdict is Verdict.UNKNOWN
        carried = await desk.crm.carried_out(asked)
    assert carried.reply.verdict is Verdict.CONFIRMED, carried
    if made:
        assert len(desk.rows(made)) == before + 1
        assert carried.record_id in {row["Id"] for row in desk.rows(made)}


async def test_a_task_says_what_to_do_until_when(desk: Desk) -> None:
    deal = await desk.opportunity()
    asked = action(deal, ActionKind.TASK)
    for _ in range(2):
        await desk.crm.carry_out(asked)
    (task,) = desk.rows("Task")
    assert (task["WhatId"], task["Subject"], task["ActivityDate"]) == (deal, "Call the customer", "2026-03-04")
    assert task["Stagecraft_Action_Id__c"] == str(asked.action_id)


async def test_a_converted_lead_is_an_opportunity(desk: Desk) -> None:
    lead = await desk.lead()
    asked = action(lead, ActionKind.CONVERT_LEAD, object_type="lead", text="New deal")
    carried = await desk.crm.carry_out(asked)
    (row,) = desk.rows("Lead")
    assert (row["IsConverted"], row["ConvertedOpportunityId"]) == (True, carried.record_id)
    (deal,) = desk.rows("Opportunity")
    assert (deal["Name"], deal["StageName"]) == ("New deal", "Prospecting")
    # Also what a person converted in the org is done, and stays one opportunity.
    assert (await desk.crm.carry_out(asked)).record_id == carried.record_id
    assert len(desk.rows("Opportunity")) == 1


@pytest.mark.parametrize("name", ["StageName", "stagename", "Stagecraft_Write_Id__c", "STAGECRAFT_Write_id__c"])
async def test_no_action_sets_a_stage(desk: Desk, name: str) -> None:
    deal = await desk.opportunity()
    desk.calls.clear()
    refused = (await desk.crm.carry_out(action(deal, ActionKind.FIELD_UPDATE, fields={name: "Closed Won"}))).reply
    assert (refused.verdict, refused.code) == (Verdict.REFUSED, "FIELD_PROTECTED")
    assert desk.calls == []


@pytest.mark.parametrize("target", ["x' OR Name != '", "Order/001", "Order?x=", "", "A" * 81, "Z\u0430k\u0430z"])
async def test_what_is_no_name_of_an_object_reaches_no_address_and_no_query(desk: Desk, target: str) -> None:
    deal = await desk.opportunity()
    desk.calls.clear()
    asked = action(deal, ActionKind.CREATE_RECORD, target=target, fields={"RecordTypeId": "Expected"})
    refused = (await desk.crm.carry_out(asked)).reply
    assert (refused.verdict, refused.code) == (Verdict.REFUSED, "OBJECT_UNKNOWN")
    # After a crash it is sent again, and so refused.
    assert (await desk.crm.carried_out(asked)).reply.verdict is Verdict.AGAIN
    assert desk.calls == []


async def test_a_type_that_the_org_has_no_object_for_is_refused(desk: Desk) -> None:
    asked = action("a01", ActionKind.FIELD_UPDATE, object_type="ticket", fields={"NextStep": "Call"})
    reply = (await desk.crm.carry_out(asked)).reply
    assert (reply.verdict, reply.code) == (Verdict.REFUSED, "OBJECT_UNKNOWN")


async def test_a_refusal_is_in_the_orgs_words(desk: Desk) -> None:
    deal = await desk.opportunity()
    long = action(deal, ActionKind.FIELD_UPDATE, fields={"NextStep": "x" * 300})
    reply = (await desk.crm.carry_out(long)).reply
    assert (reply.verdict, reply.code) == (Verdict.REFUSED, "STRING_TOO_LONG")
    assert "NextStep" in reply.reason


async def test_an_org_that_is_away_did_nothing(desk: Desk) -> None:
    deal = await desk.opportunity()

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    desk.http._transport = httpx.MockTransport(away)
    asked = action(deal, ActionKind.TASK)
    assert (await desk.crm.carry_out(asked)).reply.verdict is Verdict.AGAIN
    assert (await desk.crm.carried_out(asked)).reply.verdict is Verdict.UNKNOWN


async def test_a_record_type_is_named_by_its_developer_name(desk: Desk) -> None:
    deal = await desk.opportunity()
    row = {"Name": "Expected", "DeveloperName": "Expected", "SobjectType": "Opportunity"}
    [kind] = (await desk.http.post("/_sim/load", json={"record_types": [row]})).json()["record_types"]
    asked = action(deal, ActionKind.FIELD_UPDATE, fields={"RecordTypeId": "Expected"})
    for _ in range(2):
        carried = await desk.crm.carry_out(asked)
        assert carried.reply.verdict is Verdict.CONFIRMED, carried
    assert (await desk.crm.carried_out(asked)).reply.verdict is Verdict.CONFIRMED
    assert next(row for row in desk.rows("Opportunity") if row["Id"] == deal)["RecordTypeId"] == kind
    for name in ("Unknown", "x' OR Name != '"):
        refused = await desk.crm.carry_out(action(deal, ActionKind.FIELD_UPDATE, fields={"RecordTypeId": name}))
        assert (refused.reply.verdict, refused.reply.code) == (Verdict.REFUSED, "RECORD_TYPE_UNKNOWN")


async def test_an_opportunity_is_made_with_its_record_type(desk: Desk) -> None:
    row = {"Name": "Expected", "DeveloperName": "Expected", "SobjectType": "Opportunity"}
    [kind] = (await desk.http.post("/_sim/load", json={"record_types": [row]})).json()["record_types"]
    account = await desk.created("Account", Name="Initech")
    fields = {"Name": "New", "StageName": "Prospecting", "CloseDate": "2027-03-31", "RecordTypeId": "Expected"}
    asked = action(
        account, ActionKind.CREATE_RECORD, object_type="account", target="Opportunity",
        fields={**fields, "AccountId": account},
    )  # fmt: skip
    for _ in range(2):
        carried = await desk.crm.carry_out(asked)
        assert carried.reply.verdict is Verdict.CONFIRMED, carried
    (made,) = desk.rows("Opportunity")
    assert (made["Id"], made["AccountId"], made["RecordTypeId"]) == (carried.record_id, account, kind)
