"""The portfolio of accounts: counted by type, stage and owner, with what is open, for those who may see it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from stagecraft.common.v1.fact_pb2 import Fact
from testing.service import ServiceUnderTest, eventually

from tests.builders import activity_observed, person_observed
from tests.stage_engine import Client, Tenant

pytestmark = pytest.mark.stack

PATH = "/v1/accounts/portfolio"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    """A running engine where managers see their team."""
    yield await start_service("stage_engine", managers_see="team")


async def account(world_of: Tenant, id_: str, kind: str, owner: str, stage: str = "prospecting") -> None:
    facts = [Fact(name="account.type", text=kind)] if kind else []
    await world_of.observe(id_, stage, object_type="account", owner_id=owner, facts=facts)


async def sale(world_of: Tenant, id_: str, of: str, owner: str = "rita", stage: str = "demo", **given: Any) -> None:
    facts = [Fact(name="opportunity.account_id", text=of)]
    await world_of.observe(id_, stage, owner_id=owner, facts=facts, **given)


async def filled(world_of: Tenant) -> None:
    for person_id, manager in (("rita", "mona"), ("ron", "other"), ("mona", "")):
        observed = person_observed(person_id, world_of.tenant, manager_id=manager)
        await world_of.service.publish(observed, tenant=world_of.tenant)
    await world_of.publish_pipeline()
    await world_of.publish_pipeline(key="accounts", object_type="account", is_default=False)
    await account(world_of, "a1", "Customer", "rita")
    await account(world_of, "a2", "Customer", "ron", "discovery")
    await account(world_of, "a3", "Prospect", "rita", "discovery")
    await account(world_of, "a4", "", "rita")
    await sale(world_of, "o1", "a1", amount="100.50", currency="EUR")
    await sale(world_of, "o2", "a1", amount="50", currency="EUR")
    await sale(world_of, "o3", "a1", amount="7", currency="USD")
    await sale(world_of, "o4", "a2", "ron", amount="1000", currency="EUR")
    await sale(world_of, "o5", "a3", stage="closed_won", amount="9000", currency="EUR")
    await sale(world_of, "o6", "a3", "ron", amount="40", currency="EUR")
    touched = activity_observed(
        opportunity_id="a1", object_type="account", occurred_at=datetime(2026, 6, 1, tzinfo=UTC)
    )
    await world_of.service.publish(touched, tenant=world_of.tenant)
    # Each record is decided on, and the people are known.
    await world_of.decisions(10)

    async def known() -> None:
        assert await world_of.rows("SELECT count(*) FROM activity_total WHERE subject_id = 'a1'") == [(1,)]
        assert await world_of.rows("SELECT count(*) FROM person") == [(3,)]

    await eventually(known)


def counted(reply: Any) -> dict[str, Any]:
    return {
        each["group"]: (
            each["accounts"],
            {a["currency"]: (a["opportunities"], a["amount"]) for a in each["open_amounts"]},
        )
        for each in reply["groups"]
    }


@pytest.mark.capability(90)
async def test_accounts_by_type_stage_and_owner_with_what_is_open(world_of: Tenant, admin: Client) -> None:
    await filled(world_of)
    by_type = await admin.get(PATH)
    assert counted(by_type) == {
        "Customer": (2, {"EUR": (3, "1150.5"), "USD": (1, "7")}),
        "Prospect": (1, {"EUR": (1, "40")}),
        "": (1, {}),
    }
    customers = by_type["groups"][0]
    assert (customers["untouched"], customers["last_touch_at"]) == (1, "2026-06-01T00:00:00Z")
    by_stage = await admin.get(f"{PATH}?by=stage&type=Customer")
    assert {key: count for key, (count, _) in counted(by_stage).items()} == {"prospecting": 1, "discovery": 1}
    by_owner = await admin.get(f"{PATH}?by=owner")
    assert {key: count for key, (count, _) in counted(by_owner).items()} == {"rita": 3, "ron": 1}
    assert counted(await admin.get(f"{PATH}?by=owner&owner_id=ron&stage=discovery")).keys() == {"ron"}
    # One is put off, the next is too long in its stage.
    await admin.post(
        "/v1/accounts/a1/hold", {"reason": "Budget freeze", "until": "2999-01-01T00:00:00Z"}, match=1, expect=201
    )
    await world_of.rows("UPDATE opportunity SET stalled_at = now() - interval '1 day' WHERE opportunity_id = 'a2'")
    [customers] = [each for each in (await admin.get(PATH))["groups"] if each["group"] == "Customer"]
    assert (customers["on_hold"], customers["stalled"]) == (1, 1)

    rep, manager = (Client(world_of.service, world_of.tenant, *who) for who in (("rep", "rita"), ("manager", "mona")))
    for client in (rep, manager):
        # What another sells to the same account is not theirs to see.
        assert counted(await client.get(PATH)) == {
            "Customer": (1, {"EUR": (2, "150.5"), "USD": (1, "7")}), "Prospect": (1, {}), "": (1, {}),
        }  # fmt: skip
        assert (await client.get(f"{PATH}?owner_id=ron"))["groups"] == []
    assert (await Client(world_of.service, world_of.tenant, "rep", "zoe").get(PATH))["groups"] == []
