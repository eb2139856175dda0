"""Opportunities over HTTP, on a real database and broker."""

import pytest
from kit.http.pagination import encode_cursor, signature_of
from kit.ids import uuid7
from stage_engine.templates import templates
from stagecraft.stage.v1.stage_changed_pb2 import CAUSE_PERSON, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import INPUT_KIND_COMMAND, OUTCOME_REJECTED, StageDecided
from testing.service import ServiceUnderTest

from tests.stage_engine import Client, Tenant, first_observed

pytestmark = pytest.mark.stack


class TestTransitions:
    async def test_a_fact_that_nothing_reads_is_refused_with_those_that_are_read(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        path = f"/v1/opportunities/{await first_observed(engine, tenant, admin)}/transitions"
        given = {"to_stage": "discovery", "facts": [{"name": "signal.mood", "value": "good"}]}
        refused = await admin.post(path, given, match=1, expect=422)
        assert (refused["code"], refused["errors"][0]["pointer"]) == ("fact_invalid", "/facts/0/name")
        assert "It reads " in str(refused)
        assert "prospecting.score" in str(refused)
        given["facts"] = [{"name": "prospecting.score", "value": "many"}]
        refused = await admin.post(path, given, match=1, expect=422)
        assert refused["errors"][0]["pointer"] == "/facts/0/value"

    @pytest.mark.capability(3, 64)
    async def test_a_command_is_decided_explained_logged_and_replayed(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        opportunity_id = await first_observed(engine, tenant, admin)
        path = f"/v1/opportunities/{opportunity_id}"
        seen = await admin.get(path)
        assert (seen["claimed_stage"], seen["earned_stage"], seen["revision"]) == ("prospecting", "prospecting", 1)
        assert [w["missing"][0]["code"] for w in seen["ways_on"]] == ["MISSING"]
        assert seen["sync"]["state"] == "agreed"

        refused = await admin.post(f"{path}/transitions", {"to_stage": "discovery"}, match=1)
        assert (refused["outcome"], refused["revision"]) == ("rejected", 1)
        assert [(r["code"], r["fact"]) for r in refused["reasons"]] == [("MISSING", "prospecting.score")]

        override = {"to_stage": "discovery", "override": True, "reason_code": "EXEC", "text": "they called us"}
        rep = Client(engine, tenant, "rep", "rita")
        refused = await rep.post(f"{path}/transitions", override, match=1, expect=403)
        assert (refused["code"], refused["scope"]) == ("missing_scope", "transitions:override")
        moved = await admin.post(f"{path}/transitions", override, match=1)
        assert (moved["outcome"], moved["transition"]["kind"], moved["revision"]) == ("accepted", "advance", 2)
        assert (moved["crm_expected_stage"], moved["crm_target_stage"]) == ("prospecting", "discovery")

        seen = await admin.get(path)
        assert seen["override"]["text"] == "they called us"
        assert (seen["claimed_stage"], seen["earned_stage"], seen["sync"]["state"]) == (
            "discovery", "prospecting", "pending",
        )  # fmt: skip
        gap = (await admin.get("/v1/optimism-gap"))["overall"]
        assert (gap["ahead"], gap["gaps"], gap["mean_rank_gap"]) == (
            {"opportunities": 1, "amounts": [{"currency": "", "amount": "1000"}]},
            [{"currency": "", "gap": "1"}],
            "1",
        )

        decisions = (await admin.get(f"{path}/decisions"))["items"]
        assert [d["decision_no"] for d in decisions] == [1, 2, 3]
        for decision in decisions:
            replay = await admin.post(f"/v1/decisions/{decision['decision_id']}/replay", expect=200)
            assert replay["identical"] is True
            assert (await admin.get(f"/v1/decisions/{decision['decision_id']}")) == decision
        changes = (await admin.get(f"/v1/changes?opportunity_id={opportunity_id}"))["items"]
        assert [(c["kind"], c["to_stage"], c["visit_closed_at"] is None) for c in changes] == [
            ("adopt", "prospecting", False),
            ("advance", "discovery", True),
        ]
        assert changes[0]["visit_closed_at"] == changes[1]["changed_at"]

        decided = await engine.events(StageDecided, tenant=tenant, count=3)
        commands = [e for e in decided if e.message.input_kind == INPUT_KIND_COMMAND]
        assert commands[0].message.outcome == OUTCOME_REJECTED and not commands[0].message.HasField("change")
        assert [e.sequence for e in decided] == [1, 2, 3]
        assert decided[-1].message.change.to_stage == "discovery"
        changed = await engine.events(StageChanged, tenant=tenant, count=2)
        assert [(e.sequence, e.message.cause == CAUSE_PERSON) for e in changed] == [(1, False), (2, True)]

    async def test_preconditions_and_unknown_places(self, engine: ServiceUnderTest, tenant: str, admin: Client) -> None:
        opportunity_id = await first_observed(engine, tenant, admin)
        path = f"/v1/opportunities/{opportunity_id}/transitions"
        lost = {"to_stage": "closed_lost", "reason_code": "PRICE"}
        await admin.post(path, lost, expect=428)
        problem = await admin.post(path, lost, expect=412, match=7)
        assert problem["code"] == "precondition_failed"
        assert (await admin.post(path, {"to_stage": "nowhere"}, expect=422, match=1))["code"] == "stage_unknown"
        assert (await admin.post(path, {"to": "demo"}, expect=422, match=1))["code"] == "validation_failed"
        assert len((await admin.get(f"/v1/opportunities/{opportunity_id}/decisions"))["items"]) == 1
        await admin.post("/v1/opportunities/none/transitions", lost, expect=404, match=1)

    async def test_a_repeated_command_moves_once(self, engine: ServiceUnderTest, tenant: str, admin: Client) -> None:
        opportunity_id = await first_observed(engine, tenant, admin)
        path = f"/v1/opportunities/{opportunity_id}/transitions"
        lost = {"to_stage": "closed_lost", "reason_code": "PRICE"}
        key = {"Idempotency-Key": str(uuid7())}
        first = await admin.post(path, lost, match=1, headers=key)
        assert await admin.post(path, lost, match=1, headers=key) == first
        assert (await admin.get(f"/v1/opportunities/{opportunity_id}"))["revision"] == 2

    async def test_who_answered_does_not_confirm_and_another_person_finds_what_waits(
        self, engine: ServiceUnderTest, tenant: str, world_of: Tenant
    ) -> None:
        rules = [{**rule, "mode": "propose"} for rule in templates()["field_example"]["rules"]]
        await world_of.publish_pipeline(rules=rules)
        await world_of.observe("o1", "prospecting")
        await world_of.observe("o2", "prospecting")
        await world_of.decisions(2)
        await world_of.score("o1", "prospecting", "70", ("prospecting", 1))
        await world_of.decisions(3)
        rita, mona = Client(engine, tenant, "rep", "rita"), Client(engine, tenant, "manager", "mona")
        for client in (rita, mona):
            waits = (await client.get("/v1/opportunities?to_confirm=true"))["items"]
            assert [(each["opportunity_id"], each["earned_stage"]) for each in waits] == [("o1", "discovery")]
        path, confirm = "/v1/opportunities/o1/transitions", {"to_stage": "discovery"}
        own = await rita.post(path, confirm, match=1)
        assert (own["outcome"], [reason["code"] for reason in own["reasons"]]) == ("rejected", ["OWN_PROPOSAL"])
        assert (await mona.post(path, confirm, match=1))["outcome"] == "accepted"
        assert (await mona.get("/v1/opportunities?to_confirm=true"))["items"] == []

    async def test_a_rep_sees_and_moves_only_their_own(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        opportunity_id = await first_observed(engine, tenant, admin)
        path = f"/v1/opportunities/{opportunity_id}"
        rita, paul = Client(engine, tenant, "rep", "rita"), Client(engine, tenant, "rep", "paul")
        assert [o["opportunity_id"] for o in (await rita.get("/v1/opportunities"))["items"]] == [opportunity_id]
        assert (await paul.get("/v1/opportunities"))["items"] == []
        decision_id = (await rita.get(f"{path}/decisions"))["items"][0]["decision_id"]
        for stranger in (paul, Client(engine, f"{tenant}-other")):
            await stranger.get(path, 404)
            await stranger.get(f"{path}/decisions", 404)
            await stranger.get(f"/v1/decisions/{decision_id}", 404)
            assert (await stranger.get("/v1/changes"))["items"] == []
            lost = {"to_stage": "closed_lost", "reason_code": "X"}
            await stranger.post(f"{path}/transitions", lost, expect=404, match=1)
        await paul.get("/v1/optimism-gap", 403)

    async def test_lists_go_page_by_page(self, engine: ServiceUnderTest, tenant: str, admin: Client) -> None:
        opportunity_id = await first_observed(engine, tenant, admin, "demo")
        page = await admin.get("/v1/opportunities?stage=demo&limit=1")
        assert ([o["opportunity_id"] for o in page["items"]], page["next_cursor"]) == ([opportunity_id], None)
        assert (await admin.get("/v1/opportunities?stage=prospecting"))["items"] == []
        for revision, stage in ((1, "prospecting"), (2, "closed_lost")):
            body = {"to_stage": stage, "reason_code": "X"}
            await admin.post(f"/v1/opportunities/{opportunity_id}/transitions", body, match=revision)
        seen, cursor = [], ""
        while cursor is not None:
            page = await admin.get(
                f"/v1/opportunities/{opportunity_id}/decisions?limit=1{cursor and '&cursor=' + cursor}"
            )
            seen += [d["decision_no"] for d in page["items"]]
            cursor = page["next_cursor"]
        assert seen == [1, 2, 3]
        page = await admin.get("/v1/pipelines?limit=1")
        assert page["next_cursor"] is None
        other = encode_cursor(signature_of(b"", "list_pipelines", tenant), ["field_example"])
        for path in (f"/v1/opportunities/{opportunity_id}/decisions", "/v1/changes"):
            assert (await admin.get(f"{path}?cursor={other}", 422))["code"] == "invalid_cursor"
        assert (await admin.get("/v1/opportunities?cursor=zzz", 422))["code"] == "invalid_cursor"

    async def test_times_beyond_the_calendar_are_refused(self, admin: Client) -> None:
        for query in (
            "until=0001-01-01T00:00:00%2B14:00",
            "since=9999-12-31T23:59:59-12:00",
            "until=2026-01-01T00:00:00",
        ):
            problem = await admin.get(f"/v1/funnel?{query}", 422)
            assert problem["errors"][0]["pointer"] == f"/query/{query[:5]}"
