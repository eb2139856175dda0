"""The breaker from outside: too many moves open it, people go on, and a person closes it."""

from datetime import timedelta

import pytest
from kit.ids import utc_now
from stage_engine.domain.breaker import Breaker
from stage_engine.service.breaking import check
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from testing.service import ServiceUnderTest, eventually

from tests.stage_engine import Client, Tenant, codes, metric

pytestmark = pytest.mark.stack
PATH = "/v1/pipelines/field_example"


async def is_closed(world_of: Tenant, admin: Client, breaker: Breaker) -> bool:
    """Whether it is, also after a look at what moved, as the engine takes one within a second."""
    async with world_of.service.database.unit_of_work(world_of.tenant) as uow:
        opened = await check(uow, "field_example", breaker)
    return not opened and not (await admin.get(f"{PATH}/modes"))["breaker_open"]


async def test_too_many_moves_open_it_until_a_person_closes_it(
    engine: ServiceUnderTest, world_of: Tenant, admin: Client
) -> None:
    await world_of.publish_pipeline(breaker={"at_least": 3})
    names = [f"o{n}" for n in range(5)]
    for name in names:
        await world_of.observe(name, "prospecting")
    await world_of.decisions(5)
    before = await metric(engine, "stage_breakers_opened_total")
    for name in names[:3]:
        await world_of.score(name, "prospecting", "70", ("prospecting", 1))
    await world_of.changes(8)

    async def opened() -> None:
        found = await admin.get(f"{PATH}/modes")
        assert (found["breaker_open"], found["automation"]) == (True, True)
        (switched,) = found["switched"]
        assert (switched["rule_id"], switched["changed_by"]) == ("@breaker", "stage-engine")
        assert switched["reason"] == "Rules moved 3 within 1h, after 0 within 7d."

    await eventually(opened)
    assert await metric(engine, "stage_breakers_opened_total") == before + 1
    await world_of.score("o3", "prospecting", "70", ("prospecting", 1))
    held = (await world_of.decisions(9))[-1]
    assert (held.outcome, codes(held), held.proposed[0].to_stage) == (
        decided.OUTCOME_PROPOSED, ["BREAKER_OPEN"], "discovery",
    )  # fmt: skip
    moved = await admin.post("/v1/opportunities/o3/transitions", {"to_stage": "discovery"}, match=1)
    assert moved["transition"]["to_stage"] == "discovery"

    rep = Client(engine, world_of.tenant, "rep", "rita")
    await rep.call("PUT", f"{PATH}/breaker", 403, {"open": False, "reason": "x"})
    closed = await admin.call("PUT", f"{PATH}/breaker", 200, {"open": False, "reason": "The points were right."})
    assert (closed["breaker_open"], closed["switched"]) == (False, [])
    await world_of.score("o4", "prospecting", "70", ("prospecting", 1))
    assert (await world_of.decisions(11))[-1].outcome == decided.OUTCOME_ACCEPTED
    # What was moved before counts no more.
    assert await is_closed(world_of, admin, Breaker(at_least=3))
    for each in (await admin.get("/v1/opportunities/o3/decisions"))["items"]:
        assert (await admin.post(f"/v1/decisions/{each['decision_id']}/replay", expect=200))["identical"]


async def test_what_is_usual_opens_nothing(engine: ServiceUnderTest, world_of: Tenant, admin: Client) -> None:
    breaker = {"at_least": 3, "window": "1h", "trailing": "2h"}
    await world_of.publish_pipeline(breaker=breaker)
    for name in ("o1", "o2", "o3"):
        await world_of.observe(name, "prospecting")
        await world_of.score(name, "prospecting", "70", ("prospecting", 1))
    await world_of.changes(6)

    async def opened() -> None:
        assert (await admin.get(f"{PATH}/modes"))["breaker_open"]

    await eventually(opened)
    long_ago = utc_now() - timedelta(minutes=90)
    await world_of.rows(f"UPDATE transition SET changed_at = '{long_ago.isoformat()}'")
    await admin.call("PUT", f"{PATH}/breaker", 200, {"open": False, "reason": "It was an import."})
    for name in ("o4", "o5", "o6"):
        await world_of.observe(name, "prospecting")
        await world_of.score(name, "prospecting", "70", ("prospecting", 1))
    await world_of.changes(12)
    assert await is_closed(world_of, admin, Breaker(**breaker))
