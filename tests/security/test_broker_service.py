"""A service logs in at a secured broker, and the rights it has suffice for all it does there."""

import asyncio
import secrets

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from kit.contracts.events import Event, Record, decode, headers_of
from kit.delivery.kafka import start_producer
from kit.relay.refusals import TopicUnknown, Verdict, judge
from kit.schema.migrate import migrate
from sandbox.provision import drop_database, provision_database
from sandbox.stack.topics import load_topics
from scoring.settings import Settings
from scoring.templates import profile_templates
from testing.infrastructure import Infrastructure
from testing.service import WAIT_SECONDS, running_service

from tests.builders import sample
from tests.security.attacks.broker import secured_broker

TENANT = "acme"
SUBMITTED = "stagecraft.assessment.submitted.v1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker(tmp_path_factory):
    """A broker whose users and rights are those of deploy/kafka/topics.yaml."""
    async with secured_broker(tmp_path_factory.mktemp("broker"), load_topics()) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["plain", "encrypted"])
async def scoring(request, broker, infrastructure, issuer):
    """The scoring service, told its login as any deployment tells it."""
    name = f"scoring_{secrets.token_hex(4)}"
    made = provision_database(
        infrastructure.admin_url, "scoring", app_password="test", owner_password="test", database=name
    )
    migrate("scoring", made.migration_url)
    login = {"kafka_username": "scoring", "kafka_password": broker.passwords["scoring"]}
    address = broker.address
    if request.param == "encrypted":
        login |= {"kafka_tls": True, "kafka_tls_ca_file": broker.certificate}
        address = broker.tls_address
    secured = Infrastructure(infrastructure.admin_url, address)
    async with running_service(
        "scoring", secured, issuer, made.database_url, made.migration_url, "", **login
    ) as service:
        yield service
    drop_database(infrastructure.admin_url, name)


async def send(broker, user, record):
    producer = AIOKafkaProducer(**broker.login(user))
    await producer.start()
    try:
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        await producer.send_and_wait(record.topic, record.value, key=record.key.encode(), headers=headers)
    finally:
        await producer.stop()


async def receive(broker, user, topic, where, group=None):
    """The first record of a topic that `where` takes, read as that user."""
    consumer = AIOKafkaConsumer(topic, **broker.login(user), group_id=group, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not where(raw := await consumer.getone()):
                pass
            return raw
    finally:
        await consumer.stop()


def event_of(raw):
    return decode(Record(raw.topic, raw.key.decode(), raw.value, headers_of(raw.headers)), 0, 0)


async def test_what_comes_in_as_an_event_goes_out_as_one(broker, scoring, eventually):
    headers = scoring.headers(TENANT)
    await send(broker, "assessment", Event(TENANT, sample("AssessmentPublished"), 1).record("assessment"))
    draft = {"assessment_key": "prospecting", "assessment_version": 1, "title": "Points"}
    draft["profile"] = profile_templates()["prospecting"].profile
    made = (await scoring.client.post("/v1/scoring-profiles", json=draft, headers=headers)).json()

    async def published():
        path = f"/v1/scoring-profiles/{made['profile_id']}/publish"
        answer = await scoring.client.post(path, headers=headers)
        assert answer.status_code == 200, answer.text

    await eventually(published)
    submission = sample("AssessmentSubmitted")
    await send(broker, "assessment", Event(TENANT, submission, 1).record("assessment"))
    for topic, name, own in (
        ("stagecraft.scoring.profile-published.v1", "profile_id", made["profile_id"]),
        ("stagecraft.scoring.scored.v1", "submission_id", submission.submission_id),
    ):

        def is_own(raw, name=name, own=own):
            return getattr(event_of(raw).message, name) == own

        raw = await receive(broker, "stage-engine", topic, is_own, group="stage-engine")
        assert event_of(raw).tenant_id == TENANT


async def test_a_broker_that_nobody_vouches_for_is_told_nothing(broker):
    login = {"kafka_username": "scoring", "kafka_password": broker.passwords["scoring"], "kafka_tls": True}
    known = Settings(kafka_bootstrap_servers=broker.tls_address, kafka_tls_ca_file=broker.certificate, **login)
    await (await start_producer(known)).stop()
    with pytest.raises(KafkaConnectionError):
        await start_producer(known.model_copy(update={"kafka_tls_ca_file": None}))
    with pytest.raises(KafkaConnectionError):
        await start_producer(known.model_copy(update={"kafka_bootstrap_servers": broker.address}))


async def test_a_topic_that_may_not_be_written_is_refused_at_once_and_no_other(broker):
    """By what the relay takes for a verdict on the topic, as when a partner's right was withdrawn."""
    login = {"kafka_username": "scoring", "kafka_password": broker.passwords["scoring"]}
    producer = await start_producer(Settings(kafka_bootstrap_servers=broker.address, **login))
    # It may read this one, and not even see the other.
    for topic in (SUBMITTED, "stagecraft.partner.acme.northwind.stage-changed.v1"):
        with pytest.raises((TopicAuthorizationFailedError, TopicUnknown)) as refused:
            async with asyncio.timeout(WAIT_SECONDS):
                await producer.send_and_wait(topic, b"v", b"k")
        assert judge(refused.value, partner=True).verdict is Verdict.PERMANENT
        assert judge(refused.value, partner=False).of_topic
    await producer.send_and_wait("stagecraft.assessment.published.v1.dlq.scoring", b"v", b"k")
    await producer.stop()


async def test_a_dead_letter_is_announced_and_its_replay_needs_no_right_to_the_topic(broker, scoring, eventually):
    headers = scoring.headers(TENANT)
    garbage = Event(TENANT, sample("AssessmentSubmitted"), 1).record("assessment")
    # Of an opportunity of its own: what comes later of the same one waits for it.
    damaged = f"damaged-{secrets.token_hex(4)}"
    key = f"{TENANT}:{damaged}"
    await send(broker, "assessment", Record(SUBMITTED, key, b"\xff\xff", garbage.headers))
    announced = await receive(broker, "scoring", f"{SUBMITTED}.dlq.scoring", lambda raw: raw.key == key.encode())
    assert announced.value == b"\xff\xff"
    letters = (await scoring.client.get("/v1/dead-letters", headers=headers)).json()["items"]
    [letter] = [each for each in letters if each["key"].endswith(damaged)]
    path = f"/v1/dead-letters/{letter['dead_letter_id']}/replay"
    assert (await scoring.client.post(path, headers=headers)).json()["code"] == "event_invalid"

    async def drained():
        status = (await scoring.client.get("/statusz")).json()
        assert (status["outbox_events"], status["ready"]) == (0, True)

    await eventually(drained)
