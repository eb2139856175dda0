"""Events that come late, with holes between them, or again and again: to every service, of every kind that says
something newer about the same thing."""

from datetime import timedelta
from uuid import UUID, uuid5

import pytest
from kit.contracts.events import Event, event_type
from sqlalchemy import text
from stagecraft.assessment.v1 import assessment_published_pb2
from stagecraft.crm.v1 import record_observed_pb2
from testing.service import eventually

from tests.builders import MOMENT, sample
from tests.security.attacks.operations import BODIES

pytestmark = pytest.mark.stack

LAST = 5
STAGES = ("prospecting", "discovery", "demo")
_IDS = UUID("5f1c53a6-9d5c-4d3e-9d4c-0b7f1c1a2b3c")


def _id(what, number=0):
    return str(uuid5(_IDS, f"{what} {number}"))


def _stage(number):
    return STAGES[number % len(STAGES)]


def _at(number):
    return MOMENT + timedelta(minutes=number)


# The n-th event about one and the same thing, by kind: all that may change with it does.
HISTORIES = {
    "AssessmentPublished": lambda n: {
        "title": f"title {n}",
        "status": assessment_published_pb2.ASSESSMENT_STATUS_RETIRED
        if n == LAST
        else assessment_published_pb2.ASSESSMENT_STATUS_PUBLISHED,
    },
    "PipelinePublished": lambda n: {"version": n, "name": f"name {n}"},
    "RecordObserved": lambda n: {
        "kind": record_observed_pb2.OBSERVATION_KIND_UPDATED,
        "stage_key": _stage(n),
        "crm_stage": _stage(n).title(),
        "amount": f"{n}000",
        "owner_id": f"rep-{n}",
        "change_id": _id("change", n),
        "committed_at": _at(n),
    },
    "PersonObserved": lambda n: {
        "active": n != LAST,
        "manager_id": f"manager-{n}",
        "committed_at": _at(n),
        "change_id": _id("person", n),
    },
    "StageChanged": lambda n: {
        "transition_id": _id("transition", n),
        "revision": n,
        "visit_no": n,
        "to_stage": _stage(n),
        "changed_at": _at(n),
    },
    "StageDecided": lambda n: {
        "decision_id": _id("decision", n),
        "decision_no": n,
        "revision": n,
        "input_id": _id("submission"),
        "to_stage": _stage(n),
        "crm_target_stage": _stage(n),
        "decided_at": _at(n),
        "submission": sample("SubmissionScored", submission_id=_id("submission"), score_id=_id("score", n)),
    },
    "StageRecommended": lambda n: {
        "recommendation_id": _id("recommendation", n),
        "recommended_stage": _stage(n),
        "submission_id": _id("submission"),
        "recommended_at": _at(n),
    },
    "SubmissionScored": lambda n: {
        "submission_id": _id("submission", n),
        "score_id": _id("score", n),
        "attempt_no": n,
        # What passes comes last in order, and with a hole before all that does not.
        "score": "70" if n == LAST else "40",
        "captured_at": _at(n),
        "received_at": _at(n),
        "scored_at": _at(n),
    },
}
# Where each service keeps what holds now, and what it keeps of every event. Columns not named here tell when or in
# which order something was written, or how often.
_PEOPLE = {"person": "person_id, active, manager_id, email", "team": "manager_id, person_id"}
NOW = {
    "assessment": {
        "opportunity": "owner_id, amount, deleted, stage_key, visit_no, revision, observed_no,"
        " recommendation_id, recommended_stage",
    },
    "scoring": {"assessment": "assessment_key, version, retired, revision"},
    "stage_engine": {"opportunity": "opportunity_id, stage_key, earned_stage, amount, owner_id, deleted"},
    "crm_connector": {},
    "recommender": {
        "pipeline": "pipeline_key, version, name",
        "assessment": "assessment_key, version, title, retired, revision",
        "opportunity": "opportunity_id, current_stage, claimed_stage, visits->-1, observed_sequence",
        "decision": "submission_id, decision_no, stage_key",
    },
}
NOW = {service: {**tables, **_PEOPLE} for service, tables in NOW.items()}
EVERY = {
    "assessment": {
        "stage_change": "opportunity_id, revision, transition_id, to_stage, visit_no",
        "pipeline_version": "pipeline_key, version, name",
        "submission_score": "submission_id, score_id, score",
        "stage_decision": "submission_id, decision_no, to_stage",
    },
    "scoring": {},
    "stage_engine": {"decision": "split_part(identity, ':', 1), split_part(identity, ':', 2)"},
    "crm_connector": {
        "pipeline": "pipeline_key, version, name, stages",
        "write_intent": "decision_id, decision_no, target_stage, outcome",
        "assessment_text": "assessment_key, version",
    },
    "recommender": {
        "opportunity": "visits",
        "submission": "submission_id, score_id, score",
    },
}


