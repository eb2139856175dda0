"""Kafka clients with the settings the delivery guarantees rest on."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    KafkaConnectionError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.protocol.produce import ProduceRequest

from kit.contracts.events import MAX_RECORD_BYTES
from kit.delivery.patience import within
from kit.observability.health import brokers_in_words
from kit.observability.telemetry import EVENTS_LOST
from kit.relay.refusals import TopicUnknown
from kit.settings import ServiceSettings

log = logging.getLogger(__name__)

# Shorter than the margin of the relay's lease, see kit.relay.lease.
_REQUEST_SECONDS = 8
_FIND_SECONDS = 1
_STOP_SECONDS = 1
# How long a request for events waits at the broker while some come, and once none came for so many seconds.
_BUSY_WAIT_MS = 50
_QUIET_WAIT_MS = 500
_QUIET_SECONDS = 1


def login(username: str, password: str, tls: ssl.SSLContext | None = None) -> dict[str, Any]:
    """What a client of aiokafka needs to log in, with a username, and to encrypt, with a context."""
    channel: dict[str, Any] = {"security_protocol": "SSL", "ssl_context": tls} if tls else {}
    if not username:
        return channel
    return {
        **channel,
        "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": username,
        "sasl_plain_password": password,
    }


def _tls(settings: ServiceSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=settings.kafka_tls_ca_file) if settings.kafka_tls else None


def _connection(settings: ServiceSettings) -> dict[str, Any]:
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        **login(settings.kafka_username, settings.kafka_password.get_secret_value(), _tls(settings)),
    }


async def why_unreachable(settings: ServiceSettings) -> str:
    """Why no broker can be reached, in words; empty when one accepts connections."""
    return await brokers_in_words(settings.kafka_bootstrap_servers, _tls(settings))


class _ByChecksum(DefaultPartitioner):
    """Keeps a key's events in order by CRC-32 of the key, as the `consistent` partitioner of librdkafka does. The
    client's own hash is pure Python and takes 19 us for each event, this one 0.2."""

    @classmethod
    def __call__(cls, key: bytes, all_partitions: Sequence[int], available: Sequence[int]) -> int:
        """The partition of a key."""
        return all_partitions[crc32(key) % len(all_partitions)]


class EventProducer(AIOKafkaProducer):
    """A producer that says at once that a topic is unknown, and sends nothing while `may_send` is false: what it had
    queued before a pause of the process must not leave when another instance leads."""

    def __init__(self, may_send: Callable[[], bool], **options: Any) -> None:
        super().__init__(**options)
        send_request = self.client.send

        async def send_while_allowed(node_id: int, request: Any, **more: Any) -> Any:
            if isinstance(request, ProduceRequest) and (self._closed or not may_send()):
                raise KafkaConnectionError("this instance no longer leads")
            return await send_request(node_id, request, **more)

        self.client.send = send_while_allowed

    async def send(self, topic: str, *event: Any, **more: Any) -> Any:
        """Queue an event; its acknowledgement. TopicUnknown when the broker has no such topic."""
        if self.client.cluster.partitions_for_topic(topic) is None:
            await self._find(topic)
        return await super().send(topic, *event, **more)

    async def stop(self) -> None:
        """Let go of the broker. What is not acknowledged by now never leaves: the relay sends it again, and an
        idempotent client would go on trying beside its successor."""
        if self._closed:
            return
        self._closed = True
        try:
            await within(_STOP_SECONDS, self._sender.close())
        except TimeoutError as error:
            log.warning("the producer did not end by itself: %s", error)
        finally:
            let_go(self.client)
            await self.client.close()

    async def _find(self, topic: str) -> None:
        try:
            async with asyncio.timeout(_FIND_SECONDS):
                await self.partitions_for(topic)
        except (TimeoutError, UnknownTopicOrPartitionError) as missing:
            # The broker may merely be slow.
            async with asyncio.timeout(_REQUEST_SECONDS):
                known = (await self.client.fetch_all_metadata()).topics()
            if topic not in known:
                raise TopicUnknown(f"the broker has no topic {topic}, or hides it from us") from missing


