"""Authoring pipelines over HTTP, on a real database and broker."""

import pytest
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from testing.service import ServiceUnderTest

from tests.stage_engine import Client, draft

pytestmark = pytest.mark.stack


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
