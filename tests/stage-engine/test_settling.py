"""Actions seen from outside: asked for with a move, listed, settled once, expired by a timer."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.crm.v1.action_settled_pb2 import SETTLEMENT_DONE, SETTLEMENT_REFUSED
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1.action_requested_pb2 import ACTION_KIND_TASK, ActionRequested
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.service import eventually

from tests.builders import action_settled
from tests.stage_engine import Client, Tenant, draft, metric

pytestmark = pytest.mark.stack

CALL = {"key": "call", "kind": "task", "text": "Call about {opportunity.amount}", "expires_after": "3d"}
PING = {"key": "ping", "kind": "notification", "text": "{move.from} is done"}
MAIL = {"key": "mail", "kind": "email", "target": "welcome"}
BURY = {"key": "bury", "kind": "create_record", "target": "Case", "fields": [{"name": "Subject", "value": "Lost"}]}
HAND_OVER = {"key": "hand_over", "kind": "webhook", "target": "delivery", "text": "{subject.id}"}


def content() -> dict[str, Any]:
    stages = [dict(stage) for stage in draft()["stages"]]
    stages[0] |= {"on_entry": [CALL], "on_exit": [PING], "on_close": [BURY]}
    won = next(stage for stage in stages if stage["category"] == "won")
    won["on_entry"] = [HAND_OVER]
    return {"stages": stages, "on_first_sight": [MAIL]}


async def seen(world_of: Tenant, opportunity_id: str, stage: str = "prospecting", **given: Any) -> None:
    await world_of.observe(opportunity_id, stage, kind=crm.OBSERVATION_KIND_CREATED, **given)
    await world_of.service.events(
        StageDecided, tenant=world_of.tenant, count=1, where=lambda each: each.opportunity_id == opportunity_id
    )


async def actions(client: Client, opportunity_id: str) -> dict[str, Any]:
    items = (await client.get(f"/v1/opportunities/{opportunity_id}/actions"))["items"]
    return {each["action_key"]: each for each in items}


@pytest.mark.capability(27, 51)
async def test_the_first_step_of_a_new_opportunity_is_asked_for_with_its_decision(
    world_of: Tenant, admin: Client
) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006New")
    asked = [e.message for e in await world_of.service.events(ActionRequested, tenant=world_of.tenant, count=2)]
    assert {message.action_key for message in asked} == {"mail", "call"}
    (call,) = [message for message in asked if message.kind == ACTION_KIND_TASK]
    assert (call.text, call.person_id, call.revision) == ("Call about 1000", "rita", 1)
    shown = await actions(admin, "006New")
    assert shown["call"]["action_id"] == call.action_id
    assert (shown["call"]["state"], shown["call"]["phase"]) == ("open", "entry")
    listed = (await admin.get("/v1/actions?state=open&kind=email"))["items"]
    assert [each["action_key"] for each in listed] == ["mail"]
    (decision,) = (await admin.get("/v1/opportunities/006New/decisions"))["items"]
    assert decision["actions"] == ["mail", "call"]


@pytest.mark.capability(82, 98)
async def test_a_won_opportunity_is_handed_over(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Won")
    await world_of.observe("006Won", "closed_won")
    await world_of.decisions(2)
    shown = await actions(admin, "006Won")
    assert shown["hand_over"]["text"] == "006Won"
    assert shown["ping"]["text"] == "Prospecting is done"


@pytest.mark.capability(100)
async def test_a_dead_opportunity_starts_its_disposition(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Dead")
    await world_of.observe("006Dead", "closed_lost")
    await world_of.decisions(2)
    shown = await actions(admin, "006Dead")
    assert (shown["bury"]["phase"], shown["bury"]["fields"]) == ("close", {"Subject": "Lost"})


async def test_an_import_asks_for_nothing(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline(**content())
    await world_of.observe("006Old", "prospecting", kind=crm.OBSERVATION_KIND_IMPORTED)
    await world_of.decisions(1)
    assert await actions(admin, "006Old") == {}


async def test_an_import_by_the_hundred_is_adopted_and_asks_for_nothing(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline(**content())
    stages = [stage["key"] for stage in draft()["stages"]]
    for n in range(100):
        await world_of.observe(f"006I{n}", stages[n % len(stages)], kind=crm.OBSERVATION_KIND_IMPORTED)
    made = await world_of.decisions(100)
    assert {(each.crm_target_stage, each.change.kind, each.change.cause) for each in made} == {
        ("", changed.TRANSITION_KIND_ADOPT, changed.CAUSE_IMPORT)
    }
    kept = await world_of.rows("SELECT opportunity_id, stage_key FROM opportunity")
    assert dict(kept) == {f"006I{n}": stages[n % len(stages)] for n in range(100)}
    assert await world_of.rows("SELECT count(*) FROM action") == [(0,)]


async def test_a_program_settles_an_action_once(world_of: Tenant, admin: Client, engine: Any) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Mail")
    path = f"/v1/actions/{(await actions(admin, '006Mail'))['mail']['action_id']}/settle"
    program = Client(engine, world_of.tenant, "service")
    done = await program.post(path, {"state": "done", "record_id": "m1"}, expect=200)
    assert (done["state"], done["record_id"]) == ("done", "m1")
    assert await program.post(path, {"state": "done", "record_id": "m1"}, expect=200) == done
    other = await program.post(path, {"state": "refused", "words": "No."}, expect=409)
    assert other["code"] == "action_settled"
    rep = Client(engine, world_of.tenant, "rep", "rita")
    assert (await rep.post(path, {"state": "done"}, expect=403))["scope"] == "actions:settle"
    unknown = await program.post(f"/v1/actions/{uuid4()}/settle", {"state": "done"}, expect=404)
    assert unknown["code"] == "action_not_found"
    await program.post(path, {"state": "refused"}, expect=422)


async def test_what_the_crm_refused_moves_nothing_back(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Ref")
    action_id = (await actions(admin, "006Ref"))["call"]["action_id"]
    given = {"action_id": action_id, "opportunity_id": "006Ref"}
    refusal = action_settled(**given, settlement=SETTLEMENT_REFUSED, code="FIELD", words="No.", record_id="")
    await world_of.service.publish(refusal, tenant=world_of.tenant)
    # A second word, and one about an action that is not there, change nothing.
    for later in (action_settled(**given, settlement=SETTLEMENT_DONE), action_settled(opportunity_id="006Ref")):
        await world_of.service.publish(later, tenant=world_of.tenant)

    async def settled() -> Any:
        call = (await actions(admin, "006Ref"))["call"]
        assert call["state"] != "open"
        return call

    call = await eventually(settled)
    assert (call["state"], call["code"], call["words"]) == ("refused", "FIELD", "No.")
    assert await metric(world_of.service, 'stage_actions_settled_total{state="refused"}') >= 1
    shown = await admin.get("/v1/opportunities/006Ref")
    assert (shown["claimed_stage"], shown["revision"]) == ("prospecting", 1)
    assert "@action/call" not in [timer["key"] for timer in shown["timers"]]


async def test_it_expires_by_a_timer(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Late")
    connection = await asyncpg.connect(world_of.service.owner_url)
    past = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", world_of.tenant)
        await connection.execute(
            "UPDATE opportunity SET due_at = $1, state = jsonb_set(state::jsonb, '{timers,@action/call,due}',"
            " '\"2026-01-01T00:00:00Z\"')::text WHERE opportunity_id = '006Late'",
            past,
        )
    finally:
        await connection.close()

    async def expired() -> None:
        assert (await actions(admin, "006Late"))["call"]["state"] == "expired"

    await eventually(expired)
    shown = await actions(admin, "006Late")
    assert (shown["call"]["settled_by"], shown["mail"]["state"]) == ("stage-engine", "open")


async def test_a_rep_sees_actions_about_their_own_only(world_of: Tenant, admin: Client, engine: Any) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Rita")
    await seen(world_of, "006Bob", owner_id="bob")
    rita = Client(engine, world_of.tenant, "rep", "rita")
    assert {each["opportunity_id"] for each in (await rita.get("/v1/actions"))["items"]} == {"006Rita"}
    await rita.get("/v1/opportunities/006Bob/actions", expect=404)


@pytest.mark.capability(77)
async def test_the_next_step_is_told_in_words(world_of: Tenant, admin: Client, engine: Any) -> None:
    await world_of.publish_pipeline(**content())
    await seen(world_of, "006Next")
    found = (await admin.get("/v1/opportunities/006Next/next-steps"))["items"]
    assert [(each["kind"], each["supplies"]) for each in found] == [("task", "person"), ("rule", "assessment")]
    assert found[0]["text"] == "Call about 1000"
    await Client(engine, world_of.tenant, "rep", "bob").get("/v1/opportunities/006Next/next-steps", expect=404)
