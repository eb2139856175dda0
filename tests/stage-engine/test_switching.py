"""Switching rules and automation over HTTP, and what it does to opportunities under way."""

import asyncio

import pytest
from kit.ids import uuid7
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from testing.service import ServiceUnderTest

from tests.stage_engine import Client, Tenant, codes, draft

pytestmark = pytest.mark.stack
PATH = "/v1/pipelines/field_example"
RULE = f"{PATH}/rules/prospecting_to_discovery/mode"


async def replays(admin: Client, opportunity_id: str) -> bool:
    items = (await admin.get(f"/v1/opportunities/{opportunity_id}/decisions"))["items"]
    found = [await admin.post(f"/v1/decisions/{item['decision_id']}/replay", expect=200) for item in items]
    return all(each["identical"] for each in found)


async def test_a_rule_is_switched_for_all_versions_at_the_next_decision(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline()
    await world_of.observe("o1", "prospecting")
    await world_of.decisions(1)
    await admin.post(f"{PATH}/publish")
    await world_of.observe("o2", "prospecting")
    await world_of.decisions(2)
    assert (await admin.get(f"{PATH}/modes")) == {
        "pipeline_key": "field_example", "revision": 0, "automation": True, "breaker_open": False, "switched": [],
    }  # fmt: skip
    body = {"mode": "propose", "reason": "it moved too many"}
    now = await admin.call("PUT", RULE, 200, body, match=0)
    assert (now["revision"], now["switched"][0]["switch"], now["switched"][0]["reason"]) == (
        1, "propose", "it moved too many",
    )  # fmt: skip
    assert (await admin.call("PUT", RULE, 412, body, match=0))["code"] == "precondition_failed"
    assert (await admin.call("PUT", RULE, 200, body, match=1))["revision"] == 1
    for name in ("o1", "o2"):
        await world_of.score(name, "prospecting", "70", ("prospecting", 1))
    found = [d for d in await world_of.decisions(4) if d.HasField("submission")]
    assert {(d.opportunity_id, d.pipeline_version) for d in found} == {("o1", 1), ("o2", 2)}
    assert {d.outcome for d in found} == {decided.OUTCOME_PROPOSED}

    again = await admin.call("PUT", RULE, 200, {"mode": None, "reason": "it was right"}, match=1)
    assert (again["revision"], again["switched"]) == (2, [])
    await world_of.score("o1", "prospecting", "70", ("prospecting", 1), attempt_no=2)
    assert (await world_of.decisions(5))[-1].outcome == decided.OUTCOME_ACCEPTED
    assert await replays(admin, "o1")
    entries = (await admin.get("/v1/audit-entries?limit=200"))["items"]
    audited = [e["detail"] for e in entries if e["action"] == "pipeline.rule_switched"]
    assert [(e["to"], e["reason"]) for e in audited] == [
        ("propose", "it moved too many"),
        ("as_published", "it was right"),
    ]


async def test_what_could_not_be_published_is_not_switched(
    engine: ServiceUnderTest, world_of: Tenant, admin: Client
) -> None:
    content = draft()
    lost = {
        "rule_id": "lost", "from_stage": "prospecting", "to_stage": "closed_lost", "mode": "propose", "priority": 5,
        "conditions": [{"fact": "prospecting.score", "cell": "< 5"}],
    }  # fmt: skip
    await world_of.publish_pipeline(rules=[*content["rules"], lost])
    path = f"{PATH}/rules/lost/mode"
    refused = await admin.call("PUT", path, 422, {"mode": "auto", "reason": "faster"}, match=0)
    assert (refused["code"], refused["errors"][0]["code"]) == ("pipeline_invalid", "rule_without_reason")
    missing = await admin.call("PUT", f"{PATH}/rules/none/mode", 404, {"mode": "off", "reason": "x"}, match=0)
    assert missing["code"] == "rule_not_found"
    rep = Client(engine, world_of.tenant, "rep", "rita")
    assert (await rep.call("PUT", path, 403, {"mode": "off", "reason": "x"}, match=0))["scope"] == "pipelines:write"
    await admin.call("PUT", path, 200, {"mode": "off", "reason": "not yet"}, match=0)
    told = (await admin.post(f"{PATH}/publish"))["findings"]
    assert ("rule_mode_switched", "/rules/4/mode") in [(each["code"], each["pointer"]) for each in told]


async def test_the_kill_switch_stops_every_move_also_in_the_middle_of_a_batch(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline()
    names = [f"o{number}" for number in range(12)]
    for name in names:
        await world_of.observe(name, "prospecting")
    await world_of.decisions(12)

    async def answers() -> None:
        for name in names:
            await world_of.score(name, "prospecting", "70", ("prospecting", 1), submission_id=str(uuid7()))

    body = {"enabled": False, "reason": "opportunities move by the hundred"}
    off, _ = await asyncio.gather(admin.call("PUT", f"{PATH}/automation", 200, body), answers())
    assert off["automation"] is False
    await world_of.decisions(24)
    await world_of.score("o1", "prospecting", "80", ("prospecting", 1), attempt_no=2)
    await world_of.score("o1", "discovery", "80", ("discovery", 2), attempt_no=3)
    stopped = (await world_of.decisions(26))[-1]
    assert "AUTOMATION_OFF" in codes(stopped) or "NOT_CURRENT_STAGE" in codes(stopped)
    for name in names:
        assert await replays(admin, name)
    on = await admin.call("PUT", f"{PATH}/automation", 200, {"enabled": True, "reason": "the rule is right again"})
    assert (on["revision"], on["switched"]) == (2, [])


async def test_with_automation_off_a_person_confirms(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline()
    await admin.call("PUT", f"{PATH}/automation", 200, {"enabled": False, "reason": "audit week"})
    await world_of.observe("o1", "prospecting")
    await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
    found = (await world_of.decisions(2))[-1]
    assert (found.outcome, codes(found), found.earned_stage) == (
        decided.OUTCOME_REJECTED, ["AUTOMATION_OFF"], "discovery",
    )  # fmt: skip
    waiting = (await admin.get("/v1/opportunities?to_confirm=true"))["items"]
    assert [each["opportunity_id"] for each in waiting] == ["o1"]
    moved = await admin.post("/v1/opportunities/o1/transitions", {"to_stage": "discovery"}, match=1)
    assert moved["outcome"] == "accepted"


@pytest.mark.capability(50)
async def test_a_draft_reads_beside_a_version_in_words(world_of: Tenant, admin: Client) -> None:
    await world_of.publish_pipeline()
    content = draft()
    key = content.pop("key")
    content["rules"] = [
        r | {"conditions": [{"fact": "discovery.score", "cell": "> 70"}]} if n == 1 else r
        for n, r in enumerate(content["rules"])
    ]
    await admin.call("PUT", f"/v1/pipelines/{key}/draft", 200, content, match=1)
    found = await admin.get(f"{PATH}/diff?from=1&to=draft")
    assert [each["text"] for each in found["changes"]] == ["Discovery → Demo: > 75 becomes > 70."]
    await admin.post(f"{PATH}/publish")
    assert (await admin.get(f"{PATH}/diff?from=2"))["changes"] == []
    back = await admin.get(f"{PATH}/diff?from=2&to=1")
    assert [each["text"] for each in back["changes"]] == ["Discovery → Demo: > 70 becomes > 75."]
    assert (await admin.get(f"{PATH}/diff?from=7", 404))["code"] == "pipeline_not_found"
    assert (await admin.get(f"{PATH}/diff?from=newest", 422))["code"] == "validation_failed"
