"""Approvals and proposals from outside: who may, who sees, what becomes of the move."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from testing.service import ServiceUnderTest, eventually

from tests.builders import person_observed
from tests.stage_engine import Client, Tenant, draft

pytestmark = pytest.mark.stack

DEAL, RULE = "006Deal", "prospecting_to_discovery"
# Rita and bob sell; mona leads rita, max leads bob, and vera leads both.
REPORTS = {"rita": "mona", "mona": "vera", "bob": "max", "max": "vera", "vera": "", "cfo": ""}
BOTH = {"approvers": {"manager_of_owner": True, "people": ["cfo"]}, "needed": 2, "expires_after": "2d"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    """A running engine where managers see their team."""
    yield await start_service("stage_engine", managers_see="team")


def gated(approval: dict[str, Any] = BOTH, **changes: Any) -> dict[str, Any]:
    stages = [{**s, "approval": approval} if s["key"] == "discovery" else s for s in draft()["stages"]]
    return {"stages": stages, **changes}


def proposing() -> list[dict[str, Any]]:
    return [{**each, "mode": "propose"} if each["rule_id"] == RULE else each for each in draft()["rules"]]


async def people(world_of: Tenant) -> None:
    for person_id, manager_id in REPORTS.items():
        observed = person_observed(person_id, world_of.tenant, manager_id=manager_id)
        await world_of.service.publish(observed, tenant=world_of.tenant)

    async def known() -> None:
        assert await world_of.rows("SELECT count(*) FROM person") == [(len(REPORTS),)]

    await eventually(known)


class Everyone:
    """The people of a tenant, and strangers."""

    def __init__(self, engine: ServiceUnderTest, tenant: str) -> None:
        self.rita, self.bob = (Client(engine, tenant, "rep", name) for name in ("rita", "bob"))
        self.cfo = Client(engine, tenant, "rep", "cfo")
        self.mona, self.max, self.vera = (Client(engine, tenant, "manager", name) for name in ("mona", "max", "vera"))
        self.partner = Client(engine, tenant, "partner", "northwind")
        self.stranger = Client(engine, f"{tenant}-other", "admin", "eve")


async def scored(world_of: Tenant, score: str = "70", attempt_no: int = 1, count: int = 2) -> decided.StageDecided:
    await world_of.score(DEAL, "prospecting", score, ("prospecting", 1), attempt_no=attempt_no)
    return (await world_of.decisions(count))[-1]


async def begun(engine: ServiceUnderTest, world_of: Tenant, **pipeline: Any) -> Everyone:
    await people(world_of)
    await world_of.publish_pipeline(**pipeline)
    await world_of.observe(DEAL, "prospecting")
    await world_of.decisions(1)
    return Everyone(engine, world_of.tenant)


async def replays(client: Client) -> None:
    for each in (await client.get(f"/v1/opportunities/{DEAL}/decisions"))["items"]:
        assert (await client.post(f"/v1/decisions/{each['decision_id']}/replay", expect=200))["identical"]


async def ids(client: Client, query: str = "") -> list[str]:
    return [each["approval_id"] for each in (await client.get(f"/v1/approvals{query}"))["items"]]


async def test_a_move_waits_for_two_and_is_made_with_the_second(engine: ServiceUnderTest, world_of: Tenant) -> None:
    who = await begun(engine, world_of, **gated())
    told = await scored(world_of)
    assert (told.outcome, told.reasons[0].code, told.to_stage) == (
        decided.OUTCOME_PROPOSED, "APPROVAL_PENDING", "prospecting",
    )  # fmt: skip
    shown = await who.rita.get(f"/v1/opportunities/{DEAL}")
    waiting, approval_id = shown["approval"], shown["approval"]["approval_id"]
    assert (waiting["to_stage"], waiting["needed"], waiting["rule_id"]) == ("discovery", 2, RULE)
    assert (told.waiting.approval_id, told.waiting.to_stage, told.waiting.needed) == (approval_id, "discovery", 2)
    path = f"/v1/approvals/{approval_id}"
    steps = (await who.rita.get(f"/v1/opportunities/{DEAL}/next-steps"))["items"]
    assert steps[0]["kind"] == "approval"

    # Those who may decide find it; her own wish she only sees.
    for client in (who.mona, who.vera, who.cfo):
        assert await ids(client, "?mine=true") == [approval_id]
    assert (await ids(who.rita), await ids(who.rita, "?mine=true")) == ([approval_id], [])
    # All others find nothing, and reach nothing.
    for client in (who.bob, who.max, who.stranger):
        assert (await ids(client), await ids(client, "?mine=true")) == ([], [])
        await client.get(path, 404)
        for action, body in (("approve", {}), ("reject", {"reason": "no"}), ("withdraw", {})):
            assert (await client.post(f"{path}/{action}", body, 404))["code"] == "approval_not_found"
    await who.partner.get("/v1/approvals", 403)
    await who.partner.post(f"{path}/approve", {}, 403)
    refused = await who.rita.post(f"{path}/approve", {})
    assert (refused["outcome"], refused["reasons"][0]["code"]) == ("rejected", "NOT_APPROVER")
    refused = await who.rita.post(f"{path}/withdraw", {})
    assert refused["reasons"][0]["code"] == "NOT_APPROVER"

    one = await who.cfo.post(f"{path}/approve", {"text": "fine with me"})
    assert (one["outcome"], one["transition"], one["to_stage"]) == ("accepted", None, "prospecting")
    again = await who.cfo.post(f"{path}/approve", {})
    assert again["outcome"] == "no_op"
    assert (await ids(who.cfo, "?mine=true"), await ids(who.mona, "?mine=true")) == ([], [approval_id])
    assert [each["actor"] for each in (await who.mona.get(path))["approved_by"]] == ["cfo"]
    two = await who.mona.post(f"{path}/approve", {})
    assert (two["transition"]["to_stage"], two["transition"]["cause"]) == ("discovery", "rule")
    ended = await who.mona.get(path)
    assert (ended["state"], ended["ended_by"], len(ended["approved_by"])) == ("approved", "mona", 2)
    assert await ids(who.vera, "?mine=true") == []
    assert await ids(who.vera, "?state=approved") == [approval_id]
    assert (await who.vera.post(f"{path}/approve", {}, 409))["code"] == "approval_ended"
    assert (await who.rita.get(f"/v1/opportunities/{DEAL}"))["approval"] is None
    assert await world_of.rows("SELECT * FROM approver") == []
    await replays(who.rita)


async def test_what_a_person_asks_for_is_rejected_withdrawn_or_overtaken(
    engine: ServiceUnderTest, world_of: Tenant
) -> None:
    who = await begun(engine, world_of, **gated({"approvers": {"roles": ["manager"]}}))
    path = f"/v1/opportunities/{DEAL}"
    body = {"to_stage": "discovery", "override": True, "reason_code": "EXEC", "text": "the board asked for it"}

    async def asked() -> str:
        decision = await who.mona.post(f"{path}/transitions", body, match=1)
        assert decision["outcome"] == "proposed"
        return (await who.mona.get(path))["approval"]["approval_id"]

    first = await asked()
    # A manager of another team holds the role, and sees nothing of it; the one who asks is not enough.
    await who.max.post(f"/v1/approvals/{first}/approve", {}, 404)
    assert (await who.mona.post(f"/v1/approvals/{first}/approve", {}))["outcome"] == "rejected"
    assert (await who.vera.post(f"/v1/approvals/{first}/reject", {}, 422))["code"] == "validation_failed"
    await who.vera.post(f"/v1/approvals/{first}/reject", {"reason": " "}, 422)
    no = await who.vera.post(f"/v1/approvals/{first}/reject", {"reason": "too early"})
    assert (no["outcome"], no["transition"]) == ("accepted", None)
    second = await asked()
    await who.mona.post(f"/v1/approvals/{second}/withdraw", {})
    third = await asked()
    await who.mona.post(f"{path}/transitions", {"to_stage": "closed_lost", "reason_code": "GONE"}, match=1)
    found = {each["approval_id"]: each for each in (await who.vera.get("/v1/approvals"))["items"]}
    assert [found[each]["state"] for each in (first, second, third)] == ["rejected", "withdrawn", "superseded"]
    assert (found[first]["ended_by"], found[first]["ended_text"]) == ("vera", "too early")
    assert (found[first]["reason_code"], found[first]["text"]) == ("EXEC", "the board asked for it")
    assert await world_of.rows("SELECT * FROM approver") == []
    await replays(who.mona)


async def test_what_is_not_decided_in_time_expires(engine: ServiceUnderTest, world_of: Tenant) -> None:
    who = await begun(engine, world_of, **gated(rules=proposing()))
    await scored(world_of)
    proposal = (await who.mona.get(f"/v1/opportunities/{DEAL}"))["proposals"][0]["proposal_id"]
    accepted = await who.mona.post(f"/v1/proposals/{proposal}/accept", {})
    assert (accepted["outcome"], accepted["reasons"][0]["code"]) == ("proposed", "APPROVAL_PENDING")
    approval_id = (await who.mona.get(f"/v1/opportunities/{DEAL}"))["approval"]["approval_id"]
    connection = await asyncpg.connect(world_of.service.owner_url)
    try:
        await connection.execute("SELECT set_config('app.tenant_id', $1, false)", world_of.tenant)
        await connection.execute(
            "UPDATE opportunity SET due_at = '2026-01-01', state = jsonb_set(state::jsonb, '{timers,@approval,due}',"
            " '\"2026-01-01T00:00:00Z\"')::text"
        )
    finally:
        await connection.close()

    async def expired() -> None:
        assert (await who.mona.get(f"/v1/approvals/{approval_id}"))["state"] == "expired"

    await eventually(expired)
    assert (await who.vera.post(f"/v1/approvals/{approval_id}/approve", {}, 409))["code"] == "approval_ended"
    assert (await who.rita.get(f"/v1/opportunities/{DEAL}"))["claimed_stage"] == "prospecting"


async def test_a_proposal_is_kept_renewed_rejected_and_accepted(engine: ServiceUnderTest, world_of: Tenant) -> None:
    who = await begun(engine, world_of, rules=proposing())
    told = await scored(world_of)
    (first,) = (await who.rita.get("/v1/proposals?state=open"))["items"]
    assert (first["rule_id"], first["to_stage"], first["why"]) == (RULE, "discovery", {"prospecting.score": "70"})
    assert [each.proposal_id for each in told.proposed] == [first["proposal_id"]]
    for client in (who.bob, who.max, who.cfo, who.stranger):
        assert (await client.get("/v1/proposals"))["items"] == []
        await client.get(f"/v1/proposals/{first['proposal_id']}", 404)
        for action, body in (("accept", {}), ("reject", {"reason": "no"})):
            found = await client.post(f"/v1/proposals/{first['proposal_id']}/{action}", body, 404)
            assert found["code"] == "proposal_not_found"
    own = await who.rita.post(f"/v1/proposals/{first['proposal_id']}/accept", {})
    assert own["reasons"][0]["code"] == "OWN_PROPOSAL"
    await who.mona.post(f"/v1/proposals/{first['proposal_id']}/reject", {}, 422)
    no = await who.mona.post(f"/v1/proposals/{first['proposal_id']}/reject", {"reason": "call first"})
    assert (no["outcome"], no["transition"]) == ("accepted", None)
    assert (await who.mona.post(f"/v1/proposals/{first['proposal_id']}/accept", {}, 409))["code"] == "proposal_ended"

    await scored(world_of, "75", 2, 5)
    await scored(world_of, "80", 3, 6)
    (second,) = (await who.mona.get(f"/v1/opportunities/{DEAL}"))["proposals"]
    yes = await who.mona.post(f"/v1/proposals/{second['proposal_id']}/accept", {"text": "agreed"})
    assert (yes["transition"]["cause"], yes["transition"]["actor"], yes["transition"]["rule_id"]) == (
        "proposal", "mona", RULE,
    )  # fmt: skip
    assert (await world_of.changes(2))[-1].cause == changed.CAUSE_PROPOSAL
    found = (await who.mona.get("/v1/proposals"))["items"]
    assert [each["state"] for each in found] == ["rejected", "superseded", "accepted"]
    totals = await who.mona.get("/v1/pipelines/field_example/proposal-totals")
    assert {each["state"]: each["proposals"] for each in totals["totals"]} == {
        "rejected": 1, "superseded": 1, "accepted": 1,
    }  # fmt: skip
    assert (await who.max.get("/v1/pipelines/field_example/proposal-totals"))["totals"] == []
    await who.rita.get("/v1/pipelines/field_example/proposal-totals", 403)
    await replays(who.mona)


async def test_what_is_queued_is_judged_in_the_mode_that_is_in_force_then(
    engine: ServiceUnderTest, world_of: Tenant, admin: Client
) -> None:
    """A rule that was switched off leaves nothing to accept; one that is auto is accepted all the same."""
    who = await begun(engine, world_of, rules=proposing())
    await scored(world_of)
    path = f"/v1/pipelines/field_example/rules/{RULE}/mode"
    await admin.call("PUT", path, 200, {"mode": "shadow", "reason": "it errs"}, match=0)
    (proposal,) = (await who.mona.get("/v1/proposals"))["items"]
    decision = await who.mona.post(f"/v1/proposals/{proposal['proposal_id']}/accept", {})
    assert (decision["outcome"], decision["reasons"][0]["code"]) == ("rejected", "RULE_SHADOW")
    ended = await who.mona.get(f"/v1/proposals/{proposal['proposal_id']}")
    assert (ended["state"], ended["missing"][0]["code"]) == ("no_longer_valid", "RULE_SHADOW")
    await admin.call("PUT", path, 200, {"mode": None, "reason": "mended"}, match=1)
    await scored(world_of, "75", 2, 4)
    await admin.call("PUT", "/v1/pipelines/field_example/automation", 200, {"enabled": False, "reason": "stop"})
    proposal = (await who.mona.get("/v1/proposals?state=open"))["items"][0]
    assert (await who.mona.post(f"/v1/proposals/{proposal['proposal_id']}/accept", {}))["to_stage"] == "discovery"
    await replays(who.mona)


@pytest.mark.capability(25)
async def test_a_milestone_is_kept_first_and_its_rule_goes_from_shadow_to_proposals_to_moves(
    engine: ServiceUnderTest, world_of: Tenant, admin: Client
) -> None:
    budget = {"key": "budget", "name": "Budget", "conditions": [{"fact": "opportunity.amount", "cell": ">= 500"}]}
    stages = [{**s, "milestones": [budget]} if s["key"] == "prospecting" else s for s in draft()["stages"]]
    first = {**draft()["rules"][0], "conditions": [{"fact": "milestones.budget", "cell": "true"}], "mode": "off"}
    who = await begun(engine, world_of, stages=stages, rules=[first, *draft()["rules"][1:]])
    path = f"/v1/pipelines/field_example/rules/{RULE}/mode"

    async def agreed(name: str, amount: str = "1000") -> dict[str, Any]:
        """An opportunity whose budget is agreed a moment after it was seen, and the decision on that."""
        for seen in ("100", amount):
            await world_of.observe(name, "prospecting", amount=seen)

        async def decided_on() -> Any:
            found = (await admin.get(f"/v1/opportunities/{name}/decisions"))["items"]
            assert len(found) >= 2
            return found[1]

        return await eventually(decided_on)

    crawls = await agreed("o1")
    assert (crawls["transition"], crawls["reasons"]) == (None, [])
    assert (await admin.get("/v1/opportunities/o1"))["milestones"]["budget"]["count"] == 1
    await admin.call("PUT", path, 200, {"mode": "shadow", "reason": "watch it"}, match=0)
    shadow = await agreed("o2")
    assert (shadow["transition"], shadow["reasons"][0]["code"]) == (None, "RULE_SHADOW")
    await admin.call("PUT", path, 200, {"mode": "propose", "reason": "it was right"}, match=1)
    assert (await agreed("o3"))["outcome"] == "proposed"
    (proposal,) = (await who.mona.get("/v1/proposals?state=open"))["items"]
    assert (proposal["opportunity_id"], proposal["why"]) == ("o3", {"milestones.budget": "true"})
    assert (await who.mona.post(f"/v1/proposals/{proposal['proposal_id']}/accept", {}))["to_stage"] == "discovery"
    await admin.call("PUT", path, 200, {"mode": "auto", "reason": "people agree with it"}, match=2)
    assert (await agreed("o4"))["transition"]["to_stage"] == "discovery"


async def test_an_approval_that_no_one_can_give_is_not_published(world_of: Tenant, admin: Client) -> None:
    await people(world_of)
    content = gated({"approvers": {"people": ["cfo", "gone"]}, "needed": 3})
    await admin.post("/v1/pipelines", draft(**content))
    refused = await admin.post("/v1/pipelines/field_example/publish", expect=422)
    assert {each["code"] for each in refused["errors"]} == {"approver_unknown", "approval_needs_more"}


async def test_a_migration_says_what_waits_and_cancels_it_when_it_is_to(
    engine: ServiceUnderTest, world_of: Tenant, admin: Client
) -> None:
    who = await begun(engine, world_of, **gated())
    await scored(world_of)
    await admin.post("/v1/pipelines/field_example/publish")
    path = "/v1/pipelines/field_example/versions/2"
    assert (await admin.post(f"{path}/plan", {}, 200))["pending_approvals"] == 1
    started = await admin.post(f"{path}/migrations", {"approvals": "cancel"})
    assert started["plan"]["approvals"] == "cancel"

    async def cancelled() -> None:
        (found,) = (await who.mona.get("/v1/approvals"))["items"]
        assert found["state"] == "superseded"

    await eventually(cancelled)
