"""What people do in a real org process is observed once, in order, through every kind of interruption."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from kit.contracts.facts import AMOUNT, CLOSE_DATE
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.record_observed_pb2 import (
    OBSERVATION_KIND_CREATED,
    OBSERVATION_KIND_DELETED,
    OBSERVATION_KIND_IMPORTED,
    OBSERVATION_KIND_UPDATED,
    RecordObserved,
)

from tests.builders import fact, mapped, stages

pytestmark = pytest.mark.stack
# The stream of records; that of users is another.
SUBSCRIBE = "PubSub/Subscribe/data/(Opportunity)?Change"
Eventually = Callable[..., Awaitable[Any]]
LOADED = 2050


@pytest.fixture(scope="module")
def loaded(org: Any) -> list[str]:
    """Opportunities that were there before the connector first came."""
    rows = [{"Name": f"Old {n}", "StageName": "Demo", "CloseDate": "2027-01-31", "Amount": n} for n in range(LOADED)]
    return org.sim("load", {"opportunities": rows})["opportunities"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def receiving(loaded: list[str], linked: Any) -> AsyncIterator[Any]:
    yield linked
    linked.org.sim("faults", method="DELETE")


def edit(linked: Any, opportunity_id: str, **fields: Any) -> None:
    linked.org.sim("edit", {"id": opportunity_id, "fields": fields})


async def delete(linked: Any, opportunity_id: str) -> None:
    async with linked.org.session() as client:
        reply = await client.delete(f"/services/data/v67.0/sobjects/Opportunity/{opportunity_id}")
    assert reply.status_code == 204


class TestImport:
    async def test_everything_there_is_imported_once(
        self, receiving: Any, loaded: list[str], eventually: Eventually
    ) -> None:
        imported = await receiving.service.events(
            RecordObserved,
            tenant=receiving.tenant,
            count=LOADED,
            where=lambda each: each.kind == OBSERVATION_KIND_IMPORTED,
        )
        assert {e.message.record_id for e in imported} >= set(loaded)
        assert len(imported) == len({e.message.record_id for e in imported})
        first = next(e.message for e in imported if e.message.record_id == loaded[7])
        assert (stages(first), first.crm_stage) == ({"sales": "demo"}, "Demo")
        assert (fact(first, AMOUNT), fact(first, CLOSE_DATE)) == (7, date(2027, 1, 31))
        assert first.owner_id.startswith("005")
        assert not first.changed_facts

    async def test_a_second_import_publishes_nothing_new(self, receiving: Any, eventually: Eventually) -> None:
        reply = await receiving.service.client.post("/v1/imports", headers=receiving.headers)
        assert reply.status_code == 202, reply.text
        location = reply.headers["location"].removeprefix("/v1/")

        async def completed() -> dict[str, Any]:
            found = await receiving.get(location)
            assert found["state"] == "COMPLETED"
            return found

        found = await eventually(completed)
        assert found["read_count"] >= LOADED
        assert found["published_count"] == 0


class TestChanges:
    async def test_a_persons_edit_is_observed(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        edit(receiving, opportunity_id, StageName="Demo", Amount=1234.5, NextStep="call")
        created, edited = await receiving.observed(opportunity_id, 2)
        assert created.kind == OBSERVATION_KIND_CREATED
        assert edited.kind == OBSERVATION_KIND_UPDATED
        assert (edited.crm_stage, mapped(edited)) == ("Demo", "demo")
        assert fact(edited, AMOUNT) == Decimal("1234.5")
        assert fact(edited, CLOSE_DATE) == date(2027, 3, 31)
        assert set(edited.changed_facts) == {
            "opportunity.stage",
            AMOUNT,
            "opportunity.next_step",
            "opportunity.probability",
            "opportunity.expected_revenue",
        }
        assert edited.changed_by.startswith("005")
        assert edited.change_id.endswith(opportunity_id)

    async def test_what_we_do_not_follow_is_no_observation(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        edit(receiving, opportunity_id, Description="write")
        edit(receiving, opportunity_id, CloseDate="2027-04-30")
        _, edited = await receiving.observed(opportunity_id, 2)
        assert list(edited.changed_facts) == [CLOSE_DATE]
        assert fact(edited, CLOSE_DATE) == date(2027, 4, 30)

    async def test_a_value_taken_away_is_empty(self, receiving: Any) -> None:
        opportunity_id = await receiving.created(Amount=10)
        edit(receiving, opportunity_id, Amount=None)
        _, edited = await receiving.observed(opportunity_id, 2)
        assert (fact(edited, AMOUNT), edited.crm_stage) == (None, "Prospecting")

    async def test_a_deletion_is_observed(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        await delete(receiving, opportunity_id)
        _, deleted = await receiving.observed(opportunity_id, 2)
        assert deleted.kind == OBSERVATION_KIND_DELETED
        await receiving.shows(opportunity_id, deleted=True)

    async def test_a_gap_is_closed_by_reading(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        receiving.org.sim("faults", {"match": SUBSCRIBE, "code": "service.unavailable", "times": None})
        edit(receiving, opportunity_id, Amount=77)
        receiving.org.sim("gap", {"change_type": "GAP_UPDATE", "record_ids": [opportunity_id]})
        receiving.org.sim("faults", method="DELETE")
        observations = await receiving.observed(opportunity_id, 2)
        assert [fact(o, AMOUNT) for o in observations] == [None, 77]

    async def test_an_overflow_reads_everything_again(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        receiving.org.sim("load", {"opportunities": [{"Name": "Mass", "StageName": "Demo", "CloseDate": "2027-01-01"}]})
        receiving.org.sim("gap", {"change_type": "GAP_OVERFLOW"})
        edit(receiving, opportunity_id, Amount=5)
        await receiving.observed(opportunity_id, 2)
        found = receiving.org.sim("opportunities?stage=Demo&limit=5000", method="GET")["opportunities"]
        silent = next(row["Id"] for row in found if row["Name"] == "Mass")
        await receiving.shows(silent, crm_stage="Demo")


class TestInterruptions:
    async def test_a_token_that_expires_mid_stream(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        receiving.org.sim("tokens/expire")
        edit(receiving, opportunity_id, StageName="Discovery")
        receiving.org.sim("tokens/expire")
        edit(receiving, opportunity_id, StageName="Demo")
        observations = await receiving.observed(opportunity_id, 3)
        assert [o.crm_stage for o in observations] == ["Prospecting", "Discovery", "Demo"]

    async def test_a_killed_org_is_resumed_by_replay_id(self, receiving: Any) -> None:
        opportunity_id = await receiving.created()
        receiving.org.sim("faults", {"match": SUBSCRIBE, "code": "service.unavailable", "times": None})
        edit(receiving, opportunity_id, StageName="Discovery")
        edit(receiving, opportunity_id, StageName="Demo")
        receiving.org.stop(signal.SIGKILL)
        receiving.org.start()
        observations = await receiving.observed(opportunity_id, 3)
        assert [o.crm_stage for o in observations] == ["Prospecting", "Discovery", "Demo"]

    async def test_a_lost_position_is_made_good_by_a_sweep(self, receiving: Any) -> None:
        opportunity_id, gone = await receiving.created(), await receiving.created()
        receiving.org.sim("faults", {"match": SUBSCRIBE, "code": "service.unavailable", "times": None})
        edit(receiving, opportunity_id, StageName="Discovery")
        edit(receiving, opportunity_id, StageName="Demo")
        await delete(receiving, gone)
        receiving.org.sim("faults", method="DELETE")
        corrupt = {"match": SUBSCRIBE, "code": "subscription.fetch.replayid.corrupted"}
        receiving.org.sim("faults", corrupt)
        observations = await receiving.observed(opportunity_id, 2)
        assert observations[-1].crm_stage == "Demo"
        assert (await receiving.observed(gone, 2))[-1].kind == OBSERVATION_KIND_DELETED
        edit(receiving, opportunity_id, Amount=9)
        assert fact((await receiving.observed(opportunity_id, len(observations) + 1))[-1], AMOUNT) == 9

    async def test_a_lost_reply_is_found_out_by_reading_alone(
        self, receiving: Any, make: SimpleNamespace, eventually: Eventually
    ) -> None:
        opportunity_id = await receiving.created()
        receiving.org.sim("faults", {"match": SUBSCRIBE, "code": "service.unavailable", "times": None})
        edit(receiving, opportunity_id, Description="cuts the stream")
        receiving.org.sim("faults", {"match": "composite/graph", "drop_after_commit": True})
        await receiving.decide(make.decision(opportunity_id, target="discovery", expected="prospecting"))
        (intent,) = await receiving.state_of(opportunity_id, "CONFIRMED")
        assert intent["attempts"] == 1
        receiving.org.sim("faults", method="DELETE")
        await receiving.state_of(opportunity_id, "ECHOED")
        assert len(receiving.record(opportunity_id)["history"]) == 2
        events = await receiving.service.events(
            CrmWriteConfirmed,
            tenant=receiving.tenant,
            count=1,
            where=lambda each: each.opportunity_id == opportunity_id,
        )
        assert len(events) == 1
        assert [o.crm_stage for o in await receiving.observed(opportunity_id, 1)] == ["Prospecting"]


async def test_client_credentials_open_the_org_too(
    receiving: Any, start_service: Any, make: SimpleNamespace, eventually: Eventually
) -> None:
    tenant = f"tenant-{uuid4().hex[:8]}"
    secret = receiving.org.credentials_dir / "client_secret"
    flow = {"salesforce_auth_flow": "client_credentials", "salesforce_client_secret_file": secret}
    service = await start_service("crm_connector", **{**make.settings(receiving.org, tenant), **flow})

    async def connected() -> None:
        found = (await service.client.get("/v1/connection", headers=service.headers(tenant))).json()
        assert found["state"] == "WAITING_FOR_PIPELINE"
        assert found["org_id"] == receiving.org.client["org_id"]

    await eventually(connected)


async def test_credentials_that_are_refused_are_offered_once(
    receiving: Any, start_service: Any, make: SimpleNamespace, eventually: Eventually
) -> None:
    tenant = f"tenant-{uuid4().hex[:8]}"
    settings = {**make.settings(receiving.org, tenant), "salesforce_client_id": "3MVG9unknown"}
    service = await start_service("crm_connector", **settings)

    async def refused() -> dict[str, Any]:
        reply = await service.client.get("/v1/connection", headers=service.headers(tenant))
        assert reply.json()["state"] == "REFUSED"
        return reply.json()

    found = await eventually(refused)
    assert found["since"] is not None
    assert found["last_error"] == "invalid_client_id: client identifier invalid"
