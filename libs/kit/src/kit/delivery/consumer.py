"""The consumer loop: takes batches from Kafka, gives them to handlers in one transaction each, and owns
assignment, retries, dead letters and shutdown. Handlers own nothing of that.

For everything a poll returned, of whatever topics and partitions, in this order: open a transaction (for each tenant);
claim the event ids in the inbox; call each topic's handler with those that are new; write outgoing events to the
outbox; commit; then, a few times a second, commit the offsets. A crash anywhere repeats what came since, and the inbox
makes the repetition void.

What a transaction costs hardly depends on how many events it holds. So after a small batch the consumer rests (see
kit.delivery.pace): batches grow with the load, while an event that comes alone is taken at once.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from google.protobuf.message import Message

from kit.database.faults import is_transient
from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery import inbox
from kit.delivery.dead_letters import dead_letter
from kit.delivery.pace import Pace, pause
from kit.delivery.stall import ClientStalled, Stall
from kit.errors import ConsumerHalted, InvalidEvent, RetryableError
from kit.events import Received, Record, decode, event_type, headers_of
from kit.health import Watchdog
from kit.ids import utc_now
from kit.settings import ServiceSettings
from kit.spans import consumer_spans
from kit.telemetry import (
    BATCH_SECONDS,
    CONSUMER_RETRIES,
    CONSUMER_UP,
    DEAD_LETTERS,
    DUPLICATES,
    EVENT_AGE,
    EVENTS_CONSUMED,
)

log = logging.getLogger(__name__)

Handler = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[None]]
Handlers = Mapping[type[Message], Handler]
Raw = ConsumerRecord[Any, Any]
Fetched = Mapping[TopicPartition, Sequence[Raw]]

BATCH = 500
ATTEMPTS = 3
# A client that says nothing for so long has lost its way; shorter than the watchdog's patience.
SILENT_SECONDS = 20
# Records that come within this were there already; and how long to wait for the broker's reply with those that are not.
READY_SECONDS = 0.002
GATHER_MS = 10
# How often offsets are committed. What was handled since is delivered again after a crash, and then known.
COMMIT_SECONDS = 0.25
# So many invalid events in a row mean that our code or a producer is broken, not that events are.
HALT_AFTER_INVALID = 100


class Consumer(ConsumerRebalanceListener):
    """One member of the service's consumer group. `HANDLERS` of the service maps message classes to functions
    that receive the events of one partition and one tenant, in order."""

    def __init__(
        self,
        settings: ServiceSettings,
        database: Database,
        handlers: Handlers,
        new_consumer: Callable[[], AIOKafkaConsumer],
        watchdog: Watchdog,
        pace: Pace,
    ) -> None:
        self._service = settings.service
        self._prefix = settings.topic_prefix
        self.group = f"{settings.topic_prefix}{settings.service}"
        self._database = database
        self._handlers = {event_type(m).name: handler for m, handler in handlers.items()}
        self._kinds = {settings.topic_prefix + event_type(m).topic: event_type(m).name for m in handlers}
        self.topics = list(self._kinds)
        self._new_consumer = new_consumer
        self._watchdog = watchdog
        self._pace = pace
        self._lock = asyncio.Lock()
        self._generation = 0
        # Offsets that are handled and not committed.
        self._handled: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._client: AIOKafkaConsumer | None = None
        # By where they stand: a batch that is repeated meets the same ones again.
        self._invalid_in_a_row: set[tuple[str, int, int]] = set()
        self.assigned = False
        self.last_error = ""

    async def on_partitions_revoked(self, revoked: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the batch at work, then void whatever was fetched: another member may own it from here on, and
        need not handle again what was handled here."""
        async with self._lock:
            self._generation += 1
            await self._leave()

    async def on_partitions_assigned(self, assigned: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ready: this member knows its share."""
        self.assigned = True

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until told to stop. Broker faults are waited out; ConsumerHalted ends it for good."""
        while not stop.is_set():
            # A broker that is away is no reason to be ended: it is tried again and again.
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
                self.last_error = f"{type(error).__name__}: {error}"
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
                raise ClientStalled(f"the client has said nothing for {SILENT_SECONDS} s") from silence
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
                # Order is kept per partition, by fetching again; the pause spares whoever is down.
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
            await self._apply([record for records in fetched.values() for record in records])
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
        self.last_error = f"{type(error).__name__}: {error}"
        topics = sorted({partition.topic for partition in fetched})
        for topic in topics:
            CONSUMER_RETRIES.labels(self._service, topic).inc()
        log.warning("%s will be repeated: %s", ", ".join(topics), self.last_error)
        _fetch_again(consumer, fetched)

    async def _partition_by_partition(self, consumer: AIOKafkaConsumer, fetched: Fetched) -> bool:
        """Let what is well go on, and find the poison in the rest; whether a partition has to be repeated."""
        delayed = False
        for partition, records in fetched.items():
            part = {partition: records}
            try:
                try:
                    await self._apply(records)
                except Exception as error:
                    if _passes_by_itself(error) or isinstance(error, ConsumerHalted):
                        raise
                    await self._one_by_one(consumer, partition, records, error)
                self._handled[partition] = records[-1].offset + 1
                await self._commit(consumer)
            except Exception as error:
                if not _passes_by_itself(error):
                    raise
                self._postpone(consumer, part, error)
                delayed = True
            self._watchdog.beat("consumer")
        return delayed

    async def _one_by_one(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        records: Sequence[Raw],
        error: Exception,
    ) -> None:
        """Find the poison: each record in its own transaction, the failing ones into the dead letters."""
        log.warning("a batch of %d from %s failed, going one by one: %s", len(records), partition.topic, error)
        for raw in records:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    await self._apply([raw])
                    break
                except InvalidEvent as invalid:
                    await self._bury(raw, invalid, attempt)
                    break
                except Exception as failure:
                    if _passes_by_itself(failure) or isinstance(failure, ConsumerHalted):
                        raise
                    log.exception("%s failed at offset %d, attempt %d", partition.topic, raw.offset, attempt)
                    if attempt == ATTEMPTS:
                        fault = InvalidEvent("handler_failed", f"{type(failure).__name__}: {failure}")
                        await self._bury(raw, fault, attempt)
            self._handled[partition] = raw.offset + 1
            await self._commit(consumer)
            self._watchdog.beat("consumer")

    async def _apply(self, batch: Sequence[Raw]) -> None:
        """Handle the batch in one transaction per tenant; undecodable events go to the dead letters after it."""
        read = [_read(raw) for raw in batch]
        events = [event for event in read if not isinstance(event, InvalidEvent)]
        # A stable sort keeps the order within each tenant's topics.
        events.sort(key=_tenant_and_topic)
        for tenant_id, group in groupby(events, key=lambda event: event.tenant_id):
            await self._apply_for(tenant_id, list(group))
        # Only now is it known how many stand in a row: a good one between them ends it.
        for raw, event in zip(batch, read, strict=True):
            if isinstance(event, InvalidEvent):
                await self._bury(raw, event, 1)
            else:
                self._invalid_in_a_row.clear()

    async def _apply_for(self, tenant_id: str, events: list[Received[Message]]) -> None:
        async with self._database.unit_of_work(tenant_id) as uow:
            fresh = await self._handle_new(uow, events)
        self._count(events, fresh)

    async def _handle_new(self, uow: UnitOfWork, events: Sequence[Received[Message]]) -> list[Received[Message]]:
        """Hand those to their handlers that were not handled before; these."""
        unclaimed = await inbox.claim(uow, self.group, [event.id for event in events])
        fresh: list[Received[Message]] = []
        for event in events:
            if event.id in unclaimed:
                unclaimed.discard(event.id)
                fresh.append(event)
        for topic, group in groupby(fresh, key=lambda event: event.record.topic):
            # The next handler may read what the one before deferred; what the last one did goes with the commit.
            await uow.flush()
            await self._call(uow, topic, list(group))
        return fresh

    async def replay(self, uow: UnitOfWork, record: Record, partition: int, offset: int) -> None:
        """Handle an event out of its turn, in the caller's transaction; one handled meanwhile changes nothing.

        Raises what its handler raises, InvalidEvent also when it cannot be decoded.
        """
        await self._handle_new(uow, [decode(record, partition, offset)])

    def _count(self, events: Sequence[Received[Message]], fresh: Sequence[Received[Message]]) -> None:
        now = utc_now()
        for topic, group in groupby(fresh, key=lambda event: event.record.topic):
            ages, count = EVENT_AGE.labels(self._service, topic), 0
            for event in group:
                ages.observe(max(0.0, (now - event.time).total_seconds()))
                count += 1
            EVENTS_CONSUMED.labels(self._service, topic).inc(count)
        if len(fresh) < len(events):
            delivered = Counter(event.record.topic for event in events)
            delivered.subtract(event.record.topic for event in fresh)
            for topic, repeated in delivered.items():
                if repeated:
                    DUPLICATES.labels(self._service, topic).inc(repeated)

    async def _call(self, uow: UnitOfWork, topic: str, events: list[Received[Message]]) -> None:
        kind = events[0].message.DESCRIPTOR.full_name
        handler = self._handlers.get(kind)
        # The right to write stands with the topic: elsewhere anybody could claim to be its writer.
        if handler is None or kind != self._kinds.get(topic):
            raise InvalidEvent("unexpected_type", f"{kind} does not belong on {topic}")
        if any(event.message.DESCRIPTOR.full_name != kind for event in events):
            raise InvalidEvent("unexpected_type", f"{topic} carries more than {kind}")
        with consumer_spans(f"process {kind}", events) as continued:
            await handler(uow, continued)

    async def _bury(self, raw: Raw, invalid: InvalidEvent, attempts: int) -> None:
        self._invalid_in_a_row.add((raw.topic, raw.partition, raw.offset))
        self.last_error = f"{raw.topic}[{raw.partition}]@{raw.offset}: {invalid}"
        if len(self._invalid_in_a_row) > HALT_AFTER_INVALID:
            raise ConsumerHalted(
                f"{HALT_AFTER_INVALID} invalid events in a row, the last at {self.last_error}; "
                "nothing further was put aside. Mend the cause, then restart"
            )
        await dead_letter(self._database, self._service, _record(raw), invalid, attempts, raw.partition, raw.offset)
        DEAD_LETTERS.labels(self._service, raw.topic, invalid.code).inc()
        log.error("dead letter: %s", self.last_error)


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


def _read(raw: Raw) -> Received[Message] | InvalidEvent:
    try:
        return decode(_record(raw), raw.partition, raw.offset)
    except InvalidEvent as invalid:
        return invalid


def _in_words(fetched: Fetched) -> str:
    return ", ".join(
        f"{len(records)} of {p.topic}[{p.partition}]@{records[0].offset}" for p, records in fetched.items()
    )


def _tenant_and_topic(event: Received[Message]) -> tuple[str, str]:
    return event.tenant_id, event.record.topic


def _fetch_again(consumer: AIOKafkaConsumer, fetched: Fetched) -> None:
    """Void what was fetched. What still is ours comes again; what another member handled meanwhile, the inbox knows.
    Not `seek_to_committed`: it leaves a partition without a commit where it is."""
    for partition, records in fetched.items():
        if partition in consumer.assignment():
            consumer.seek(partition, records[0].offset)


def _passes_by_itself(error: BaseException) -> bool:
    return is_transient(error) or isinstance(error, RetryableError)


def _record(raw: Raw) -> Record:
    key = raw.key.decode("utf-8", "backslashreplace") if raw.key else ""
    return Record(raw.topic, key, raw.value or b"", headers_of(raw.headers))


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        await asyncio.wait_for(consumer.stop(), 10)
    except Exception as error:
        log.warning("the consumer did not close cleanly: %s", error)
