"""The consumer loop: takes records from Kafka, has them handled (see kit.delivery.batch), and owns assignment,
repetition, offsets, rest and shutdown.

All that a poll returned, of any topics and partitions, is one batch; offsets are committed a few times a second. What a
transaction costs hardly depends on how many events it holds. So after a small batch the consumer rests (see
kit.delivery.pace): batches grow with the load, while an event that comes alone is taken at once.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from kit.delivery.batch import Batches, Raw
from kit.delivery.kafka import leave_group, let_go
from kit.delivery.pace import Pace, backoff, pause
from kit.delivery.patience import within
from kit.delivery.stall import ClientStalled, Stall
from kit.observability.health import Watchdog
from kit.observability.telemetry import BATCH_SECONDS, CONSUMER_RETRIES
from kit.settings import ServiceSettings

log = logging.getLogger(__name__)

Fetched = Mapping[TopicPartition, Sequence[Raw]]

BATCH = 500
# A client that returns nothing for so long has lost its way; shorter than the watchdog's patience.
SILENT_SECONDS = 20
# Records that come within this were there already; and how long to wait for the broker's reply with those that are not.
READY_SECONDS = 0.002
GATHER_MS = 10
# How often offsets are committed. What was handled since is delivered again after a crash, and then known.
COMMIT_SECONDS = 0.25
_LONGEST_PAUSE = 10
# Each shorter than the watchdog's patience, also one after the other's pause.
_CONNECT_SECONDS = 15
_COMMIT_TIMEOUT_SECONDS = 15


class Consumer(ConsumerRebalanceListener):
    """One member of the service's consumer group."""

    def __init__(
        self,
        settings: ServiceSettings,
        batches: Batches,
        new_consumer: Callable[[], AIOKafkaConsumer],
        watchdog: Watchdog,
        pace: Pace,
    ) -> None:
        self._service = settings.service
        self.group = f"{settings.topic_prefix}{settings.service}"
        self.batches = batches
        self.topics = list(batches.handlers)
        self._new_consumer = new_consumer
        self._watchdog = watchdog
        self._pace = pace
        self._lock = asyncio.Lock()
        self._generation = 0
        # Offsets that are handled and not committed.
        self._handled: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._client: AIOKafkaConsumer | None = None
        self.assigned = False

    @property
    def last_error(self) -> str:
        """What went wrong last, in words."""
        return self.batches.last_error

    @property
    def owned(self) -> set[str]:
        """The partitions that this member has, as `topic[number]`."""
        partitions = self._client.assignment() if self._client is not None else ()
        return {f"{each.topic}[{each.partition}]" for each in partitions}

    async def on_partitions_revoked(self, revoked: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the batch at work, commit what was handled, and void what was fetched: another member may own it."""
        async with self._lock:
            self._generation += 1
            await self._leave()

    async def on_partitions_assigned(self, assigned: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ready: this member knows its share."""
        self.assigned = True

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`. Broker faults are waited out."""
        while not stop.is_set():
            # A broker that is away does not end the loop: it is tried again and again.
            self._watchdog.beat("consumer", "it connected to the broker")
            consumer = self._client = self._new_consumer()
            try:
                # A broker may accept the connection and say nothing.
                await within(_CONNECT_SECONDS, consumer.start())
                consumer.subscribe(self.topics, listener=self)
                await self._consume(consumer, stop)
            except Exception as error:
                self.batches.failed(error)
                self._watchdog.beat("consumer", "it let go of the broker")
                log.warning("consumer restarts: %s", self.last_error)
                await pause(stop, 1)
            finally:
                self.assigned = False
                await self._leave()
                await _close(consumer)
        self._watchdog.forget("consumer")

    async def _consume(self, consumer: AIOKafkaConsumer, stop: asyncio.Event) -> None:
        failures, loop = 0, asyncio.get_running_loop()
        stall = Stall(consumer)
        while not stop.is_set():
            self._watchdog.beat("consumer", "it asked for events")
            generation = self._generation
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    await stall.check()
                    fetched = await _fetch(consumer)
            except TimeoutError as silence:
                raise ClientStalled(f"the client has returned nothing for {SILENT_SECONDS} s") from silence
            if not fetched:
                await self._commit(consumer)
                continue
            stall.fetched(fetched)
            began = loop.time()
            async with self._lock:
                if generation != self._generation:
                    _fetch_again(consumer, {p: records[0].offset for p, records in fetched.items()})
                    continue
                doing = f"it got {_in_words(fetched)}"
                self.batches.beat = partial(self._watchdog.beat, "consumer", doing)
                undone = await self._handle(consumer, fetched)
            count = sum(map(len, fetched.values()))
            if undone:
                # Order is kept per partition, by fetching again; the pause spares the server that is down. Where only
                # some have to be repeated, the others do not wait long.
                failures += 1
                longest = _LONGEST_PAUSE if undone == count else _LONGEST_PAUSE / 10
                await pause(stop, backoff(failures, 0.2, longest) * random.uniform(0.5, 1))  # noqa: S311
                continue
            failures = 0
            if count < BATCH:
                await pause(stop, self._pace.rest_after(loop.time() - began))

    async def _handle(self, consumer: AIOKafkaConsumer, fetched: Fetched) -> int:
        """How many of the records have to be repeated later."""
        began = time.perf_counter()
        undone = await self.batches.apply([record for records in fetched.values() for record in records])
        BATCH_SECONDS.labels(self._service).observe(time.perf_counter() - began)
        again: dict[TopicPartition, int] = {}
        for raw in undone:
            partition = TopicPartition(raw.topic, raw.partition)
            again[partition] = min(raw.offset, again.get(partition, raw.offset))
        self._handled |= {p: again.get(p, records[-1].offset + 1) for p, records in fetched.items()}
        if again:
            self._postpone(consumer, again)
        if time.monotonic() - self._committed_at > COMMIT_SECONDS:
            await self._commit(consumer)
        return len(undone)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit the offsets of what was handled."""
        handled, self._handled = self._handled, {}
        if handled:
            self._committed_at = time.monotonic()
            await within(_COMMIT_TIMEOUT_SECONDS, consumer.commit(handled))

    async def _leave(self) -> None:
        """Commit once more, if it can be done: others will go on from there."""
        if self._client is not None and self._handled:
            try:
                await within(5, self._commit(self._client))
            except Exception as error:
                log.warning("the last offsets were not committed, their events come again: %s", error)

    def _postpone(self, consumer: AIOKafkaConsumer, again: Mapping[TopicPartition, int]) -> None:
        topics = sorted({partition.topic for partition in again})
        for topic in topics:
            CONSUMER_RETRIES.labels(self._service, topic).inc()
        log.warning("%s will be repeated: %s", ", ".join(topics), self.last_error)
        _fetch_again(consumer, again)


async def _fetch(consumer: AIOKafkaConsumer) -> Fetched:
    """What the broker has. What lay ready was fetched when the last rest began, and the client fetches no more before
    it is taken; so whatever came during the rest is asked for as well, or it would wait for another one."""
    began = time.monotonic()
    fetched: Fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
    room = BATCH - sum(map(len, fetched.values()))
    if not fetched or room <= 0 or time.monotonic() - began > READY_SECONDS:
        return fetched
    more: Fetched = await consumer.getmany(timeout_ms=GATHER_MS, max_records=room)
    return {p: [*fetched.get(p, ()), *more.get(p, ())] for p in {**fetched, **more}}


def _in_words(fetched: Fetched) -> str:
    return ", ".join(
        f"{len(records)} of {p.topic}[{p.partition}]@{records[0].offset}" for p, records in fetched.items()
    )


def _fetch_again(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """Void what was fetched from these offsets on. What still is ours comes again; what another member handled
    meanwhile, the inbox knows. Not `seek_to_committed`: it leaves a partition without a commit where it is."""
    for partition, offset in offsets.items():
        if partition in consumer.assignment():
            consumer.seek(partition, offset)


async def _close(consumer: AIOKafkaConsumer) -> None:
    leave_group(consumer)
    try:
        await within(10, consumer.stop())
    except Exception as error:
        log.warning("the consumer did not close cleanly: %s", error)
    finally:
        let_go(consumer._client)
