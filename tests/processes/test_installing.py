"""One call installs a process: all of it together, once, and past what is there already."""

from typing import Any

import pytest
from stage_engine.endpoints import processes
from stage_engine.processes import process_templates
from stage_engine.service.authoring import Authoring
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished

from tests.processes.conftest import Company
from tests.stage_engine import Client

pytestmark = pytest.mark.stack
EIGHT = ["account_engagement", "bant_lead", "expected_to_qualified", "field_example", "generic_five", "meddic",
         "ninety_day_call", "survey_branch"]  # fmt: skip
BANT = {"key": "bant", "title": "Our own", "questions": [{"key": "budget", "text": "Is there one?", "type": "boolean"}]}


async def in_force(company: Company) -> list[str]:
    return [each["key"] for each in (await company.admin.get("/v1/stages"))["items"]]


async def own_assessment(company: Company) -> None:
    service = company.services["assessment"]
    made = await service.client.post("/v1/assessments", json=BANT, headers=service.headers(company.tenant))
    assert made.status_code == 201, made.text


async def test_all_of_it_is_there_after_one_call_and_the_next_changes_nothing(company: Company) -> None:
    listed = (await company.admin.get("/v1/process-templates"))["items"]
    assert [each["key"] for each in listed] == EIGHT
    people = {"inside_sales": ["rita", "ron"]}
    await company.staff("rita", "ron")
    first = await company.install("bant_lead", people=people)
    assert [(each["code"], each["pointer"]) for each in first.pop("findings")] == [
        ("person_unknown", "/pools/1/people/0")
    ]
    assert first == {
        "pipelines": {"bant_lead": 1},
        "assessments": {"bant": 1},
        "assignment_rules": {"lead": 1},
        "waiting_for": [],
        "changed": True,
    }
    [event] = await company.engine.events(PipelinePublished, tenant=company.tenant, count=1)
    assert [(each.assessment_key, each.version) for each in event.message.assessment_versions] == [("bant", 1)]
    rules = await company.admin.get("/v1/assignment-rules/lead")
    assert {pool["key"]: pool["people"] for pool in rules["pools"]} == {
        "inside_sales": ["rita", "ron"], "specialists": ["admin"]
    }  # fmt: skip
    again = await company.install("bant_lead", expect=200, people={"inside_sales": ["sam"]})
    kept = again.pop("findings")[-1]
    assert (kept["code"], kept["pointer"]) == ("pool_kept", "/people/inside_sales")
    assert "PUT /v1/assignment-rules/lead" in kept["message"]
    assert again == {**first, "changed": False}
    path = "/v1/process-templates/bant_lead/install"
    assert (await company.engine.client.post(path, headers=company.engine.headers(company.tenant))).status_code == 200
    assert (await company.admin.get("/v1/pipelines/bant_lead"))["newest_version"] == 1


async def test_what_a_tenant_made_of_it_since_stays(company: Company) -> None:
    await company.install("generic_five")
    found = await company.admin.get("/v1/pipelines/generic_five_steps")
    draft = found["draft"]
    path = "/v1/pipelines/generic_five_steps"
    await company.admin.call("PUT", f"{path}/draft", 200, {**draft, "name": "Ours"}, match=found["revision"])
    await company.admin.post(f"{path}/publish")
    again = await company.install("generic_five", expect=200)
    assert (again["pipelines"], again["changed"]) == ({"generic_five_steps": 2}, False)


