"""What is done with fetched records: one transaction for each tenant, the inbox, the handlers, the dead letters.

In this order: open a transaction; claim the event ids in the inbox; call each topic's handler with those that are new;
write outgoing events to the outbox; commit. A crash anywhere repeats the records, and the inbox makes the repetition
void.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from aiokafka import ConsumerRecord
from google.protobuf.message import Message

from kit.database.faults import is_transient
from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery import inbox
from kit.delivery.dead_letters import dead_letter
from kit.errors import ConsumerHalted, InvalidEvent, RetryableError
from kit.events import Received, Record, decode, event_type, headers_of
from kit.ids import utc_now
from kit.settings import ServiceSettings
from kit.spans import consumer_spans
from kit.telemetry import DEAD_LETTERS, DUPLICATES, EVENT_AGE, EVENTS_CONSUMED

log = logging.getLogger(__name__)

Handler = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[None]]
Handlers = Mapping[type[Message], Handler]
Raw = ConsumerRecord[Any, Any]

ATTEMPTS = 3
# So many invalid events in a row mean that our code or a producer is broken, not that events are.
HALT_AFTER_INVALID = 100


def passes_by_itself(error: BaseException) -> bool:
    """Whether the same records may be handled later without a change of anything."""
    return is_transient(error) or isinstance(error, RetryableError)


class Batches:
    """Hands records to the handlers of a service, which are given by the events' classes."""

    def __init__(self, settings: ServiceSettings, database: Database, handlers: Handlers) -> None:
        self._service = settings.service
        self._group = f"{settings.topic_prefix}{settings.service}"
        self._database = database
        # The right to write belongs to the topic: on another one anyone could claim to be its writer.
        self.handlers = {settings.topic_prefix + event_type(kind).topic: each for kind, each in handlers.items()}
        self._kinds = {settings.topic_prefix + event_type(kind).topic: kind for kind in handlers}
        # By place: a batch that is repeated meets the same ones again.
        self._invalid_in_a_row: set[tuple[str, int, int]] = set()
        self.last_error = ""

    async def apply(self, records: Sequence[Raw]) -> None:
        """Handle the records in one transaction per tenant; undecodable ones go to the dead letters after it."""
        read = [_read(raw) for raw in records]
        events = [event for event in read if not isinstance(event, InvalidEvent)]
        # A stable sort keeps the order within each tenant's topics.
        events.sort(key=lambda event: (event.tenant_id, event.record.topic))
        for tenant_id, group in groupby(events, key=lambda event: event.tenant_id):
            tenants = list(group)
            async with self._database.unit_of_work(tenant_id) as uow:
                fresh = await self._handle_new(uow, tenants)
            self._count(tenants, fresh)
        # Only now is it known how many are invalid in a row: a good one between them ends it.
        for raw, event in zip(records, read, strict=True):
            if isinstance(event, InvalidEvent):
                await self._bury(raw, event, 1)
            else:
                self._invalid_in_a_row.clear()

    async def settle(self, raw: Raw) -> None:
        """Handle one record by itself, or put it into the dead letters: at once when it is invalid, and after ATTEMPTS
        when its handler fails."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self.apply([raw])
            except InvalidEvent as invalid:
                return await self._bury(raw, invalid, attempt)
            except Exception as failure:
                if passes_by_itself(failure) or isinstance(failure, ConsumerHalted):
                    raise
                log.exception("%s failed at offset %d, attempt %d", raw.topic, raw.offset, attempt)
                if attempt == ATTEMPTS:
                    fault = InvalidEvent("handler_failed", f"{type(failure).__name__}: {failure}")
                    await self._bury(raw, fault, attempt)

    async def replay(self, uow: UnitOfWork, record: Record, partition: int, offset: int) -> None:
        """Handle an event out of its turn, in the caller's transaction; one handled meanwhile changes nothing.

        Raises what its handler raises, InvalidEvent also when it cannot be decoded.
        """
        await self._handle_new(uow, [decode(record, partition, offset)])

    async def _handle_new(self, uow: UnitOfWork, events: Sequence[Received[Message]]) -> list[Received[Message]]:
        """Give those to their handlers that were not handled before; these."""
        unclaimed = await inbox.claim(uow, self._group, [event.id for event in events])
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

    async def _call(self, uow: UnitOfWork, topic: str, events: list[Received[Message]]) -> None:
        expected = self._kinds.get(topic)
        for event in events:
            if expected is None or not isinstance(event.message, expected):
                kind = event.message.DESCRIPTOR.full_name
                raise InvalidEvent("unexpected_type", f"{kind} does not belong on {topic}")
        with consumer_spans(f"process {events[0].message.DESCRIPTOR.full_name}", events) as continued:
            await self.handlers[topic](uow, continued)

    def _count(self, events: Sequence[Received[Message]], fresh: Sequence[Received[Message]]) -> None:
        now = utc_now()
        for event in fresh:
            age = (now - event.time).total_seconds()
            EVENT_AGE.labels(self._service, event.record.topic).observe(max(0.0, age))
        handled = Counter(event.record.topic for event in fresh)
        for topic, count in handled.items():
            EVENTS_CONSUMED.labels(self._service, topic).inc(count)
        for topic, count in (Counter(event.record.topic for event in events) - handled).items():
            DUPLICATES.labels(self._service, topic).inc(count)

    async def _bury(self, raw: Raw, invalid: InvalidEvent, attempts: int) -> None:
        self._invalid_in_a_row.add((raw.topic, raw.partition, raw.offset))
        self.last_error = f"{raw.topic}[{raw.partition}]@{raw.offset}: {invalid}"
        if len(self._invalid_in_a_row) > HALT_AFTER_INVALID:
            raise ConsumerHalted(
                f"{HALT_AFTER_INVALID} invalid events in a row, the last at {self.last_error}; "
                "nothing further was put aside. Remove the cause, then restart"
            )
        await dead_letter(self._database, self._service, _record(raw), invalid, attempts, raw.partition, raw.offset)
        DEAD_LETTERS.labels(self._service, raw.topic, invalid.code).inc()
        log.error("dead letter: %s", self.last_error)


def _read(raw: Raw) -> Received[Message] | InvalidEvent:
    try:
        return decode(_record(raw), raw.partition, raw.offset)
    except InvalidEvent as invalid:
        return invalid


def _record(raw: Raw) -> Record:
    key = raw.key.decode("utf-8", "backslashreplace") if raw.key else ""
    return Record(raw.topic, key, raw.value or b"", headers_of(raw.headers))
