"""Authoring pipelines over HTTP, on a real database and broker."""

from typing import Any

import pytest
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from testing.service import ServiceUnderTest

from tests.builders import scoring_profile_published
from tests.rule_tables import largest_pipeline
from tests.stage_engine import Client, Tenant, draft

pytestmark = pytest.mark.stack


class TestTemplates:
    @pytest.mark.capability(2)
    async def test_are_listed_and_can_be_taken_as_they_are(self, admin: Client) -> None:
        keys = [item["key"] for item in (await admin.get("/v1/pipeline-templates"))["items"]]
        assert keys == ["exit_criteria", "field_example", "generic_five_steps"]
        for key in keys:
            await admin.post("/v1/pipelines", await admin.get(f"/v1/pipeline-templates/{key}"))
            assert (await admin.post(f"/v1/pipelines/{key}/publish"))["version"] == 1
        assert (await admin.get("/v1/pipeline-templates/none", 404))["code"] == "template_not_found"


class TestAuthoring:
    @pytest.mark.capability(48)
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
        assert [v["version"] for v in versions] == [1, 2]
        for number, name in ((1, "Field example"), (2, "Renamed")):
            version = await admin.get(f"/v1/pipelines/field_example/versions/{number}")
            assert (version["version"], version["document"]["name"]) == (number, name)
        assert (await admin.get("/v1/pipelines/field_example/versions/3", 404))["code"] == "pipeline_not_found"
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
        assert ("/rules/0/conditions/0/cell", "cell_invalid") in found
        assert ("/rules/1/to_stage", "stage_unknown") in found
        assert (await admin.get("/v1/pipelines/field_example/versions"))["items"] == []

    @pytest.mark.parametrize("role", ["rep", "partner"])
    async def test_who_may_only_read_has_nothing_checked(
        self, engine: ServiceUnderTest, tenant: str, admin: Client, role: str
    ) -> None:
        await admin.post("/v1/pipelines", draft())
        refused = await Client(engine, tenant, role).post("/v1/pipelines/field_example/lint", expect=403)
        assert refused["code"] == "missing_scope"

    @pytest.mark.parametrize(("conditions", "cell"), [(6, "> 1"), (2, "> 1" + " " * 200)])
    async def test_what_would_take_too_long_to_check_is_refused_with_the_limit(
        self, admin: Client, conditions: int, cell: str
    ) -> None:
        document = largest_pipeline()
        for rule in document["rules"]:
            rule["conditions"] = [{"fact": "q0.score", "cell": cell}] * conditions
        refused = await admin.post("/v1/pipelines", document, expect=422)
        assert "at most" in str(refused["errors"]), refused

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
        assert {e["pointer"] for e in problem["errors"]} == {"/key", "/stages"}
        rep = Client(engine, tenant, "rep")
        assert (await rep.post("/v1/pipelines", draft(), expect=403))["code"] == "missing_scope"
        await admin.post("/v1/pipelines", draft())
        other = Client(engine, f"{tenant}-other")
        assert (await other.get("/v1/pipelines"))["items"] == []
        await other.get("/v1/pipelines/field_example", 404)
        await other.post("/v1/pipelines/field_example/publish", expect=404)


class TestImpact:
    async def test_another_default_does_not_take_over_silently(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline()
        await world_of.observe("o1", "demo")
        await world_of.changes(1)
        await admin.post("/v1/pipelines", draft(key="other"))
        refused = await admin.post("/v1/pipelines/other/publish", expect=409)
        assert refused["code"] == "default_taken"
        assert "'field_example'" in refused["detail"] and "1 open" in refused["detail"]
        assert (await admin.get("/v1/pipelines/other"))["newest_version"] == 0
        taken = await admin.post("/v1/pipelines/other/publish", {"take_over_default": True})
        told = next(f for f in taken["findings"] if f["code"] == "default_taken_over")
        assert "1 open" in told["message"]
        assert (await admin.post("/v1/pipelines/other/publish"))["version"] == 2

    async def test_points_that_make_a_rule_impossible_are_reported_with_who_waits(
        self, engine: ServiceUnderTest, tenant: str, world_of: Tenant, admin: Client, eventually: Any
    ) -> None:
        await world_of.publish_pipeline()
        for number, stage in enumerate(("prospecting", "prospecting", "demo")):
            await world_of.observe(f"o{number}", stage)
        await world_of.changes(3)
        assert (await admin.get("/v1/pipelines/field_example/findings"))["items"] == []
        lowered = scoring_profile_published(version=2, reachable_max="55", reachable_scores=["10", "55"])
        await engine.publish(lowered, tenant=tenant)

        async def found() -> Any:
            items = (await admin.get("/v1/pipelines/field_example/findings"))["items"]
            assert items
            return items

        (item,) = await eventually(found)
        assert (item["code"], item["version"], item["opportunities"]) == ("threshold_unreachable", 1, 2)
        assert item["pointer"] == "/rules/0/conditions/0/cell"


class TestStages:
    async def test_a_partner_sees_published_stages_and_neither_drafts_nor_thresholds(
        self, engine: ServiceUnderTest, tenant: str, admin: Client
    ) -> None:
        await admin.post("/v1/pipelines", draft())
        partner = Client(engine, tenant, "partner", "northwind")
        assert (await partner.get("/v1/stages"))["items"] == []
        for version in (1, 2):
            await admin.post("/v1/pipelines/field_example/publish")
            [found] = (await partner.get("/v1/stages"))["items"]
            assert (found["key"], found["version"]) == ("field_example", version)
        assert found["stages"][0] == {"key": "prospecting", "name": "Prospecting", "category": "open"}
        assert found.keys() == {"key", "version", "name", "stages"}
        for path in ("/v1/pipelines", "/v1/pipelines/field_example", "/v1/pipelines/field_example/versions"):
            assert (await partner.get(path, 403))["scope"] == "pipelines:read"
        rep = Client(engine, tenant, "rep", "rita")
        assert (await rep.post("/v1/pipelines/field_example/lint", expect=403))["scope"] == "pipelines:write"
