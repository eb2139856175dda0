"""The CRM's users: read in pages, followed, and told to the services without their names."""

import json
import re
from datetime import UTC, datetime

import httpx
import pytest
from crm_connector.crm import CrmUnavailable
from crm_connector.domain.people import CrmPerson
from crm_connector.people import Following
from crm_connector.recording import RecordingCrm
from crm_connector.salesforce.people import person_pages
from crm_connector.signals import Signals
from kit.delivery.people import read_person
from kit.ids import identity_digest
from stagecraft.crm.v1.person_observed_pb2 import PersonObserved
from testing.service import eventually

from tests.builders import received

MOMENT = datetime(2026, 3, 2, tzinfo=UTC)


def user(number: int) -> dict[str, object]:
    identifier = f"005{number:015d}"
    stamp = "2026-03-02T09:30:00.000+0000"
    names = {"FederationIdentifier": None, "Username": f"u{number}@x.org", "Email": f"u{number}@x.org"}
    return {"Id": identifier, "IsActive": True, "ManagerId": None, **names, "SystemModstamp": stamp}


class TestPages:
    @pytest.mark.parametrize("given_at_once", [2000, 700])
    async def test_all_are_read_however_few_the_org_gives_at_a_time(self, scripted, given_at_once):
        users = [user(number) for number in range(1, 4501)]

        def reply(request: httpx.Request) -> httpx.Response:
            after = re.search(r"Id > '(\w+)'", request.url.params["q"])
            rest = [each for each in users if not after or each["Id"] > after[1]][:2000]
            body = {"records": rest[:given_at_once], "done": len(rest) <= given_at_once}
            return httpx.Response(200, content=json.dumps(body))

        org = scripted(reply)
        found = [each.person_id async for page in person_pages(org.rest, "", None) for each in page]
        assert found == [each["Id"] for each in users]

    async def test_only_those_touched_are_asked_for(self, scripted):
        asked: list[str] = []

        def reply(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.params["q"])
            return httpx.Response(200, json={"records": [], "done": True})

        assert [page async for page in person_pages(scripted(reply).rest, "005A", MOMENT)] == []
        assert "WHERE Id > '005A' AND SystemModstamp >= 2026-03-02T00:00:00Z ORDER BY Id" in asked[0]


class Breaking(RecordingCrm):
    """Its users cannot be read beyond some page, until they can."""

    def __init__(self, pages):
        self.pages, self.breaks, self.asked = pages, False, []

    async def people(self, after="", since=None):
        self.asked.append((after, since))
        for number, page in enumerate(page for page in self.pages if page[0].person_id > after):
            if number and self.breaks:
                raise CrmUnavailable("not now")
            yield page


def person(person_id, **changes):
    return CrmPerson(**{
        "person_id": person_id, "active": True, "manager_id": "", "federation_id": "", "username": person_id,
        "email": "", "modified_at": MOMENT, **changes,
    })  # fmt: skip


@pytest.mark.stack
class TestReading:
    async def test_it_goes_on_after_the_last_page_and_reads_what_was_touched_since_it_began(self, linked, tenant):
        crm = Breaking([[person("a"), person("b")], [person("c")]])
        crm.breaks, following = True, Following(linked.service.database, tenant, crm, Signals())
        with pytest.raises(CrmUnavailable):
            await following.read()
        crm.breaks = False
        await following.read()
        await following.read()
        assert [after for after, _ in crm.asked] == ["", "b", ""]
        assert [since is None for _, since in crm.asked] == [True, True, False]
        events = await linked.service.events(PersonObserved, tenant=tenant, count=3)
        assert {event.message.person_id for event in events} == {"a", "b", "c"}

    async def test_of_two_states_in_one_second_the_later_read_counts(self, linked, tenant):
        crm = Breaking([[person("a", manager_id="x")]])
        following = Following(linked.service.database, tenant, crm, Signals())
        await following.read()
        crm.pages = [[person("a", manager_id="y")]]
        await following.read()
        first, second = await linked.service.events(PersonObserved, tenant=tenant, count=2)
        assert (first.message.manager_id, second.message.manager_id) == ("x", "y")
        assert first.sequence < second.sequence


@pytest.mark.stack
class TestOrg:
    async def of(self, linked, person_id, count=1):
        return await linked.service.events(
            PersonObserved, tenant=linked.tenant, count=count, where=lambda each: each.person_id == person_id
        )

    @pytest.fixture(autouse=True)
    def _no_polls(self, monkeypatch):
        """After the next reading nothing is found by reading once in a while."""
        monkeypatch.setattr("crm_connector.people._EVERY_SECONDS", 3600)

    def load(self, linked, name, **more):
        names = {"Username": f"{name}@acme.org", "LastName": name, "Email": f"{name}@acme.org"}
        return linked.org.sim("load", {"users": [names | {"IsActive": True} | more]})["users"][0]

    async def test_a_user_is_told_of_without_names_and_followed(self, linked):
        def edit(**fields):
            linked.org.sim("edit", {"id": jo, "fields": fields, "user": jo})

        mo = self.load(linked, "mo")
        jo = self.load(linked, "jo", ManagerId=mo, FederationIdentifier="E-7")
        # A load makes no change events; this does.
        edit(Title="AE")
        [first, *_] = await self.of(linked, jo)
        said = read_person(received(first.message))
        assert (said.active, said.manager_id) == (True, mo)
        assert said.email == said.username == identity_digest(linked.tenant, "JO@acme.org")
        assert said.federation_id == identity_digest(linked.tenant, "e-7")
        assert b"acme.org" not in first.record.value
        assert b"E-7" not in first.record.value

        async def known():
            async with linked.service.database.unit_of_work(linked.tenant) as uow:
                from kit.database.people import people_of

                assert (await people_of(uow, [jo]))[jo].manager_id == mo

        await eventually(known)
        # A title is nothing that is told of.
        edit(Title="AM")
        edit(IsActive=False)
        events = await self.of(linked, jo, count=2)
        # A fact may be told twice, when two readings meet.
        assert events[0].message.active is True
        assert {event.message.active for event in events[1:]} == {False}
        assert (await linked.get("connection"))["people_as_of"] is not None

    async def test_an_import_finds_users_that_came_without_an_event(self, linked):
        before = self.load(linked, "bo")
        linked.org.sim("edit", {"id": before, "fields": {"Title": "AE"}, "user": before})
        await self.of(linked, before)
        after = self.load(linked, "zo")
        reply = await linked.service.client.post("/v1/imports", headers=linked.headers)
        assert reply.status_code == 202, reply.text
        await self.of(linked, after)
