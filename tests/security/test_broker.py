"""Everybody with a login at the broker, trying all that is not theirs."""

import asyncio
import stat

import pytest
import pytest_asyncio
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, KafkaError
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from sandbox.stack.kafka_jvm import ADMIN, BROKER
from sandbox.stack.services import SERVICES
from sandbox.stack.topics import TOPICS_FILE, load_topics

from tests.security.attacks.broker import ALLOWED, STRANGER, granted, refusal, secured_broker

pytestmark = pytest.mark.stack

# The tenant's other partner, another tenant's partner of the same name, and one whose name begins like the first's.
OTHERS = [("acme", "southwind"), ("globex", "northwind"), ("acme", "northwind-labs")]
PARTNER = "partner.acme.northwind"
PARTNERS = [PARTNER, *(f"partner.{tenant}.{partner}" for tenant, partner in OTHERS)]
USERS = [*SERVICES, *PARTNERS, STRANGER]
REFUSED = "TopicAuthorizationFailedError"
SUBMITTED = "stagecraft.assessment.submitted.v1"


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """deploy/kafka/topics.yaml with three more partners."""
    document = yaml.safe_load(TOPICS_FILE.read_text())
    for tenant, partner in OTHERS:
        topic = f"stagecraft.partner.{tenant}.{partner}.stage-changed.v1"
        document["partners"].append(document["partners"][0] | {"tenant": tenant, "partner": partner, "topic": topic})
    file = tmp_path_factory.mktemp("topics") / "topics.yaml"
    file.write_text(yaml.safe_dump(document))
    return load_topics(file)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker(tmp_path_factory, topics):
    """Real Kafka with logins and rights, and a record on each topic."""
    async with secured_broker(tmp_path_factory.mktemp("broker"), topics) as running:
        assert running.produced(ADMIN) == {topic.name: ALLOWED for topic in topics}
        yield running


def meant_for(user, topics):
    own = {f"stagecraft.{user}.stage-changed.v1"} if user in PARTNERS else set()
    return own | {topic.name for topic in topics if user in topic.readers}


def matrix(allowed, topics):
    return {topic.name: ALLOWED if topic.name in allowed else REFUSED for topic in topics}


@pytest.mark.parametrize("user", USERS)
def test_a_user_writes_its_own_topics_and_no_other(broker, topics, user):
    own = {topic.name for topic in topics if topic.writer == user}
    assert broker.produced(user) == matrix(own, topics)
    assert bool(own) == (user in SERVICES)


@pytest.mark.parametrize("user", USERS)
async def test_a_user_is_given_what_is_meant_for_it_and_nothing_else(broker, topics, user):
    meant = meant_for(user, topics)
    assert await broker.fetched(user) == matrix(meant, topics)
    assert bool(meant) == (user != STRANGER)


@pytest.mark.parametrize("user", [*SERVICES, *PARTNERS])
async def test_a_user_consumes_its_topics_in_its_own_group(broker, topics, user):
    missing = meant_for(user, topics)
    group = user if user in SERVICES else f"{user}.reporting"
    consumer = AIOKafkaConsumer(
        *missing, **broker.login(user), group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            while missing:
                missing -= {partition.topic for partition in await consumer.getmany(timeout_ms=500)}
        await consumer.commit()
    finally:
        await consumer.stop()


@pytest.mark.parametrize("user", [*SERVICES, *PARTNERS])
async def test_a_user_stays_out_of_the_groups_of_others(broker, topics, user):
    topic = min(meant_for(user, topics))
    groups = [*SERVICES, *PARTNERS, *(f"{partner}.reporting" for partner in PARTNERS), "partner", "console-1"]
    mine = {user} if user in SERVICES else {f"{user}.reporting"}
    for group in set(groups) - mine:
        consumer = AIOKafkaConsumer(topic, **broker.login(user), group_id=group)
        with pytest.raises(GroupAuthorizationFailedError):
            await consumer.start()
        await consumer.stop()


def changes(admin, topic, user):
    """Ways to change the broker: how it answers to each."""
    shorter = ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
    setting = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[shorter])
    right = AclBinding("topic", topic, "literal", f"User:{user}", "*", "write", "allow")
    password = UserScramCredentialUpsertion(user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"mine")
    return {
        "create a topic": refusal(admin.create_topics([NewTopic("own", 1, 1)])),
        "widen a topic": refusal(admin.create_partitions([NewPartitions(topic, 8)])),
        "shorten a topic": refusal(admin.incremental_alter_configs([setting])),
        "delete a topic": refusal(admin.delete_topics([topic])),
        "grant a right": refusal(admin.create_acls([right])),
        "take a right": refusal(admin.delete_acls([AclBindingFilter("topic", topic, "any", None, None, "any", "any")])),
        "set a password": refusal(admin.alter_user_scram_credentials([password])),
    }