async def test_a_key_of_another_content_is_refused_unless_another_prefix_is_given(company: Company) -> None:
    await own_assessment(company)
    refused = await company.install("bant_lead", expect=409)
    assert refused["code"] == "template_refused"
    assert [(each["pointer"], each["detail"]) for each in refused["errors"]] == [
        ("/assessments/bant", "There is an assessment bant of another content.")
    ]
    assert await in_force(company) == []
    other = {"key": "generic_five_steps", "name": "Ours", "stages": [{"key": "a", "name": "A", "category": "open"}]}
    await company.admin.post("/v1/pipelines", other)
    [error] = (await company.install("generic_five", expect=409))["errors"]
    assert error["pointer"] == "/pipelines/generic_five_steps"

    installed = await company.install("bant_lead", prefix="emea")
    assert (installed["pipelines"], installed["assessments"]) == ({"emea_bant_lead": 1}, {"emea_bant": 1})
    document = (await company.admin.get("/v1/pipelines/emea_bant_lead/versions/1"))["document"]
    read = {each["fact"] for rule in document["rules"] for each in rule["conditions"]}
    assert read == {"activity.call.count", "emea_bant.score"}
    assert document["stages"][0]["assessment_keys"] == ["emea_bant"]
    assert document["stages"][0]["key"] == "new"
    rules = await company.admin.get("/v1/assignment-rules/lead")
    assert [each["rule_id"] for each in rules["rules"]] == ["emea_regulated", "emea_in_turn"]
    # The same process twice: the rules of the second come after those of the first.
    await company.install("bant_lead", prefix="apac")
    rules = await company.admin.get("/v1/assignment-rules/lead")
    assert [each["rule_id"] for each in rules["rules"]][1:3] == ["emea_in_turn", "apac_regulated"]


async def test_one_that_was_left_half_done_is_gone_on_with(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        # The process dies between the request for assessments and the publication.
        patched.setattr(processes, "PATIENCE_SECONDS", 0)
        left = await company.install("meddic", expect=202)
        assert (left["waiting_for"], left["pipelines"], left["changed"]) == (["meddic"], {}, True)
        assert await in_force(company) == []
    done = await company.install("meddic")
    assert (done["pipelines"], done["assessments"]) == ({"meddic": 1}, {"meddic": 1})

    real, calls = Authoring.publish, 0

    async def dies(self: Authoring, *args: Any, **given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ArithmeticError
        return await real(self, *args, **given)

    with monkeypatch.context() as patched:
        patched.setattr(Authoring, "publish", dies)
        await company.install("expected_to_qualified", expect=500)
    assert await in_force(company) == ["meddic"]
    done = await company.install("expected_to_qualified")
    assert done["pipelines"] == {"appointments": 1, "expected": 1, "qualified": 1}


async def test_only_who_writes_pipelines_installs_and_only_pools_have_people(company: Company) -> None:
    rep = Client(company.engine, company.tenant, "rep", "rita")
    await rep.post("/v1/process-templates/meddic/install", {}, expect=403)
    unknown = await company.install("none", expect=404)
    assert unknown["code"] == "template_not_found"
    assert unknown["detail"] == f"There is no template 'none'. There are {', '.join(EIGHT)}."
    unknown = await company.install("bant_lead", expect=422, people={"hunters": ["rita"]})
    assert (unknown["code"], unknown["errors"][0]["pointer"]) == ("pool_unknown", "/people/hunters")


@pytest.mark.capability(59)
async def test_all_of_them_live_side_by_side(company: Company) -> None:
    for key in process_templates():
        await company.install(key)
    for key in process_templates():
        assert (await company.install(key, expect=200))["changed"] is False
    # Hunters follow a new lead, farmers an old customer: each has a process of their own.
    await company.seen("00Q1", "new", "lead", company="Lund AB")
    await company.seen("0011", "customer", "account", type="Customer")
    await company.seen("0012", "to_be_marketed", "account", type="Prospect")
    pipelines = {
        "00Q1": (await company.shown("00Q1", "lead"))["pipeline_key"],
        "0011": (await company.shown("0011", "account"))["pipeline_key"],
        "0012": (await company.shown("0012", "account"))["pipeline_key"],
    }
    assert pipelines == {"00Q1": "bant_lead", "0011": "ninety_day_call", "0012": "account_engagement"}
    owed = (await company.admin.get("/v1/obligations"))["items"]
    assert {(each["opportunity_id"], each["key"]) for each in owed} == {
        ("00Q1", "first_call"), ("0011", "ninety_day_call")
    }  # fmt: skip
