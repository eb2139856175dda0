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
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from kit.database.faults import is_transient
from kit.delivery.batch import Batches, Raw, passes_by_itself
from kit.delivery.pace import Pace, pause
from kit.delivery.stall import ClientStalled, Stall
from kit.errors import ConsumerHalted
from kit.health import Watchdog
from kit.settings import ServiceSettings
from kit.telemetry import BATCH_SECONDS, CONSUMER_RETRIES, CONSUMER_UP

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

    async def on_partitions_revoked(self, revoked: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the batch at work, commit what was handled, and void what was fetched: another member may own it."""
        async with self._lock:
            self._generation += 1
            await self._leave()

    async def on_partitions_assigned(self, assigned: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ready: this member knows its share."""
        self.assigned = True

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`. Broker faults are waited out; ConsumerHalted ends it for good."""
        while not stop.is_set():
            # A broker that is away does not end the loop: it is tried again and again.
            self._watchdog.beat("consumer", "it connected to the broker")
            consumer = self._client = self._new_consumer()
            try:
                await consumer.start()
                consumer.subscribe(self.topics, listener=self)
                CONSUMER_UP.labels(self._service).set(1)
                await self._consume(consumer, stop)
            except ConsumerHalted as halt:
                CONSUMER_UP.labels(self._service).set(0)
                self._watchdog.fail("consumer", str(halt))
                log.critical("consumer halted: %s", halt)
                return
            except Exception as error:
                self.batches.last_error = f"{type(error).__name__}: {error}"
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
                    _fetch_again(consumer, fetched)
                    continue
                self._watchdog.beat("consumer", f"it got {_in_words(fetched)}")
                delayed = await self._handle(consumer, fetched)
            if delayed:
                # Order is kept per partition, by fetching again; the pause spares the server that is down.
                failures += 1
                await pause(stop, min(0.1 * 2**failures, 10) * random.uniform(0.5, 1))  # noqa: S311
                continue
            failures = 0
            if sum(map(len, fetched.values())) < BATCH:
                await pause(stop, self._pace.rest_after(loop.time() - began))

    async def _handle(self, consumer: AIOKafkaConsumer, fetched: Fetched) -> bool:
        """Whether some of it has to be repeated later."""
        began = time.perf_counter()
        try:
            await self.batches.apply([record for records in fetched.values() for record in records])
        except ConsumerHalted:
            raise
        except Exception as error:
            if is_transient(error):
                self._postpone(consumer, fetched, error)
                return True
            log.warning("a batch failed, going on partition by partition: %s", error)
            return await self._partition_by_partition(consumer, fetched)
        BATCH_SECONDS.labels(self._service).observe(time.perf_counter() - began)
        self._handled |= {partition: records[-1].offset + 1 for partition, records in fetched.items()}
        if time.monotonic() - self._committed_at > COMMIT_SECONDS:
            await self._commit(consumer)
        return False

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Commit the offsets of what was handled."""
        handled, self._handled = self._handled, {}
        if handled:
            self._committed_at = time.monotonic()
            await consumer.commit(handled)

    async def _leave(self) -> None:
        """Commit once more, if it can be done: others will go on from there."""
        if self._client is not None and self._handled:
            try:
                async with asyncio.timeout(5):
                    await self._commit(self._client)
            except Exception as error:
                log.warning("the last offsets were not committed, their events come again: %s", error)

    def _postpone(self, consumer: AIOKafkaConsumer, fetched: Fetched, error: Exception) -> None:
        self.batches.last_error = f"{type(error).__name__}: {error}"
        topics = sorted({partition.topic for partition in fetched})
        for topic in topics:
            CONSUMER_RETRIES.labels(self._service, topic).inc()
        log.warning("%s will be repeated: %s", ", ".join(topics), self.last_error)
        _fetch_again(consumer, fetched)

    async def _partition_by_partition(self, consumer: AIOKafkaConsumer, fetched: Fetched) -> bool:
        """Let what is well go on, and find the poison in the rest; whether a partition has to be repeated."""
        delayed = False
        for partition, records in fetched.items():
            try:
                await self._partition(consumer, partition, records)
            except Exception as error:
                if not passes_by_itself(error):
                    raise
                self._postpone(consumer, {partition: records}, error)
                delayed = True
            self._watchdog.beat("consumer")
        return delayed

    async def _partition(self, consumer: AIOKafkaConsumer, partition: TopicPartition, records: Sequence[Raw]) -> None:
        """All records of the partition at once; when that fails, one by one, each committed by itself."""
        try:
            await self.batches.apply(records)
        except Exception as error:
            if passes_by_itself(error) or isinstance(error, ConsumerHalted):
                raise
            log.warning("a batch of %d from %s failed, going one by one: %s", len(records), partition.topic, error)
            for raw in records:
                await self.batches.settle(raw)
                self._handled[partition] = raw.offset + 1
                await self._commit(consumer)
                self._watchdog.beat("consumer")
        self._handled[partition] = records[-1].offset + 1
        await self._commit(consumer)


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


def _fetch_again(consumer: AIOKafkaConsumer, fetched: Fetched) -> None:
    """Void what was fetched. What still is ours comes again; what another member handled meanwhile, the inbox knows.
    Not `seek_to_committed`: it leaves a partition without a commit where it is."""
    for partition, records in fetched.items():
        if partition in consumer.assignment():
            consumer.seek(partition, records[0].offset)


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        await asyncio.wait_for(consumer.stop(), 10)
    except Exception as error:
        log.warning("the consumer did not close cleanly: %s", error)