async def start_producer(settings: ServiceSettings, may_send: Callable[[], bool] = lambda: True) -> EventProducer:
    """A started producer: all replicas acknowledge, and retries keep the order where the broker can."""
    producer = EventProducer(
        may_send,
        **_connection(settings),
        client_id=settings.service,
        acks="all",
        enable_idempotence=settings.kafka_idempotence,
        partitioner=_ByChecksum(),
        # The client sends when the relay has queued a round, so its events share batches without waiting for more.
        linger_ms=0,
        max_batch_size=256 * 1024,
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=_REQUEST_SECONDS * 1000,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


class EventConsumer(AIOKafkaConsumer):
    """A consumer that says what it can no longer read. Left to itself the client goes on with the oldest event that the
    topic still keeps, and says nothing.

    A request of the client waits at the broker until there is an event in the partitions that it names. It names none
    that has events ready here, and there is one request at a time: while events come it waits for a moment only, so
    that such a partition is asked for again soon. While none come it waits for longer, which costs both sides less.
    """

    def __init__(self, service: str, **options: Any) -> None:
        super().__init__(**options, fetch_max_wait_ms=_BUSY_WAIT_MS, auto_offset_reset="none")
        self._service = service
        self._came_at = time.monotonic()

    async def getmany(self, *partitions: TopicPartition, **more: Any) -> dict[TopicPartition, list[Any]]:
        """What the broker has. A place that is lost is counted, logged, and left for the oldest event there is."""
        found = await self._getmany(*partitions, **more)
        now = time.monotonic()
        if found:
            self._came_at = now
        quiet = now - self._came_at > _QUIET_SECONDS
        assert self._fetcher is not None
        self._fetcher._fetch_max_wait_ms = _QUIET_WAIT_MS if quiet else _BUSY_WAIT_MS
        return found

    async def _getmany(self, *partitions: TopicPartition, **more: Any) -> dict[TopicPartition, list[Any]]:
        try:
            return await super().getmany(*partitions, **more)
        except NoOffsetForPartitionError as new:
            # The group has never read it.
            for partition in self.assignment().intersection(new.args):
                await self.seek_to_beginning(partition)
        except OffsetOutOfRangeError as lost:
            for partition in self.assignment() & lost.args[0].keys():
                await self._go_on(partition, lost.args[0][partition])
        return {}

    async def _go_on(self, partition: TopicPartition, place: int) -> None:
        begin = (await self.beginning_offsets([partition]))[partition]
        # Beyond the end: the topic was made anew, or restored from a copy. How many are lost is not known then.
        count = max(begin - place, 1)
        EVENTS_LOST.labels(self._service, partition.topic).inc(count)
        log.critical(
            "%s[%d]: the place %d of the group is not there any more; %d events are lost at least, going on with %d",
            partition.topic,
            partition.partition,
            place,
            count,
            begin,
        )
        self.seek(partition, begin)


def let_go(client: AIOKafkaClient) -> None:
    """Close the client's connections at once, whatever it still waits for."""
    for connection in list(client._conns.values()):
        connection.close()


def leave_group(consumer: AIOKafkaConsumer) -> None:
    """Have the consumer leave its group when it stops, so that others go on with its partitions at once. A member with
    a name of its own would stay, for the case that it comes back; the client has no public name for that."""
    coordinator = consumer._coordinator
    if isinstance(coordinator, GroupCoordinator):
        coordinator._group_instance_id = None


def new_consumer(settings: ServiceSettings) -> AIOKafkaConsumer:
    """A consumer of the service's group, not yet started; offsets are committed by hand only."""
    return EventConsumer(
        settings.service,
        **_connection(settings),
        client_id=settings.service,
        group_id=f"{settings.topic_prefix}{settings.service}",
        group_instance_id=settings.kafka_instance_id or None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        # Longer than the longest batch the watchdog allows, or a slow batch is handled twice at once; shorter than the
        # client's request timeout of 40 s, or it gives up a join that the broker holds back for a dead member.
        rebalance_timeout_ms=30_000,
        metadata_max_age_ms=30_000,
    )
