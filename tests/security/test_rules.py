"""Pipelines whose rules cannot be right, handed to the API: refused with their place, and never published."""

import copy

import pytest
from testing.service import eventually

from tests.builders import sample
from tests.security.attacks.operations import BODIES

pytestmark = pytest.mark.stack


def _cell(cell, fact="prospecting.score"):
    return {"conditions": [{"fact": fact, "cell": cell}]}


_TWIN = {"rule_id": "twin", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto"}
FAULTS = {
    "a cell that does not parse": ({0: _cell("> > 60")}, "cell_invalid"),
    "a call": ({0: _cell("__import__('os').system('id')")}, "cell_invalid"),
    "a comparison too many": ({0: _cell("> 1 and > 2; drop table rule")}, "cell_invalid"),
    "another fact in a cell": ({0: _cell("> discovery.score")}, "cell_invalid"),
    "a number beyond reason": ({0: _cell("> 1e999999")}, "cell_invalid"),
    "a very long cell": ({0: _cell("> " + "9" * 190)}, "cell_invalid"),
    "a range the wrong way round": ({0: _cell("[20..10]")}, "cell_invalid"),
    "an unknown fact": ({0: _cell("> 1", "prospecting.__class__")}, "fact_unknown"),
    "a threshold beyond the maximum": ({0: _cell("> 70")}, "threshold_unreachable"),
    "a threshold between scores": ({0: _cell("65")}, "threshold_unreachable"),
    "conditions that exclude each other": (
        {0: {"conditions": [*_cell("> 60")["conditions"], *_cell("< 20")["conditions"]]}},
        "rule_contradiction",
    ),
    "a row twice": ({4: _TWIN | _cell("> 60")}, "rules_duplicate"),
    "overlapping rows of one rank": ({4: _TWIN | _cell("> 40")}, "rules_tie"),
    "a cycle of stages": ({1: {"to_stage": "prospecting"}}, "rules_circular"),
    "a stage that leads to itself": ({0: {"to_stage": "prospecting"}}, "rule_goes_nowhere"),
}


@pytest.mark.parametrize("service", ["stage_engine"], indirect=True, scope="module")
@pytest.mark.parametrize("fault", FAULTS)
async def test_rules_that_cannot_be_right_are_refused_at_publish(service, tenant, fault):
    changes, code = FAULTS[fault]
    headers = service.headers(tenant)
    draft = copy.deepcopy(BODIES["create_pipeline"])
    for place, change in changes.items():
        draft["rules"] = draft["rules"] + [{}] * (place + 1 - len(draft["rules"]))
        draft["rules"][place] = {**draft["rules"][place], **change}
    made = await service.client.post("/v1/pipelines", json=draft, headers=headers)
    if made.status_code == 422:
        assert made.json()["errors"], made.text
        return
    assert made.status_code == 201, made.text
    await service.publish(sample("ScoringProfilePublished"), tenant=tenant)

    async def refused():
        found = (await service.client.post("/v1/pipelines/field_example/lint", headers=headers)).json()["findings"]
        named = [f for f in found if f["code"] == code and f["severity"] == "error"]
        assert named, found
        return named[0]

    finding = await eventually(refused)
    if code == "threshold_unreachable":
        assert "70" in finding["message"]
    answer = await service.client.post("/v1/pipelines/field_example/publish", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "pipeline_invalid")
    assert code in [error["code"] for error in answer.json()["errors"]]
    assert (await service.client.get("/v1/pipelines/field_example", headers=headers)).json()["newest_version"] == 0
