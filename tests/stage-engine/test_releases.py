"""What is released together."""

from typing import Any

import pytest
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from testing.service import ServiceUnderTest

from tests.builders import scoring_profile_published
from tests.stage_engine import Client, draft

pytestmark = pytest.mark.stack

CRITERION = {
    "key": "hours",
    "name": "Hours are known",
    "conditions": [{"fact": "prospecting.answers.hours", "cell": "known"}],
    "help": "Ask for a typical week.",
    "playbook_url": "https://playbook.example/hours",
    "supplied_by": "prospecting.answers.hours",
}


@pytest.mark.capability(76)
async def test_a_release_takes_all_of_it_and_names_it_in_one_event(
    engine: ServiceUnderTest, tenant: str, admin: Client, eventually: Any
) -> None:
    content = draft()
    content["stages"][0] = {**content["stages"][0], "exit": [CRITERION]}
    await admin.post("/v1/pipelines", content)
    body = {"pipeline": "field_example", "assessments": {"prospecting": 2, "demo": 1, "other": 1}}
    await engine.publish(scoring_profile_published(assessment_version=1), tenant=tenant)
    refused = await admin.post("/v1/releases", body, expect=409)
    assert refused["code"] == "release_incomplete"
    missing = {"/assessments/other", "/assessments/prospecting", "/assessments/demo"}
    assert {each["pointer"] for each in refused["errors"]} == missing
    assert (await admin.get("/v1/pipelines/field_example"))["newest_version"] == 0

    # Points of a later version do not stand in for those of the one that is released.
    for key, version in (("prospecting", 2), ("prospecting", 3), ("demo", 1)):
        scores = {"reachable_max": "100", "reachable_scores": ["0", "70", "90", "100"]}
        points = scoring_profile_published(assessment_key=key, assessment_version=version, **scores)
        await engine.publish(points, tenant=tenant)
    versions = {"prospecting": 2, "demo": 1}

    async def released() -> Any:
        return await admin.post("/v1/releases", {"pipeline": "field_example", "assessments": versions})

    assert (await eventually(released))["document"]["assessment_versions"] == versions
    [event] = await engine.events(PipelinePublished, tenant=tenant, count=1)
    assert {each.assessment_key: each.version for each in event.message.assessment_versions} == versions
    [criterion] = event.message.stages[0].exit
    assert (criterion.key, criterion.required, criterion.supplied_by) == (
        "hours", True, "prospecting.answers.hours"
    )  # fmt: skip
    # The next version, published alone, is free of them.
    again = await admin.post("/v1/pipelines/field_example/publish")
    assert again["document"]["assessment_versions"] == {}