def handled(service):
    """The kinds with a history that this service reads."""
    topics = {topic.removeprefix(service.settings.topic_prefix) for topic in service.runtime.consumer.topics}
    return [name for name in HISTORIES if event_type(type(sample(name))).topic in topics]


async def rows(service, tenant, tables):
    found = {}
    async with service.database.unit_of_work(tenant) as uow:
        for table, columns in tables.items():
            selected = await uow.session.execute(text(f"SELECT {columns} FROM {table} ORDER BY {columns}"))
            found[table] = [tuple(row) for row in selected]
    return found


async def tell(service, tenant, names, numbers):
    """Publish these numbers of each kind's history, and wait until all are handled."""
    ids = []
    for number in numbers:
        for name in names:
            event = Event(tenant, sample(name, **HISTORIES[name](number)), number)
            await service.send(event.record("test", service.settings.topic_prefix))
            ids.append(event.id)

    async def all_handled():
        async with service.database.unit_of_work(tenant) as uow:
            inbox = set((await uow.session.execute(text("SELECT event_id FROM inbox"))).scalars())
            aside = (await uow.session.execute(text("SELECT code, detail FROM dead_letter"))).all()
        assert aside == []
        assert set(ids) <= inbox

    await eventually(all_handled)


async def prepare(service, *tenants):
    """The stage engine decides by rules of its own."""
    if service.settings.package != "stage_engine":
        return
    for tenant in tenants:
        headers = service.headers(tenant)
        body = BODIES["create_pipeline"]
        assert (await service.client.post("/v1/pipelines", json=body, headers=headers)).is_success
        published = await service.client.post(f"/v1/pipelines/{body['key']}/publish", headers=headers)
        assert published.is_success, published.text


async def test_a_hole_is_passed_over_and_what_comes_late_rolls_nothing_back(service, tenant):
    in_order, with_hole, names = f"{tenant}-a", f"{tenant}-b", handled(service)
    package = service.settings.package
    await prepare(service, in_order, with_hole)
    for number in range(1, LAST + 1):
        await tell(service, in_order, names, [number])
    expected = await rows(service, in_order, NOW[package])
    assert all(expected.values())

    await tell(service, with_hole, names, [1])
    await tell(service, with_hole, names, [LAST])
    assert await rows(service, with_hole, NOW[package]) == expected
    await tell(service, with_hole, names, [3, 2, 4])
    assert await rows(service, with_hole, NOW[package]) == expected
    assert await rows(service, with_hole, EVERY[package]) == await rows(service, in_order, EVERY[package])
    # The past once more, each as an event of its own.
    await tell(service, with_hole, names, [2, 1])
    assert await rows(service, with_hole, NOW[package]) == expected


async def test_the_same_event_twenty_times_counts_once(service, tenant):
    once, often, names = f"{tenant}-a", f"{tenant}-b", handled(service)
    package = service.settings.package
    await prepare(service, once, often)
    await tell(service, once, names, [1])
    events = [Event(often, sample(name, **HISTORIES[name](1)), 1) for name in names]
    for _ in range(20):
        for event in events:
            await service.send(event.record("test", service.settings.topic_prefix))
    # What comes after has been handled, so all before it has.
    await tell(service, often, names, [2])
    await tell(service, once, names, [2])
    for tables in (NOW[package], EVERY[package]):
        assert await rows(service, often, tables) == await rows(service, once, tables)
    async with service.database.unit_of_work(often) as uow:
        published = (await uow.session.execute(text("SELECT count(*), count(DISTINCT event_id) FROM inbox"))).one()
    assert tuple(published) == (2 * len(names), 2 * len(names))
