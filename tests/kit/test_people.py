"""People of the CRM: their teams, however their events come, and the tokens that name them."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.database.people import DEPTH, Match, Matches, PersonRecord, keep_people, match_person
from kit.delivery.people import read_person
from kit.errors import InvalidEvent
from sqlalchemy import text
from stagecraft.crm.v1.person_observed_pb2 import Identity
from testing.service import eventually

from tests.builders import person_observed, received

MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
PEOPLE = "abcdef"


def record(person_id, manager_id="", number=1, **changes):
    found = PersonRecord(person_id, True, manager_id, "", "", "", MOMENT, number)
    return replace(found, **changes)


def teams_of(managers):
    """All who report to each, by walking up from everyone: what the database must hold."""
    found = set()
    for person in managers:
        above, depth = managers.get(person, ""), 0
        while above and depth < DEPTH:
            if above != person:
                found.add((above, person))
            above, depth = managers.get(above, ""), depth + 1
    return found


async def teams(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        return {tuple(row) for row in await uow.session.execute(text("SELECT manager_id, person_id FROM team"))}


async def keep(service, tenant, *records):
    async with service.database.unit_of_work(tenant) as uow:
        await keep_people(uow, records)


class TestEvents:
    def test_what_is_no_digest_is_refused(self):
        for digest in ("", "x" * 64, "A" * 64, "a" * 63):
            with pytest.raises(InvalidEvent, match="SHA-256") as caught:
                read_person(received(person_observed(identities=[Identity(claim="email", digest=digest)])))
            assert caught.value.code == "bad_digest"

    def test_a_claim_of_a_later_version_is_passed_over(self):
        found = read_person(received(person_observed(identities=[Identity(claim="badge", digest="a" * 64)])))
        assert (found.person_id, found.email, found.federation_id) == ("ann", "", "")


class TestMatches:
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400_000))))
    def test_they_are_bounded_by_the_members_of_teams(self, put):
        matches = Matches()
        for name, size in put:
            matches.put("acme", name, Match(name, True, frozenset(map(str, range(min(size, 3))))))
        held = [matches.get("acme", name) for name in "abc"]
        assert sum(len(each[0].team) for each in held if each and each[0]) == matches._members

    def test_a_tenant_is_forgotten_alone(self):
        matches = Matches()
        matches.put("acme", "ann", None)
        matches.put("globex", "ann", None)
        matches.forget("acme")
        assert (matches.get("acme", "ann"), matches.get("globex", "ann")) == (None, (None,))


@pytest.mark.stack
class TestTeams:
    async def test_they_reach_through_managers_that_are_not_known_yet(self, service, tenant):
        await keep(service, tenant, record("rep", "lead"))
        assert await teams(service, tenant) == {("lead", "rep")}
        await keep(service, tenant, record("lead", "head"))
        assert await teams(service, tenant) == {("lead", "rep"), ("head", "lead"), ("head", "rep")}

    async def test_a_report_that_moves_takes_its_own_reports_along(self, service, tenant):
        await keep(service, tenant, record("rep", "lead"), record("lead", "head"), record("head"))
        await keep(service, tenant, record("lead", "other", number=2))
        assert await teams(service, tenant) == {("lead", "rep"), ("other", "lead"), ("other", "rep")}
        await keep(service, tenant, record("lead", "head", number=1))
        assert await teams(service, tenant) == {("lead", "rep"), ("other", "lead"), ("other", "rep")}

    async def test_one_who_has_left_still_joins_teams(self, service, tenant):
        await keep(service, tenant, record("rep", "lead"), record("lead", "head", active=False))
        assert ("head", "rep") in await teams(service, tenant)

    @pytest.mark.parametrize("seed", range(6))
    async def test_whatever_the_order_they_are_as_if_derived_at_once(self, service, seed):
        """Cycles, chains longer than any company's and managers of themselves included."""
        import random

        made, tenant, managers = random.Random(seed), f"tenant-{secrets.token_hex(4)}", {}
        names = [f"p{n}" for n in range(DEPTH + 5)] if seed == 0 else list(PEOPLE)
        for number in range(1, 25):
            batch = {}
            for name in made.sample(names, made.randint(1, 3)):
                batch[name] = made.choice([*names, ""])
            if seed == 0 and number == 1:
                batch = {name: names[place + 1] for place, name in enumerate(names[:-1])}
            managers |= batch
            await keep(service, tenant, *(record(name, above, number) for name, above in batch.items()))
            assert await teams(service, tenant) == teams_of(managers)