@pytest.mark.parametrize("user", USERS)
def test_nobody_but_the_administrator_changes_the_broker(broker, user):
    """Neither topics nor settings, neither rights nor passwords, not even its own."""
    answers = changes(broker.admin(user), SUBMITTED, user)
    topics, cluster = {"TopicAuthorizationFailedError"}, {"ClusterAuthorizationFailedError"}
    assert answers == {name: topics if "topic" in name else cluster for name in answers}


def test_the_administrator_does_so_the_attacks_are_sound(broker):
    answers = changes(broker.admin(ADMIN), "own", "another")
    assert answers == {name: {ALLOWED} for name in answers}


@pytest.mark.parametrize(
    ("username", "password", "mechanism"),
    [
        ("scoring", "stolen", "SCRAM-SHA-512"),
        ("nobody", "stolen", "SCRAM-SHA-512"),
        ("scoring", "", "PLAIN"),
        ("broker", "stolen", "PLAIN"),
        ("broker", "", "SCRAM-SHA-512"),
    ],
)
async def test_a_wrong_login_is_refused(broker, username, password, mechanism):
    """An empty password stands for the user's own, by a mechanism that is not the user's."""
    login = {
        "bootstrap_servers": broker.address,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": username,
        "sasl_plain_password": password or broker.passwords[username],
    }
    await refuses(AIOKafkaProducer(**login))


@pytest.mark.parametrize("port", ["address", "controller_address"])
async def test_no_port_obeys_who_is_not_logged_in(broker, port):
    """Whoever speaks with the controller without a login, or with a user's, could do everything as super user."""
    address = getattr(broker, port)
    scoring = {name: value for name, value in broker.login("scoring").items() if name != "bootstrap_servers"}
    itself = {"sasl_mechanism": "PLAIN", "sasl_plain_username": BROKER, "sasl_plain_password": broker.passwords[BROKER]}
    with pytest.raises(KafkaError):
        await granted(address, {})
    with pytest.raises(KafkaError):
        await granted(address, scoring | {"sasl_mechanism": "PLAIN"})
    if port == "controller_address":
        with pytest.raises(KafkaError):
            await granted(address, scoring)
    assert await granted(address, scoring | itself) == 0


async def refuses(client):
    with pytest.raises(KafkaConnectionError):
        await client.start()
    await client.stop()


async def test_passwords_stay_where_only_their_owner_reads(broker):
    """Also when a login fails."""
    await refuses(AIOKafkaProducer(**broker.login("scoring") | {"sasl_mechanism": "PLAIN"}))
    configuration = broker.directory / "kafka" / "server.properties"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    files = [file for file in [*broker.directory.glob("*/*"), *broker.directory.rglob("*.log")] if file.is_file()]
    secrets = [password.encode() for password in broker.passwords.values()]
    assert [file for file in files if any(secret in file.read_bytes() for secret in secrets)] == [configuration]
    assert broker.directory / "logs" / "kafka.log" in files
