"""What operators do about events that a real broker refuses."""

import secrets

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from kit.contracts.events import Event
from kit.delivery.kafka import start_producer
from kit.ids import uuid7
from sandbox.stack.topics import Topic, create_topics
from sqlalchemy import text
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from testing.service import eventually

pytestmark = pytest.mark.stack

SCORED = "stagecraft.scoring.scored.v1"
PATH = "/v1/quarantined-events"


async def let_topic_take(service, count):
    """The most bytes of a record on the topic of scores. The broker applies it a moment later."""
    admin = AIOKafkaAdminClient(bootstrap_servers=service.infrastructure.bootstrap_servers)
    await admin.start()
    name = service.settings.topic_prefix + SCORED
    limit = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": str(count)})
    await admin.alter_configs([limit])
    await admin.close()
    probe = Event("probe", SubmissionScored(opportunity_id="p", submission_id="x" * 2000), 1)

    async def applied():
        producer = await start_producer(service.settings)
        record = probe.record("test", service.settings.topic_prefix)
        headers = [(header, value.encode()) for header, value in record.headers.items()]
        try:
            await producer.send_and_wait(name, record.value, record.key.encode(), headers=headers)
            taken = True
        except MessageSizeTooLargeError:
            taken = False
        finally:
            await producer.stop()
        assert taken is (count > 2000)

    await eventually(applied)


async def publish(service, tenant, opportunity, sequence, size=10):
    """Random letters: the client compresses nothing, and a broker would."""
    async with service.database.unit_of_work(tenant) as uow:
        message = SubmissionScored(opportunity_id=opportunity, submission_id=secrets.token_hex(size // 2))
        uow.publish(message, sequence=sequence)


async def quarantined(service, headers, count, **query):
    found = (await service.client.get(PATH, params=query, headers=headers)).json()["items"]
    assert len(found) == count
    return found


async def drained(service):
    async with service.database.as_relay() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM outbox"))).scalar() == 0


async def arrived(service, tenant):
    found = await service.events(SubmissionScored, tenant=tenant, count=0)
    return [(event.message.opportunity_id, event.sequence) for event in found]


async def test_an_event_that_the_broker_refuses_is_set_aside_shown_and_sent_again(own_service, tenant):
    innocent, sre = f"{tenant}-innocent", own_service.headers(tenant, "sre")
    await let_topic_take(own_service, 1000)
    for sequence in range(1, 4):
        await publish(own_service, tenant, "large", sequence, 2000 if sequence == 1 else 10)
        await publish(own_service, tenant, "small", sequence)
        await publish(own_service, innocent, "small", sequence)
    await eventually(lambda: quarantined(own_service, sre, 3))
    await eventually(lambda: drained(own_service))
    assert await arrived(own_service, innocent) == [("small", 1), ("small", 2), ("small", 3)]
    assert await arrived(own_service, tenant) == [("small", 1), ("small", 2), ("small", 3)]

    found = await quarantined(own_service, sre, 3)
    assert [(each["key"], each["code"]) for each in found] == [
        (f"{tenant}:large", "message_too_large"), (f"{tenant}:large", "behind"), (f"{tenant}:large", "behind"),
    ]  # fmt: skip
    assert await quarantined(own_service, own_service.headers(innocent, "sre"), 0) == []

    async def counted():
        metrics = (await own_service.client.get("/metrics")).text
        assert 'waiting_items{service="sample",what="quarantined_events"} 3.0' in metrics

    await eventually(counted)

    first = f"{PATH}/{found[0]['position']}"
    foreign = await own_service.client.post(f"{first}/replay", headers=own_service.headers(innocent, "sre"))
    assert foreign.status_code == 404
    # Nothing has changed, so it comes back, with those behind it.
    again = await own_service.client.post(f"{first}/replay", headers=sre)
    assert again.json() == {"events": 3}
    await eventually(lambda: quarantined(own_service, sre, 3))
    await let_topic_take(own_service, 100_000)
    assert (await own_service.client.post(f"{first}/replay", headers=sre)).json() == {"events": 3}

    async def in_order():
        mine = [event for event in await arrived(own_service, tenant) if event[0] == "large"]
        assert mine == [("large", 1), ("large", 2), ("large", 3)]

    await eventually(in_order)
    await eventually(lambda: drained(own_service))
    assert await quarantined(own_service, sre, 0) == []


async def test_an_event_that_is_dismissed_is_never_sent_and_those_behind_it_can_be(own_service, tenant):
    sre = own_service.headers(tenant, "sre")
    await let_topic_take(own_service, 1000)
    await publish(own_service, tenant, "large", 1, 2000)
    await publish(own_service, tenant, "large", 2)
    found = await eventually(lambda: quarantined(own_service, sre, 2))
    guilty, behind = (f"{PATH}/{each['position']}" for each in found)
    reason = {"reason": "a test"}
    assert (await own_service.client.post(f"{guilty}/dismiss", json=reason, headers=sre)).status_code == 200
    for action in ("dismiss", "replay"):
        answer = await own_service.client.post(f"{guilty}/{action}", json=reason, headers=sre)
        assert (answer.status_code, answer.json()["code"]) == (409, "quarantined_event_dismissed")
    assert (await own_service.client.post(f"{behind}/replay", headers=sre)).json() == {"events": 1}

    async def only_the_second():
        assert await arrived(own_service, tenant) == [("large", 2)]

    await eventually(only_the_second)
    assert len(await quarantined(own_service, sre, 1, dismissed=True)) == 1
    entries = (await own_service.client.get("/v1/audit-entries", headers=sre)).json()["items"]
    assert [entry["action"] for entry in entries] == ["quarantined-event.dismissed", "quarantined-event.replayed"]


async def test_a_topic_of_ours_that_is_missing_holds_up_no_other(own_service, tenant):
    """Its events wait in the outbox and leave by themselves once it is there."""
    async with own_service.database.unit_of_work(tenant) as uow:
        uow.publish(SubmissionScored(opportunity_id="o"), sequence=1, topic="not.there.yet")
    innocent = f"{tenant}-innocent"
    await publish(own_service, innocent, "small", 1)

    async def others_arrive():
        assert await arrived(own_service, innocent) == [("small", 1)]

    await eventually(others_arrive)
    sre = own_service.headers(tenant, "sre")
    assert await quarantined(own_service, sre, 0) == []
    servers = own_service.infrastructure.bootstrap_servers
    missing = Topic(name="not.there.yet", partitions=1, writer="s")
    await create_topics(servers, [missing], own_service.settings.topic_prefix)
    await eventually(lambda: drained(own_service))
    [event] = await own_service.events(SubmissionScored, tenant=tenant, count=1, topic="not.there.yet")
    assert event.sequence == 1


async def test_a_dead_letter_has_room_for_what_is_added_to_the_largest_event(own_service, tenant):
    """It carries all of the event, and why it could not be handled."""
    largest = AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id="o", assessment_key="poison")
    largest.submitted_by = secrets.token_hex(2**19 - 100)
    await own_service.publish(largest, tenant=tenant)
    topic = "stagecraft.assessment.submitted.v1.dlq.sample"

    async def announced():
        assert len(await own_service.events(AssessmentSubmitted, tenant=tenant, count=1, topic=topic)) == 1

    await eventually(announced)
    await eventually(lambda: drained(own_service))
