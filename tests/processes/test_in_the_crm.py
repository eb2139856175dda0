"""Shipped processes with the simulated org at their other end: what is asked for is done there, and comes back."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sandbox.salesforce.testing import REPLY_SECONDS, RunningOrg, running_org
from testing.service import ServiceUnderTest, StartService, eventually

from tests.processes.conftest import Company

pytestmark = pytest.mark.stack
PACKAGES = ("assessment", "scoring", "stage_engine", "crm_connector")
STAGES = ("Prospecting", "Discovery", "Demo", "Negotiation", "Appointment", "Validation", "Validated", "Solution",
          "Proposal", "Closed Won", "Closed Lost")  # fmt: skip
KINDS = ("Expected_Opportunity", "Qualified_Opportunity")
POOLS = ("account_executives", "sales_engineers", "associates")
STRONG = {"budget": "approved", "authority": "decides", "need": "urgent", "timing": "year"}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrg]:
    with running_org(tmp_path_factory.mktemp("org"), keepalive_seconds=3) as running:
        yield running


def _stage(name: str) -> dict[str, Any]:
    shares = {"DefaultProbability": 10, "ForecastCategory": "Pipeline", "ForecastCategoryName": "Pipeline"}
    return {"ApiName": name, "IsClosed": name.startswith("Closed"), "IsWon": name == "Closed Won", **shares}


def _record_type(name: str) -> dict[str, Any]:
    return {"Name": name, "DeveloperName": name, "SobjectType": "Opportunity"}


def _person(name: str) -> dict[str, Any]:
    address = f"{name}@acme.example"
    return {"Username": address, "LastName": name.title(), "Email": address, "IsActive": True}


class Desk(Company):
    """A company whose records are in the org."""

    def __init__(self, services: dict[str, ServiceUnderTest], tenant: str, org: RunningOrg, people: list[str]) -> None:
        super().__init__(services, tenant)
        self.org = org
        self.people = people

    def _call(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.org.token()}"}
        url = f"{self.org.url}/services/{path}"
        return httpx.request(method, url, headers=headers, timeout=REPLY_SECONDS, **given)

    def query(self, soql: str) -> list[dict[str, Any]]:
        reply = self._call("GET", "data/v67.0/query", params={"q": soql})
        return reply.raise_for_status().json()["records"]

    def create(self, name: str, **fields: Any) -> str:
        reply = self._call("POST", f"data/v67.0/sobjects/{name}", json=fields)
        assert reply.status_code == 201, reply.text
        return reply.json()["id"]

    def edit(self, id_: str, **fields: Any) -> None:
        self.org.sim("edit", {"id": id_, "fields": fields})

    def convert(self, lead: str) -> None:
        self._call("POST", "apexrest/stagecraft/convert", json={"leadId": lead}).raise_for_status()

    def log(self, kind: str, **about: str) -> None:
        """A person does something in the org, and says so there."""
        (task,) = self.org.sim("load", {"tasks": [{"Type": kind, "Status": "Not Started", **about}]})["tasks"]
        self.edit(task, Status="Completed")

    async def hand_in(self, form: dict[str, Any]) -> Any:
        """A program hands a lead in."""
        service = self.services["crm_connector"]
        reply = await service.client.post("/v1/leads", json=form, headers=service.headers(self.tenant, "service"))
        assert reply.status_code == 202, reply.text
        return reply.json()

    async def taken(self, lead_id: str) -> str:
        """The id of a lead that was handed in, once the org has it."""
        service = self.services["crm_connector"]

        async def created() -> str:
            reply = await service.client.get(f"/v1/leads/{lead_id}", headers=service.headers(self.tenant, "service"))
            assert reply.json()["state"] == "created", reply.text
            return reply.json()["record_id"]

        return await eventually(created)

    async def begin(self) -> None:
        """Leads and opportunities have a process, and what comes from now on is new: the import of what was there is
        over, and the people of the org are known."""
        await self.install("bant_lead")
        await self.install("field_example")
        first = {"Name": "First", "StageName": "Prospecting", "CloseDate": "2027-03-31"}
        await self.at(self.create("Lead", LastName="First", Company="First AB"), "new", "lead")
        await self.at(self.create("Opportunity", **first), "prospecting")

        async def known() -> None:
            found = await self.rows("SELECT person_id FROM person")
            assert {row[0] for row in found} >= set(self.people)

        await eventually(known)

    async def assign_leads(self, **rules: Any) -> None:
        """Leads that come from now on get their owner by these rules."""
        put = await self.admin.get("/v1/assignment-rules/lead")
        await self.admin.call("PUT", "/v1/assignment-rules/lead", 200, rules, match=put["version"])

    async def settled(self, id_: str, key: str, of: str = "opportunity") -> Any:
        """The action, once the org has done it."""

        async def done() -> Any:
            found = (await self.actions(id_, of)).get(key)
            assert found is not None and found["state"] == "done", found
            return found

        return await eventually(done)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(org: RunningOrg, start_service: StartService) -> Desk:
    tenant, prefix = f"tenant-{uuid4().hex[:8]}", f"t{uuid4().hex[:8]}."
    connector = {
        "crm_adapter": "salesforce",
        "salesforce_tenant": tenant,
        "salesforce_login_url": org.url,
        "salesforce_client_id": org.client["client_id"],
        "salesforce_username": org.client["username"],
        "salesforce_private_key_file": org.credentials_dir / "connector.key.pem",
        "salesforce_pubsub_endpoint": f"http://{org.pubsub_target}",
        "salesforce_account_stage_field": "Type",
        "crm_poll_seconds": 0.2,
    }
    org.sim(
        "load", {"stages": [_stage(name) for name in STAGES], "record_types": [_record_type(each) for each in KINDS]}
    )
    people = org.sim("load", {"users": [_person(each) for each in ("rita", "ron", "sam")]})["users"]
    services = {
        package: await start_service(package, topic_prefix=prefix, **(connector if package == "crm_connector" else {}))
        for package in PACKAGES
    }
    desk = Desk(services, tenant, org, people)
    await desk.begin()
    return desk


@pytest.mark.capability(45)
async def test_a_complete_bant_makes_an_opportunity_of_the_lead(desk: Desk) -> None:
    lead = desk.create("Lead", LastName="Lund", Company="Lund AB", Status="Open - Not Contacted")
    await desk.at(lead, "new", "lead")
    task = await desk.settled(lead, "first_call", "lead")
    (row,) = desk.query(f"SELECT Id, Subject FROM Task WHERE WhoId = '{lead}'")
    assert (row["Id"], row["Subject"]) == (task["record_id"], "Call Lund AB")
    desk.log("Call", WhoId=lead)
    await desk.at(lead, "working", "lead")
    await desk.submit(lead, "bant", STRONG, "lead")
    await desk.at(lead, "qualified", "lead")
    convert = await desk.settled(lead, "convert", "lead")
    (shown,) = desk.query(f"SELECT IsConverted, Status, ConvertedOpportunityId FROM Lead WHERE Id = '{lead}'")
    assert (shown["IsConverted"], shown["ConvertedOpportunityId"]) == (True, convert["record_id"])
    (deal,) = desk.query(f"SELECT Name FROM Opportunity WHERE Id = '{convert['record_id']}'")
    assert deal["Name"] == "Lund AB"
    # What it became is a subject of its own.
    await desk.at(convert["record_id"], "prospecting", pipeline_key="field_example")


async def test_a_lead_is_converted_once_whoever_calls_it_qualified(desk: Desk) -> None:
    """A command moves one there, and somebody converts the other one in the org."""
    ours, theirs = [
        desk.create("Lead", LastName=name, Company=f"{name} AB", Status="Open - Not Contacted")
        for name in ("Ours", "Theirs")
    ]
    for lead in (ours, theirs):
        await desk.at(lead, "new", "lead")
    await desk.move(ours, "qualified", "lead", override=True, reason_code="KNOWN", text="They bought before.")
    desk.convert(theirs)
    for lead in (ours, theirs):
        await desk.at(lead, "qualified", "lead")
        convert = await desk.settled(lead, "convert", "lead")
        (shown,) = desk.query(f"SELECT Company, IsConverted, ConvertedOpportunityId FROM Lead WHERE Id = '{lead}'")
        assert (shown["IsConverted"], shown["ConvertedOpportunityId"]) == (True, convert["record_id"])
        assert len(desk.query(f"SELECT Id FROM Account WHERE Name = '{shown['Company']}'")) == 1


async def test_an_appointment_makes_an_expected_opportunity_that_becomes_a_qualified_one(desk: Desk) -> None:
    ann = desk.people[0]
    await desk.install("expected_to_qualified", people={pool: [ann] for pool in POOLS})
    account = desk.create("Account", Name="Initech", Type="Target")
    await desk.at(account, "target", "account")
    await desk.report(account, "cadence", "account", account__appointment_on="2027-01-15")
    await desk.report(account, "cadence", "account", account__appointment_with="decision maker")
    await desk.at(account, "in_play", "account")
    deal = (await desk.settled(account, "expect", "account"))["record_id"]
    await desk.at(deal, "appointment", pipeline_key="expected")
    given = {role: (await desk.assigned(deal, role)).person_id for role in ("account_executive", "associate")}
    assert given == {"account_executive": ann, "associate": ann}
    desk.log("Meeting", WhatId=deal)
    await desk.at(deal, "validation")
    desk.edit(deal, Amount=5000)
    desk.edit(deal, NextStep="Agree on the pilot")
    await desk.settled(deal, "qualify")
    await desk.at(deal, "solution", pipeline_key="qualified")
    (row,) = desk.query(f"SELECT RecordTypeId, StageName FROM Opportunity WHERE Id = '{deal}'")
    (kind,) = desk.query("SELECT Id FROM RecordType WHERE DeveloperName = 'Qualified_Opportunity'")
    assert row["RecordTypeId"] == kind["Id"]


@pytest.mark.capability(29, 57, 58)
async def test_a_lead_that_a_form_hands_in_twice_is_one_lead_with_the_owner_whom_the_rules_chose(desk: Desk) -> None:
    rita, ron, sam = desk.people
    pools = [{"key": "desk", "people": [rita, ron], "turn": "round_robin"}]
    by_kind = {"rule_id": "by_kind", "conditions": [{"fact": "lead.kind", "cell": "'compliance'"}]}
    by_source = {"rule_id": "by_source", "conditions": [{"fact": "lead.source", "cell": "'Web'"}]}
    await desk.assign_leads(
        rules=[{**by_kind, "to": {"person": sam}}, {**by_source, "to": {"pool": "desk"}}],
        pools=pools,
        fallback={"owner": {"person": sam}},
        facts=[{"name": "lead.kind", "type": "text"}, {"name": "lead.source", "type": "text"}],
    )

    # The org takes the first of them and its reply is lost. Each is handed in again by its key, and by its address.
    desk.org.sim("faults", {"drop_after_commit": True, "match": "Lead/Stagecraft_Action_Id__c"})
    forms = [
        {"name": "Ada Lee", "company": company, "source": "Web", "kind": kind, "email": f"ada@{domain}.example"}
        for company, domain, kind in (
            ("One Oy", "one", "service"),
            ("Two Oy", "two", "compliance"),
            ("Three Oy", "three", "service"),
        )
    ]
    owners: dict[str, str] = {}
    for each in forms:
        company, form = each["company"], {**each, "idempotency_key": each["company"]}
        other_key = {**form, "idempotency_key": f"{company} again", "email": form["email"].upper()}
        taken = await asyncio.gather(*map(desk.hand_in, (form, form, other_key)))
        assert len({each["lead_id"] for each in taken}) == 1
        lead = await desk.taken(taken[0]["lead_id"])
        await desk.at(lead, "new", "lead", pipeline_key="bant_lead")
        chosen = await desk.assigned(lead)
        assert chosen.rule_id == ("by_kind" if form["kind"] == "compliance" else "by_source")
        await desk.settled(lead, "@owner", "lead")
        (row,) = desk.query(f"SELECT Id, OwnerId FROM Lead WHERE Company = '{company}'")
        assert row == {**row, "Id": lead, "OwnerId": chosen.person_id}
        await desk.at(lead, "new", "lead", owner_id=chosen.person_id)
        owners[company] = chosen.person_id
        # Handing it in once more, when all is done, changes nothing.
        assert (await desk.hand_in(form))["record_id"] == lead
        await desk.replays(lead, "lead")
    assert owners["Two Oy"] == sam
    assert {owners["One Oy"], owners["Three Oy"]} == {rita, ron}
    # The CRM showed the owners that it was asked for: these are no choices of people.
    log = await desk.rows("SELECT person_id, by_person FROM assignment WHERE role = 'owner' ORDER BY assigned_at")
    assert [row for row in log if row[0] in {rita, ron, sam}] == [(each, False) for each in owners.values()]
