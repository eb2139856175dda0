"""Reads deploy/kafka/topics.yaml and creates what it declares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

TOPICS_FILE = Path(__file__).parents[4] / "deploy" / "kafka" / "topics.yaml"
_SEEN_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic: `writer` may produce to it, the services in `readers` may consume it in groups of their names, and
    the user `partner` in groups whose names begin with its own."""

    name: str
    partitions: int
    configs: dict[str, str] = field(default_factory=dict)
    writer: str
    readers: tuple[str, ...] = ()
    partner: str = ""

    @property
    def users(self) -> tuple[str, ...]:
        """Who may consume it."""
        return (*self.readers, self.partner) if self.partner else self.readers


def load_topics(file: Path = TOPICS_FILE) -> list[Topic]:
    """Every topic: facts, a dead-letter topic for each group that reads one, partners' topics."""
    document: dict[str, Any] = yaml.safe_load(file.read_text())
    limit = {"max_message_bytes": document["max_message_bytes"]}
    facts = [_topic(limit | entry) for entry in document["topics"]]
    dead_letters = [
        _topic(
            limit | document["dead_letters"] | {"name": f"{fact.name}.dlq.{group}", "writer": group, "readers": [group]}
        )
        for fact in facts
        for group in fact.readers
    ]
    partners = [
        replace(_topic(limit | {**entry, "name": entry["topic"]}), partner=_partner_user(entry))
        for entry in document["partners"]
    ]
    return facts + dead_letters + partners


def topics_of(service: str) -> list[Topic]:
    """Those that the service writes or reads."""
    return [topic for topic in load_topics() if service in (topic.writer, *topic.readers)]


async def create_topics(bootstrap_servers: str, topics: Sequence[Topic], prefix: str = "", **login: Any) -> list[str]:
    """Create those that do not exist yet, wait until clients see them, and return their names; `prefix` gives each test
    worker its own set, `login` is what `kit.delivery.kafka.login` makes.

    Raises KafkaError when a broker refuses one for another reason than that it exists.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **login)
    await admin.start()
    try:
        # Some brokers create a topic that they are asked about, so nobody asks before this.
        requested = [
            NewTopic(
                name=prefix + topic.name,
                num_partitions=topic.partitions,
                replication_factor=1,
                topic_configs=topic.configs,
            )
            for topic in topics
        ]
        response = await admin.create_topics(requested)
        errors = response.topic_errors  # pyright: ignore[reportAttributeAccessIssue] - comes from the schema
        created = [name for name, *error in errors if _was_created(name, *error)]
        await _seen(admin, {topic.name for topic in requested})
    finally:
        await admin.close()
    return created


async def _seen(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Wait until the broker tells clients of the topics, which it does a little after it has made them."""
    async with asyncio.timeout(_SEEN_SECONDS):
        while not names <= await _known(admin, names):  # noqa: ASYNC110 - the broker has nothing to wait for
            await asyncio.sleep(0.02)


async def _known(admin: AIOKafkaAdminClient, names: set[str]) -> set[str]:
    """Those of the topics that the broker tells clients of; it is not asked for all others."""
    found = await admin.describe_topics(sorted(names))
    return {each["topic"] for each in found if each["error_code"] == 0}


async def delete_topics(bootstrap_servers: str, names: set[str]) -> None:
    """Delete these topics, as far as they are there: a broker carries what it has with it. KafkaError."""
    if not names:
        return
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics(sorted(names))
    finally:
        await admin.close()


@asynccontextmanager
async def lent_topics(bootstrap_servers: str, topics: Sequence[Topic], prefix: str = "") -> AsyncIterator[None]:
    """The topics are there within it, and those that it created are gone afterwards. KafkaError."""
    created = await create_topics(bootstrap_servers, topics, prefix)
    try:
        yield
    finally:
        await delete_topics(bootstrap_servers, set(created))


def _topic(entry: dict[str, Any]) -> Topic:
    configs = {"cleanup.policy": entry.get("cleanup_policy", "delete")}
    if "max_message_bytes" in entry:
        configs["max.message.bytes"] = str(entry["max_message_bytes"])
    if "retention_ms" in entry:
        configs["retention.ms"] = str(entry["retention_ms"])
    return Topic(
        name=entry["name"],
        partitions=entry["partitions"],
        configs=configs,
        writer=entry["writer"],
        readers=tuple(entry.get("readers", ())),
    )


def _partner_user(entry: dict[str, Any]) -> str:
    tenant, partner = entry["tenant"], entry["partner"]
    if "." in tenant + partner:
        raise ValueError(f"a dot in the name of {tenant}'s partner {partner} would let it into another's groups")
    return f"partner.{tenant}.{partner}"


def _was_created(name: str, code: int, message: str | None = None) -> bool:
    """False when another process was first, which is as good."""
    error: type[KafkaError] = for_code(code)
    if error is TopicAlreadyExistsError:
        return False
    if code != 0:
        raise error(f"{name}: {message}")
    return True