@pytest.fixture
async def by_email(start_own):
    return await start_own(person_claim="mail", person_claim_is="email", managers_see="team")


@pytest.mark.stack
class TestCallers:
    async def test_a_token_names_a_person_by_the_claim_that_is_set(self, by_email, tenant):
        async def me(subject, role="rep", **claims):
            token = by_email.issuer.token(tenant, subject, [role], **claims)
            answer = await by_email.client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
            return answer.json()

        async def tell(person_id, number=1, **changes):
            await by_email.publish(person_observed(person_id, tenant, **changes), tenant=tenant, sequence=number)

        async def unmatched():
            headers = by_email.headers(tenant)
            listed = (await by_email.client.get("/v1/unmatched-people", headers=headers)).json()["items"]
            assert all(each["claim"] == "email" and each["count"] >= 1 for each in listed)
            return [each["subject"] for each in listed]

        async def becomes(expected, *asked, **claims):
            async def check():
                assert await me(*asked, **claims) == expected

            await eventually(check)

        ann = {"mail": "Ann@Example.com"}
        assert await me("7", **ann) == {"person_id": "subject:7", "owners": ["subject:7"]}
        assert await me("8") == {"person_id": "subject:8", "owners": ["subject:8"]}
        assert await unmatched() == ["7", "8"]
        await tell("ann")
        await becomes({"person_id": "ann", "owners": ["ann"]}, "7", **ann)
        assert await unmatched() == ["8"]
        assert await me("9", "manager", mail="mona@example.com") == {"person_id": "subject:9", "owners": ["subject:9"]}
        await tell("mona", manager_id="")
        await becomes({"person_id": "mona", "owners": ["ann", "mona"]}, "9", "manager", mail="mona@example.com")
        assert await me("9", mail="mona@example.com") == {"person_id": "mona", "owners": ["mona"]}
        assert (await me("9", "admin", mail="mona@example.com"))["owners"] is None
        await tell("ann", 2, active=False)
        await becomes({"person_id": "ann", "owners": []}, "7", **ann)
        await becomes({"person_id": "mona", "owners": ["ann", "mona"]}, "9", "manager", mail="mona@example.com")
        # Two have one address: nothing says which of them it is.
        await tell("mona2", identities=person_observed("mona", tenant).identities, manager_id="")
        await becomes({"person_id": "subject:9", "owners": ["subject:9"]}, "9", "manager", mail="mona@example.com")
        # A name of another tenant's is no name here.
        other = by_email.issuer.token("globex", "7", ["rep"], **ann)
        answer = await by_email.client.get("/v1/me", headers={"Authorization": f"Bearer {other}"})
        assert answer.json()["person_id"] == "subject:7"

    async def test_an_id_needs_no_match_and_one_who_has_left_owns_nothing(self, own_service, tenant):
        async def me():
            return (await own_service.client.get("/v1/me", headers=own_service.headers(tenant, "rep", "ann"))).json()

        assert await me() == {"person_id": "ann", "owners": ["ann"]}
        await own_service.publish(person_observed("ann", tenant, active=False), tenant=tenant)

        async def nothing():
            assert await me() == {"person_id": "ann", "owners": []}

        await eventually(nothing)

    async def test_what_changes_during_a_match_is_seen_by_the_next_request(self, own_service, tenant, monkeypatch):
        async def meanwhile(*asked):
            found = await match_person(*asked)
            await keep(own_service, tenant, record("ann", active=False))
            return found

        async def owners():
            answer = await own_service.client.get("/v1/me", headers=own_service.headers(tenant, "rep", "ann"))
            return answer.json()["owners"]

        with monkeypatch.context() as during:
            during.setattr("kit.operators.people.match_person", meanwhile)
            assert await owners() == ["ann"]
        assert await owners() == []

    async def test_the_list_is_for_administrators(self, own_service, tenant):
        for role in ("rep", "manager", "partner", "sre"):
            answer = await own_service.client.get("/v1/unmatched-people", headers=own_service.headers(tenant, role))
            assert answer.status_code == 403
