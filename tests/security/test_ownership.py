"""Everything that can be asked of the five services, asked by people whom an opportunity is none of their business: its
submission, score, decision, recommendation and write are real, and none of them shows or moves."""

from functools import partial

import pytest
from kit.ids import uuid7

from tests.security.attacks.belongings import DEAL, HELD, LEFT, MANAGER, OWNER, REP, SECRETS, STRANGER, SUBMISSION
from tests.security.attacks.operations import BODIES, call

pytestmark = pytest.mark.stack

_DEFINITIONS = "reps read what they are asked and by which rules they move"
_OWN = "lists what is theirs, which is nothing"
_NOTHING = "counts of what they see, which is nothing"
_AGGREGATES = "counts of all, of no opportunity"
# What succeeds all the same, and why. Whatever it is, it holds none of the secrets.
ALLOWED = {
    "rep": {
        "list_assessment_templates": _DEFINITIONS,
        "get_assessment_template": _DEFINITIONS,
        "list_assessments": _DEFINITIONS,
        "get_assessment": _DEFINITIONS,
        "list_assessment_versions": _DEFINITIONS,
        "get_assessment_version": _DEFINITIONS,
        "list_pipeline_templates": _DEFINITIONS,
        "list_process_templates": _DEFINITIONS,
        "get_pipeline_template": _DEFINITIONS,
        "list_stages": _DEFINITIONS,
        "list_pipelines": _DEFINITIONS,
        "get_pipeline": _DEFINITIONS,
        "list_pipeline_versions": _DEFINITIONS,
        "get_pipeline_version": _DEFINITIONS,
        "list_pipeline_findings": _DEFINITIONS,
        "diff_pipeline_versions": _DEFINITIONS,
        "get_modes": _DEFINITIONS,
        "get_calendar": "when people work",
        "get_assignment_rules": _DEFINITIONS,
        "list_migrations": _DEFINITIONS,
        "get_migration": _DEFINITIONS,
        "list_worklist": _OWN,
        "list_opportunities": _OWN,
        "list_leads": _OWN,
        "list_accounts": _OWN,
        "get_portfolio": "counts of what they see, which is nothing",
        "list_unplaced": _OWN,
        "list_obligations": _OWN,
        "list_changes": _OWN,
        "list_actions": _OWN,
        "list_approvals": _OWN,
        "list_proposals": _OWN,
        "list_recommendations": _OWN,
        "list_figures": "which figures there are, and their formulas",
        "get_figure": _NOTHING,
        "get_activity_funnel": _NOTHING,
        "get_coaching": _NOTHING,
        "list_figure_records": _OWN,
        "submit_batch": "taken in, and held for a manager",
        "preview_recommendation": _AGGREGATES,
        "get_model": _AGGREGATES,
        "list_model_cells": _AGGREGATES,
    },
    "partner": {"list_stages": "the names of what partners are told of"},
    # Of their own tenant they may do anything; nothing that has an id is there but what is shipped.
    "stranger": {
        "put_submission": "held in their own tenant, which has no such version",
        "get_submission": "what they have handed in there",
        "get_assessment_template": "shipped",
        "get_profile_template": "shipped",
        "get_pipeline_template": "shipped",
        "simulate_assignment_rules": "tried out on what they have, which is nothing",
        "get_figure": "counts of their own tenant, which has nothing",
    },
}
# A manager of another team, and the one above this team who has left, see no more of it than a rep does.
ALLOWED["manager"] = {
    **ALLOWED["rep"],
    "list_held_submissions": _OWN,
    "get_funnel": _NOTHING,
    "get_optimism_gap": _NOTHING,
    "get_proposal_totals": _NOTHING,
    "get_not_report": "counts of what they see, which is nothing",
    "get_speed_to_lead": "counts of what they see, which is nothing",
}
# Who has left is a person of the CRM no more, and has no figures.
ALLOWED["left"] = {name: why for name, why in ALLOWED["manager"].items() if name != "get_coaching"}
SEEN_BY_ITS_OWNER = {
    "assessment": {"get_next_assessment", "list_timeline", "get_submission"},
    "scoring": {"get_submission_score", "list_scores"},
    "stage_engine": {
        "get_opportunity",
        "get_approval",
        "list_approvals",
        "get_proposal",
        "list_proposals",
        "list_opportunity_decisions",
        "get_decision",
        "replay_decision",
        "list_figure_records",
    },
    "crm_connector": {"get_opportunity"},
    "recommender": {"get_recommendation"},
}


SEEN_BY_THE_MANAGER = {**SEEN_BY_ITS_OWNER, "assessment": {*SEEN_BY_ITS_OWNER["assessment"], "get_held_submission"}}


def headers_of(service, who):
    tenant, role, subject = {
        "rep": (OWNER, "rep", "eve"),
        "manager": (OWNER, "manager", STRANGER),
        "left": (OWNER, "manager", LEFT),
        "partner": (OWNER, "partner", "northwind"),
        "stranger": ("stranger", "admin", "eve"),
    }[who]
    return service.headers(tenant, role, subject)


