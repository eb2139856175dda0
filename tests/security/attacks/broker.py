"""A secured broker of its own, and what its users can do there: asked with clients that name every refusal."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.fetch import FetchRequest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from kit.delivery.kafka import login
from sandbox.stack.acls import acls_of, users_of
from sandbox.stack.kafka import resolve_kafka
from sandbox.stack.kafka_jvm import ADMIN, BROKER, write_properties
from sandbox.stack.ports import free_ports
from sandbox.stack.supervisor import Supervisor
from sandbox.stack.topics import Topic, create_topics

from tests.security.attacks.certificates import self_signed

# Somebody who may log in and nothing else.
STRANGER = "stranger"
NODE = 1
# As the protocol numbers them.
TOPIC, LITERAL, WRITE, ALLOW = 2, 3, 4, 3
ALLOWED = "ok"
WAIT_SECONDS = 60.0


@dataclass
class SecuredBroker:
    """A running broker with a user for everybody in the topics."""

    directory: Path
    address: str
    controller_address: str
    tls_address: str
    certificate: Path
    topics: list[Topic]
    passwords: dict[str, str] = field(repr=False)

    def login(self, user: str) -> dict[str, str]:
        """For aiokafka."""
        return {"bootstrap_servers": self.address, **login(user, self.passwords[user])}

    def config(self, user: str, **changes: str) -> dict[str, str | int]:
        """For confluent-kafka."""
        return {
            "bootstrap.servers": self.address,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.passwords[user],
            "log_level": 0,
            **{name.replace("_", "."): value for name, value in changes.items()},
        }

    def admin(self, user: str) -> AdminClient:
        return AdminClient(self.config(user))

    def produced(self, user: str) -> dict[str, str]:
        """What became of the user's record to each topic."""
        found: dict[str, str] = {}
        producer = Producer(self.config(user))
        for topic in self.topics:
            producer.produce(
                topic.name,
                b"forged",
                partition=0,
                on_delivery=lambda error, _, name=topic.name: found.update(
                    {name: for_code(error.code()).__name__ if error else ALLOWED}
                ),
            )
        producer.flush(WAIT_SECONDS)
        return found

    async def fetched(self, user: str) -> dict[str, str]:
        """What the broker gives the user of each topic, asked for outright: a well-behaved client would not even ask
        for a topic that it was not shown."""
        client = AIOKafkaClient(**self.login(user))
        await client.bootstrap()
        try:
            asked = [(topic.name, [(0, 0, 1024)]) for topic in self.topics]
            answer = await client.send(NODE, FetchRequest(0, 0, 1 << 20, 0, asked))
        finally:
            await client.close()
        found: dict[str, str] = {}
        for topic, [(_, code, *_, records)] in answer.topics:
            found[topic] = (ALLOWED if records else "empty") if code == 0 else for_code(code).__name__
        return found


async def granted(address: str, login: Mapping[str, str]) -> int:
    """The code with which a port answers whoever asks it outright for a right; KafkaError when it does not."""
    host, port = address.split(":")
    connection = await create_conn(host, int(port), **login)
    try:
        answer = await connection.send(CreateAclsRequest(TOPIC, "any", LITERAL, "User:another", "*", WRITE, ALLOW))
    finally:
        connection.close()
    [(code, _)] = answer.creation_responses
    return code


def refusal(futures: Mapping[object, object]) -> set[str]:
    """The names of the errors an administrator's request ended with."""
    names = set()
    for future in futures.values():
        try:
            future.result(WAIT_SECONDS)
            names.add(ALLOWED)
        except KafkaException as problem:
            names.add(for_code(problem.args[0].code()).__name__)
    return names


def _listen_encrypted(properties: Path, port: int) -> Path:
    """Give the broker another listener; the file with its certificate."""
    certificate = self_signed(properties.parent)
    settings = dict(line.split("=", 1) for line in properties.read_text().splitlines())
    settings["listeners"] += f",SASL_SSL://127.0.0.1:{port}"
    settings["listener.security.protocol.map"] += ",SASL_SSL:SASL_SSL"
    login_module = settings["listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config"]
    settings |= {
        "listener.name.sasl_ssl.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login_module,
        "listener.name.sasl_ssl.ssl.keystore.type": "PEM",
        "listener.name.sasl_ssl.ssl.keystore.location": str(certificate.with_key),
    }
    write_properties(properties.parent, settings)
    return certificate.certificate


@asynccontextmanager
async def secured_broker(directory: Path, topics: list[Topic]) -> AsyncIterator[SecuredBroker]:
    """Real Kafka, secured as `make up` secures it, which also listens where everything is encrypted."""
    users = {BROKER, ADMIN, STRANGER, *users_of(topics)}
    passwords = {user: secrets.token_urlsafe(24) for user in users}
    broker_port, controller_port, tls_port = free_ports(3)
    kafka = await asyncio.to_thread(
        resolve_kafka, directory / "kafka", broker_port, controller_port, {"KAFKA_BACKEND": "jvm"}, passwords[BROKER]
    )
    assert kafka.process is not None and kafka.guard is not None
    certificate = _listen_encrypted(Path(kafka.process.command[-1]), tls_port)
    supervisor = Supervisor(directory / "logs", lambda _: None)
    running = SecuredBroker(
        directory,
        kafka.bootstrap_servers,
        f"127.0.0.1:{controller_port}",
        f"127.0.0.1:{tls_port}",
        certificate,
        topics,
        passwords,
    )
    try:
        await supervisor.start(kafka.process)
        known = {user: password for user, password in passwords.items() if user != BROKER}
        await kafka.guard.admit(known, acls_of(topics))
        await create_topics(kafka.bootstrap_servers, topics, **login(ADMIN, passwords[ADMIN]))
        yield running
    finally:
        await supervisor.stop()
