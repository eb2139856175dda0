"""The API of the stage engine against a real database and broker."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from kit.http.pagination import encode_cursor, signature_of
from kit.ids import uuid7
from stage_engine.templates import templates
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from stagecraft.stage.v1.stage_changed_pb2 import CAUSE_PERSON, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import INPUT_KIND_COMMAND, OUTCOME_REJECTED, StageDecided
from testing.service import ServiceUnderTest

pytestmark = pytest.mark.stack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(start_service: Any) -> AsyncIterator[ServiceUnderTest]:
    yield await start_service("stage_engine")


def draft(**changes: Any) -> dict[str, Any]:
    return {**templates()["field_example"], **changes}


class Client:
    """The API as one person of one tenant uses it."""

    def __init__(self, service: ServiceUnderTest, tenant: str, role: str = "admin", subject: str = "") -> None:
        self._service = service
        self._headers = service.headers(tenant, role, subject)

    async def call(
        self,
        method: str,
        path: str,
        expect: int,
        body: Any = None,
        match: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        given = {**self._headers, **(headers or {})}
        if match is not None:
            given["If-Match"] = f'"{match}"'
        options = {"json": body} if body is not None else {}
        response = await self._service.client.request(method, path, headers=given, **options)
        assert response.status_code == expect, response.text
        return response.json()

    async def get(self, path: str, expect: int = 200) -> Any:
        return await self.call("GET", path, expect)

    async def post(
        self,
        path: str,
        body: Any = None,
        expect: int = 201,
        match: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        return await self.call("POST", path, expect, body, match, headers)


@pytest_asyncio.fixture(loop_scope="session")
async def admin(engine: ServiceUnderTest, tenant: str) -> Client:
    return Client(engine, tenant)


async def publish(admin: Client, **changes: Any) -> Any:
    await admin.post("/v1/pipelines", draft(**changes))
    return await admin.post(f"/v1/pipelines/{changes.get('key', 'field_example')}/publish")


class TestTemplates:
    async def test_are_listed_and_can_be_taken_as_they_are(self, admin: Client) -> None:
        keys = [item["key"] for item in (await admin.get("/v1/pipeline-templates"))["items"]]
        assert keys == ["field_example", "generic_five_steps"]
        for key in keys:
            await admin.post("/v1/pipelines", await admin.get(f"/v1/pipeline-templates/{key}"))
            assert (await admin.post(f"/v1/pipelines/{key}/publish"))["version"] == 1
        assert (await admin.get("/v1/pipeline-templates/none", 404))["code"] == "template_not_found"


class TestAuthoring:
    async def test_a_pipeline_is_drafted_checked_and_published_in_versions(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        made = await admin.post("/v1/pipelines", draft())
        assert (made["revision"], made["newest_version"]) == (1, 0)
        published = await admin.post("/v1/pipelines/field_example/publish")
        assert published["version"] == 1
        assert "won_is_automatic" in [f["code"] for f in published["findings"]]
        renamed = {name: value for name, value in draft(name="Renamed").items() if name != "key"}
        changed = await admin.call("PUT", "/v1/pipelines/field_example/draft", 200, renamed, match=1)
        assert changed["revision"] == 2
        assert (await admin.post("/v1/pipelines/field_example/publish"))["version"] == 2
        versions = (await admin.get("/v1/pipelines/field_example/versions"))["items"]
        assert [(v["version"], v["document"]["name"]) for v in versions] == [(1, "Field example"), (2, "Renamed")]
        events = await engine.events(PipelinePublished, tenant=tenant, count=2)
        assert [(e.sequence, e.message.name, e.message.is_default) for e in events] == [
            (1, "Field example", True),
            (2, "Renamed", True),
        ]
        assert [r.cell for r in events[0].message.rules[0].conditions] == ["> 60"]
        actions = [e["action"] for e in (await admin.get("/v1/audit-entries"))["items"]]
        assert actions.count("pipeline.published") == 2

    async def test_a_pipeline_with_errors_is_refused_with_their_places(self, admin: Client) -> None:
        rules = [{**rule} for rule in draft()["rules"]]
        rules[0]["conditions"] = [{"fact": "prospecting.score", "cell": "> > 60"}]
        rules[1]["to_stage"] = "nowhere"
        await admin.post("/v1/pipelines", draft(rules=rules))
        report = await admin.post("/v1/pipelines/field_example/lint", expect=200)
        assert report["publishable"] is False
        problem = await admin.post("/v1/pipelines/field_example/publish", expect=422)
        assert problem["code"] == "pipeline_invalid"
        found = {(e["pointer"], e["code"]) for e in problem["errors"]}
        assert ("/draft/rules/0/conditions/0/cell", "cell_invalid") in found
        assert ("/draft/rules/1/to_stage", "stage_unknown") in found
        assert (await admin.get("/v1/pipelines/field_example/versions"))["items"] == []

    async def test_content_can_be_checked_without_being_saved(self, admin: Client) -> None:
        await admin.post("/v1/pipelines", draft())
        content = {name: value for name, value in draft(rules=[]).items() if name != "key"}
        report = await admin.post("/v1/pipelines/field_example/lint", content, expect=200)
        assert report["publishable"] is True
        assert {f["severity"] for f in report["findings"]} == {"warning", "info"}
        assert len((await admin.get("/v1/pipelines/field_example"))["draft"]["rules"]) == 4

    async def test_changes_need_the_revision_that_was_read(self, admin: Client) -> None:
        await admin.post("/v1/pipelines", draft())
        content = {name: value for name, value in draft().items() if name != "key"}
        path = "/v1/pipelines/field_example/draft"
        assert (await admin.call("PUT", path, 428, content))["code"] == "precondition_required"
        assert (await admin.call("PUT", path, 412, content, match=9))["code"] == "precondition_failed"
        assert (await admin.post("/v1/pipelines", draft(), expect=409))["code"] == "pipeline_exists"

    async def test_bad_bodies_and_strangers_are_refused(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        problem = await admin.post("/v1/pipelines", draft(key="no spaces", stages=[]), expect=422)
        assert {e["pointer"] for e in problem["errors"]} == {"/body/key", "/body/stages"}
        rep = Client(engine, tenant, "rep")
        assert (await rep.post("/v1/pipelines", draft(), expect=403))["code"] == "missing_scope"
        await admin.post("/v1/pipelines", draft())
        other = Client(engine, f"{tenant}-other")
        assert (await other.get("/v1/pipelines"))["items"] == []
        await other.get("/v1/pipelines/field_example", 404)
        await other.post("/v1/pipelines/field_example/publish", expect=404)


class TestTransitions:
    async def deal(self, engine: ServiceUnderTest, tenant: str, admin: Client, stage: str = "prospecting") -> str:
        from stagecraft.crm.v1.opportunity_observed_pb2 import OBSERVATION_KIND_IMPORTED, OpportunityObserved

        await publish(admin)
        message = OpportunityObserved(
            opportunity_id=f"o-{uuid7()}",
            kind=OBSERVATION_KIND_IMPORTED,
            stage_key=stage,
            crm_stage=stage,
            amount="1000",
            owner_id="rita",
            change_id=str(uuid7()),
        )
        message.committed_at.GetCurrentTime()
        await engine.publish(message, tenant=tenant)
        await engine.events(StageChanged, tenant=tenant, count=1)
        return message.opportunity_id

    async def test_a_command_is_decided_explained_logged_and_replayed(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        opportunity_id = await self.deal(engine, tenant, admin)
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
        assert (await rep.post(f"{path}/transitions", override, match=1))["reasons"][0]["fact"] == "command.role"
        moved = await admin.post(f"{path}/transitions", override, match=1)
        assert (moved["outcome"], moved["transition"]["kind"], moved["revision"]) == ("accepted", "advance", 2)
        assert (moved["crm_expected_stage"], moved["crm_target_stage"]) == ("prospecting", "discovery")

        seen = await admin.get(path)
        assert seen["override"]["text"] == "they called us"
        assert (seen["claimed_stage"], seen["earned_stage"], seen["sync"]["state"]) == (
            "discovery", "prospecting", "pending",
        )  # fmt: skip
        gap = (await admin.get("/v1/optimism-gap"))["overall"]
        assert (gap["ahead"], gap["gap"], gap["mean_rank_gap"]) == ({"deals": 1, "amount": "1000"}, "1.0000", "1.0000")

        decisions = (await admin.get(f"{path}/decisions"))["items"]
        assert [d["decision_no"] for d in decisions] == [1, 2, 3, 4]
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

        decided = await engine.events(StageDecided, tenant=tenant, count=4)
        commands = [e for e in decided if e.message.input_kind == INPUT_KIND_COMMAND]
        assert commands[0].message.outcome == OUTCOME_REJECTED and not commands[0].message.HasField("change")
        assert [e.sequence for e in decided] == [1, 2, 3, 4]
        assert decided[-1].message.change.to_stage == "discovery"
        changed = await engine.events(StageChanged, tenant=tenant, count=2)
        assert [(e.sequence, e.message.cause == CAUSE_PERSON) for e in changed] == [(1, False), (2, True)]

    async def test_preconditions_and_unknown_places(self, engine: ServiceUnderTest, tenant: str, admin: Client) -> None:
        opportunity_id = await self.deal(engine, tenant, admin)
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
        opportunity_id = await self.deal(engine, tenant, admin)
        path = f"/v1/opportunities/{opportunity_id}/transitions"
        lost = {"to_stage": "closed_lost", "reason_code": "PRICE"}
        key = {"Idempotency-Key": str(uuid7())}
        first = await admin.post(path, lost, match=1, headers=key)
        assert await admin.post(path, lost, match=1, headers=key) == first
        assert (await admin.get(f"/v1/opportunities/{opportunity_id}"))["revision"] == 2

    async def test_a_rep_sees_and_moves_only_their_own(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        opportunity_id = await self.deal(engine, tenant, admin)
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
        opportunity_id = await self.deal(engine, tenant, admin, "demo")
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


class TestPartnerFeeds:
    async def test_a_feed_needs_a_topic_of_the_tenant_that_exists(self, tenant: str, admin: Client) -> None:
        missing = {"partner_key": "northwind", "topic": f"stagecraft.partner.{tenant}.northwind.stage-changed.v1"}
        assert (await admin.post("/v1/partner-feeds", missing, expect=422))["code"] == "partner_topic_missing"
        foreign = {"partner_key": "northwind", "topic": "stagecraft.stage.changed.v1"}
        assert (await admin.post("/v1/partner-feeds", foreign, expect=422))["code"] == "partner_topic_foreign"
        assert (await admin.get("/v1/partner-feeds"))["items"] == []

    async def test_a_partner_gets_every_change_under_ids_of_its_own(self, engine: ServiceUnderTest) -> None:
        tenant = "acme"
        admin = Client(engine, tenant)
        topic = "stagecraft.partner.acme.northwind.stage-changed.v1"
        feed = {"partner_key": "northwind", "topic": topic}
        await admin.post("/v1/partner-feeds", feed)
        assert (await admin.post("/v1/partner-feeds", feed, expect=409))["code"] == "partner_feed_exists"
        assert [f["topic"] for f in (await admin.get("/v1/partner-feeds"))["items"]] == [topic]
        opportunity_id = await TestTransitions().deal(engine, tenant, admin)
        lost = {"to_stage": "closed_lost", "reason_code": "PRICE"}
        await admin.post(f"/v1/opportunities/{opportunity_id}/transitions", lost, match=1)
        ours = await engine.events(StageChanged, tenant=tenant, count=2)
        theirs = await engine.events(StageChanged, tenant=tenant, count=2, topic=topic)
        assert [e.message for e in theirs] == [e.message for e in ours]
        assert not {e.id for e in theirs} & {e.id for e in ours}