def asked(who, operations):
    """All operations; of another tenant those that name something."""
    return [o for o in operations if who != "stranger" or o.path_parameters]


@pytest.mark.parametrize("who", ["rep", "manager", "left", "partner", "stranger"])
async def test_nothing_of_an_opportunity_shows_or_moves(service, operations, belonging, who):
    reached = set()
    for operation in asked(who, operations):
        answer = await call(service, operation, belonging, headers_of(service, who))
        assert not any(secret in answer.text for secret in SECRETS), (operation.name, answer.text)
        nothing = answer.status_code == 200 and answer.json() == {"items": [], "next_cursor": None}
        if answer.status_code < 400 and not (who == "stranger" and nothing):
            reached.add(operation.name)
            if ALLOWED[who].get(operation.name) == _OWN:
                assert nothing, (operation.name, answer.text)
    names = {operation.name for operation in operations}
    assert reached == ALLOWED[who].keys() & names


@pytest.mark.parametrize(
    ("role", "person_id", "seen"), [("rep", REP, SEEN_BY_ITS_OWNER), ("manager", MANAGER, SEEN_BY_THE_MANAGER)]
)
async def test_its_owner_and_their_manager_see_what_others_do_not(
    service, operations, belonging, role, person_id, seen
):
    """So the walk above asks for what is there."""
    wanted = seen[service.settings.package]
    for operation in [o for o in operations if o.name in wanted]:
        answer = await call(service, operation, belonging, service.headers(OWNER, role, person_id))
        assert answer.status_code == 200, (operation.name, answer.text)
        assert answer.json().get("items") != [], operation.name
    assert wanted <= {operation.name for operation in operations}


@pytest.mark.parametrize("service", ["assessment"], indirect=True, scope="module")
async def test_answers_of_another_leave_no_trace_with_the_owner(service, belonging, operations):

    ann, eve = service.headers(OWNER, "rep", REP), service.headers(OWNER, "rep", "eve")

    async def shown():
        paths = (f"/opportunities/{DEAL}/next-assessment", f"/opportunities/{DEAL}/timeline", "/worklist")
        return [(await service.client.get(f"/v1{path}", headers=ann)).json() for path in paths]

    before = await shown()
    body = BODIES["put_submission"]
    for each in (body, {**body, "attempt_no": 2**31 - 1}):
        answer = await service.client.put(f"/v1/submissions/{uuid7()}", json=each, headers=eve)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["visit"], answer.json()["warnings"]) == (None, ["opportunity_unknown"])
    for taken in (SUBMISSION, HELD):
        answer = await service.client.put(f"/v1/submissions/{taken}", json=body, headers=eve)
        assert (answer.status_code, answer.json()["code"]) == (404, "submission_not_found")
    assert await shown() == before


@pytest.mark.parametrize("service", ["assessment"], indirect=True, scope="module")
async def test_what_is_handed_in_for_another_waits_for_the_manager_of_its_owner(service, belonging):
    eve, headers_as = service.headers(OWNER, "rep", "eve"), partial(service.headers, OWNER, "manager")
    held = str(uuid7())
    answer = await service.client.put(f"/v1/submissions/{held}", json=BODIES["put_submission"], headers=eve)
    assert answer.status_code == 201, answer.text

    async def listed(person_id):
        answer = await service.client.get("/v1/held-submissions?limit=200", headers=headers_as(person_id))
        return [each["submission_id"] for each in answer.json()["items"]]

    assert held in await listed(MANAGER)
    for other in (STRANGER, LEFT):
        assert await listed(other) == []
        for action, body in (("accept", {}), ("discard", {"note": "an attack"})):
            path = f"/v1/held-submissions/{held}/{action}"
            answer = await service.client.post(path, json=body, headers=headers_as(other))
            assert (answer.status_code, answer.json()["code"]) == (404, "held_submission_not_found")
    path = f"/v1/held-submissions/{held}/discard"
    answer = await service.client.post(path, json={"note": "not yours"}, headers=headers_as(MANAGER))
    assert (answer.status_code, answer.json()["settled_by"]) == (200, MANAGER)


@pytest.mark.parametrize("service", ["stage_engine"], indirect=True, scope="module")
async def test_only_the_manager_of_its_owner_moves_an_opportunity(service, belonging):
    path, body = f"/v1/opportunities/{DEAL}/transitions", {"to_stage": "discovery", "reason_code": "X", "text": "x"}

    async def moved_by(person_id, **more):
        headers = service.headers(OWNER, "manager", person_id) | {"If-Match": '"999"'}
        return (await service.client.post(path, json=body | more, headers=headers)).status_code

    assert [await moved_by(person) for person in (STRANGER, LEFT)] == [404, 404]
    assert [await moved_by(STRANGER, override=True), await moved_by(LEFT, override=True)] == [404, 404]
    # It has moved on since the revision that is named: so it was found.
    assert await moved_by(MANAGER) == 412
