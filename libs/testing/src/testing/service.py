"""A service under test: the real application, its own database and topics, in the test's process."""

import asyncio
import heapq
import importlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from fastapi import FastAPI
from google.protobuf.message import Message
from kit.app import Runtime
from kit.contracts.events import Event, Received, Record, decode, event_type, headers_of
from kit.database.unit_of_work import Database
from kit.delivery.kafka import start_producer
from kit.fairness.fair_use import FairUse
from kit.ids import uuid7
from kit.settings import ServiceSettings
from sandbox.issuer import LocalIssuer

from testing.infrastructure import Infrastructure

M = TypeVar("M", bound=Message)
T = TypeVar("T")
# Patience costs nothing where all is well, and a disk that writes back a million rows is slow.
WAIT_SECONDS = 90.0


# What a check raises of something that is not there yet: it compares, unpacks, or looks into what it found.
NOT_YET = (AssertionError, ValueError, LookupError)


async def eventually(check: Callable[[], Awaitable[T]], seconds: float = WAIT_SECONDS) -> T:
    """The result of the check once it is true of what it finds; its last error when it never is."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await check()
        except NOT_YET:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)


@dataclass
class ServiceUnderTest:
    """A running service and the means to speak to it from outside."""

    app: FastAPI
    settings: ServiceSettings
    client: httpx.AsyncClient
    issuer: LocalIssuer
    infrastructure: Infrastructure
    owner_url: str
    producer: AIOKafkaProducer

    @property
    def runtime(self) -> Runtime:
        """The running parts."""
        return self.app.state.runtime

    @property
    def database(self) -> Database:
        """The service's database as its application role."""
        return self.app.state.database

    def headers(self, tenant: str, role: str = "admin", subject: str = "") -> dict[str, str]:
        """Authorization of a person of a tenant; the subject defaults to the role's name."""
        token = self.issuer.token(tenant, subject or role, [role])
        return {"Authorization": f"Bearer {token}"}

    async def publish(self, message: Message, *, tenant: str, sequence: int = 1, event_id: UUID | None = None) -> UUID:
        """Put an event on its topic as another service would; its id. The same id again is a re-delivery."""
        event = Event(tenant, message, sequence, id=event_id or uuid7())
        await self.send(event.record("test", self.settings.topic_prefix))
        return event.id

    async def send(self, record: Record) -> None:
        """Put any record on a topic, also a broken one."""
        await self.producer.send_and_wait(
            record.topic,
            record.value,
            key=record.key.encode(),
            headers=[(name, value.encode()) for name, value in record.headers.items()],
        )

    async def events(
        self,
        message: type[M],
        *,
        tenant: str,
        count: int,
        topic: str = "",
        settle_seconds: float = 0.3,
        where: Callable[[M], bool] = lambda _message: True,
    ) -> list[Received[M]]:
        """The tenant's events of a topic from its beginning that `where` takes, once there are at least `count` of
        these, and whatever else the topic holds when nothing has come for `settle_seconds`. AssertionError when they do
        not come.

        Partitions come in any order; what they hold is merged here by the time at which each event was made, so that
        the last event is the newest. Within a partition, the order stays as it was written.
        """
        name = self.settings.topic_prefix + (topic or event_type(message).topic)
        found: dict[int, list[Received[M]]] = defaultdict(list)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_SECONDS
        async with self._reading(name) as consumer:
            while True:
                fetched = await consumer.getmany(timeout_ms=int(settle_seconds * 1000))
                for raw in (r for records in fetched.values() for r in records):
                    record = Record(raw.topic, (raw.key or b"").decode(), raw.value or b"", headers_of(raw.headers))
                    event = decode(record, raw.partition, raw.offset)
                    if event.tenant_id == tenant and where(cast("M", event.message)):
                        found[raw.partition].append(cast("Received[M]", event))
                there = sum(map(len, found.values()))
                if there >= count and not fetched and await _is_read(consumer):
                    return list(heapq.merge(*found.values(), key=lambda event: event.time))
                assert loop.time() < deadline, f"{there} of {count} events on {name}"

    @asynccontextmanager
    async def _reading(self, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
        partitions = await self.producer.partitions_for(topic)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.infrastructure.bootstrap_servers)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, partition) for partition in partitions])
            await consumer.seek_to_beginning()
            yield consumer
        finally:
            await consumer.stop()


async def _is_read(consumer: AIOKafkaConsumer) -> bool:
    """Whether it has read all that its partitions hold: that nothing came for a moment may mean that it is slow."""
    ends = await consumer.end_offsets(list(consumer.assignment()))
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])


StartService = Callable[..., Awaitable[ServiceUnderTest]]


class _Unhurried(FairUse):
    """Tests follow each other as the requests of many tenants do, and none may wait for what another one took."""

    def enter(self, tenant_id: str) -> tuple[float, float]:
        return 0.0, 0.0


@asynccontextmanager
async def running_service(
    package: str,
    infrastructure: Infrastructure,
    issuer: LocalIssuer,
    database_url: str,
    owner_url: str,
    topic_prefix: str,
    **settings: Any,
) -> AsyncIterator[ServiceUnderTest]:
    """The service from its `main.create`, started with its lifespan and ready."""
    main = importlib.import_module(f"{package}.main")
    kind: type[ServiceSettings] = importlib.import_module(f"{package}.settings").Settings
    given = kind(
        **{
            "environment": "test",
            "database_url": database_url,
            "kafka_bootstrap_servers": infrastructure.bootstrap_servers,
            "kafka_idempotence": infrastructure.idempotence,
            "topic_prefix": topic_prefix,
            "oidc_jwks_url": issuer.jwks_url,
            "log_level": "WARNING",
            "trace_sample_ratio": 1.0,
            # Most tests know no people, and so no teams.
            "managers_see": "all",
            # Read by the connector alone.
            "crm_adapter": "recording",
            **settings,
        }
    )
    app: FastAPI = main.create(given)
    app.state.fair_use = _Unhurried()
    async with AsyncExitStack() as stack:
        producer = await start_producer(given)
        stack.push_async_callback(producer.stop)
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://test"))
        service = ServiceUnderTest(app, given, client, issuer, infrastructure, owner_url, producer)

        async def ready() -> None:
            assert (await client.get("/readyz")).json()["reasons"] == []

        await eventually(ready)
        yield service
