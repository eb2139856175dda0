"""What is done with fetched records: one transaction for each tenant, the inbox, the handlers, the dead letters.

In this order: open a transaction; claim the event ids in the inbox; call each topic's handler with those that are new;
write outgoing events to the outbox; commit. A crash anywhere repeats the records, and the inbox makes the repetition
void.

No event stops another tenant's, nor another key's of its own tenant. What fails for good is set aside as a dead letter
with everything of its key behind it; what fails for an unknown reason is set aside likewise, and handled again after
pauses (see kit.aside.replay).
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord
from google.protobuf.message import Message

from kit.aside.dead_letters import BEHIND, Refused, bounded, set_aside, tenant_of
from kit.contracts.events import Received, Record, decode, event_type, headers_of
from kit.database.faults import Fault, fault_of
from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery import inbox
from kit.errors import InvalidEvent, RetryableError
from kit.ids import utc_now
from kit.observability.health import in_words
from kit.observability.spans import consumer_spans
from kit.observability.telemetry import DUPLICATES, EVENT_AGE, EVENTS_CONSUMED
from kit.offload import Timed
from kit.settings import ServiceSettings

log = logging.getLogger(__name__)

Handler = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[None]]
Handlers = Mapping[type[Message], Handler]
Raw = ConsumerRecord[Any, Any]

# How long a tenant's events are repeated in their place while only passing faults meet them. Longer, and what comes
# after them would wait for whatever that tenant waits for: they are set aside, and handled again from there.
PATIENCE_SECONDS = 60


def passes_by_itself(error: BaseException) -> bool:
    """Whether the same records may be handled later without a change of anything."""
    return isinstance(error, RetryableError) or fault_of(error) is Fault.PASSING


def is_permanent(error: BaseException) -> bool:
    """Whether another attempt is of no use."""
    return isinstance(error, InvalidEvent) or fault_of(error) is Fault.PERMANENT


def as_invalid(error: Exception) -> InvalidEvent:
    """The failure of a handler as the reason of a dead letter."""
    return error if isinstance(error, InvalidEvent) else InvalidEvent("handler_failed", _in_words(error))


class _Read(NamedTuple):
    """A record, and the event in it or why there is none."""

    raw: Raw
    record: Record
    event: Received[Message] | InvalidEvent

    @property
    def place(self) -> tuple[str, str]:
        return self.record.topic, bounded(self.record.key)

    def refused(self, reason: InvalidEvent, *, retried: bool = False) -> Refused:
        return Refused(self.record, self.raw.partition, self.raw.offset, reason, retried)


def in_turn(records: Sequence[Raw]) -> list[tuple[str, list[_Read]]]:
    """The records by tenant, the fewest first: who has many makes no other wait for them. Each tenant's are sorted by
    topic, which keeps their order there."""
    tenants: defaultdict[str, list[_Read]] = defaultdict(list)
    for each in sorted(map(_read, records), key=lambda each: each.record.topic):
        tenants[tenant_of(each.record)].append(each)
    return sorted(tenants.items(), key=lambda tenant: len(tenant[1]))


class Batches:
    """Hands records to the handlers of a service, which are given by the events' classes."""

    def __init__(self, settings: ServiceSettings, database: Database, handlers: Handlers) -> None:
        self._service = settings.service
        self._group = f"{settings.topic_prefix}{settings.service}"
        self._database = database
        # The right to write belongs to the topic: on another one anyone could claim to be its writer.
        self.handlers = {settings.topic_prefix + event_type(kind).topic: each for kind, each in handlers.items()}
        self._kinds = {settings.topic_prefix + event_type(kind).topic: kind for kind in handlers}
        # Since when a tenant's events have met nothing but passing faults.
        self._delayed: dict[str, float] = {}
        # What went wrong last: in full, and without a word of what events or statements hold.
        self.last_error = self.last_words = ""
        # Called between transactions, so that a long batch is not taken for a stuck one.
        self.beat: Callable[[], None] = lambda: None
        # Called with how long a tenant's events had the event loop.
        self.took: Callable[[str, float], None] = lambda _tenant_id, _seconds: None

    async def apply(self, records: Sequence[Raw]) -> list[Raw]:
        """Handle the records, in one transaction for each tenant where nothing fails; those that have to be repeated
        later, for their fault passes."""
        undone: list[Raw] = []
        for tenant_id, read in in_turn(records):
            timed = Timed(self._handle(tenant_id, read))
            left = await timed
            self.took(tenant_id, timed.seconds)
            if not left:
                self._delayed.pop(tenant_id, None)
            elif time.monotonic() - self._delayed.setdefault(tenant_id, time.monotonic()) > PATIENCE_SECONDS:
                delayed = InvalidEvent("delayed", self.last_error)
                left = await self._set_aside(tenant_id, left, delayed, retried=True)
            undone += [each.raw for each in left]
        return undone

    async def _handle(self, tenant_id: str, read: Sequence[_Read]) -> Sequence[_Read]:
        """Handle these of one tenant, all at once or else in halves, so that only what fails by itself is set aside;
        those that have to be repeated."""
        self.beat()
        try:
            async with self._database.unit_of_work(tenant_id) as uow:
                events, fresh = await self._handle_new(uow, read)
        except Exception as error:
            if passes_by_itself(error):
                self.failed(error)
                return read
            if len(read) > 1:
                half = len(read) // 2
                left = await self._handle(tenant_id, read[:half])
                # What comes after is not handled before.
                return [*left, *read[half:]] if left else await self._handle(tenant_id, read[half:])
            log.warning("%s failed at offset %d: %s", read[0].raw.topic, read[0].raw.offset, error, exc_info=error)
            return await self._set_aside(tenant_id, read, as_invalid(error), retried=not is_permanent(error))
        self._count(events, fresh)
        return ()

    async def _set_aside(
        self, tenant_id: str, read: Sequence[_Read], reason: InvalidEvent, *, retried: bool
    ) -> Sequence[_Read]:
        """Make these dead letters; all of them if that fails, whatever the fault: no record is passed over."""
        try:
            async with self._database.unit_of_work(tenant_id) as uow:
                await set_aside(uow, [each.refused(reason, retried=retried) for each in read])
        except Exception as error:
            log.warning("a dead letter could not be kept: %s", error)
            self.failed(error)
            return read
        for each in read:
            self._note(each, reason)
        return ()

    def _note(self, read: _Read, reason: InvalidEvent) -> None:
        place = f"{read.raw.topic}[{read.raw.partition}]@{read.raw.offset}"
        self.last_error, self.last_words = f"{place}: {reason}", f"{place}: {reason.code}"
        log.error("dead letter: %s", self.last_error)

    def failed(self, error: Exception) -> None:
        """Note a fault that passes."""
        self.last_error, self.last_words = _in_words(error), in_words(error)

    async def replay(self, uow: UnitOfWork, record: Record, partition: int, offset: int, *, claimed: bool) -> None:
        """Handle an event out of its turn, in the caller's transaction; one handled meanwhile changes nothing. One that
        is `claimed` counts as handled, by having been rejected, and is handled all the same.

        Raises what its handler raises, InvalidEvent also when it cannot be decoded.
        """
        event = decode(record, partition, offset)
        if claimed or (await inbox.claim(uow, self._group, [event], replayed=True)).new:
            await self._call(uow, event.record.topic, [event])

    async def _handle_new(
        self, uow: UnitOfWork, read: Sequence[_Read]
    ) -> tuple[Sequence[Received[Message]], Sequence[Received[Message]]]:
        """Give those to their handlers that were not handled before, and set aside what cannot be read or has a dead
        letter of its key before it; the events that could be read, and those that were handled."""
        refused: dict[tuple[str, str], InvalidEvent] = {}
        clear: list[Received[Message]] = []
        for each in read:
            if isinstance(each.event, InvalidEvent):
                refused.setdefault(each.place, each.event)
            elif each.place not in refused:
                clear.append(each.event)
        claim = await inbox.claim(uow, self._group, clear)
        await self._set_aside_held(uow, read, claim.held)
        fresh: list[Received[Message]] = []
        for event in clear:
            if event.id in claim.new:
                claim.new.discard(event.id)
                fresh.append(event)
        for topic, group in groupby(fresh, key=lambda event: event.record.topic):
            # The next handler may read what the one before deferred; what the last one did goes with the commit.
            await uow.flush()
            await self._call(uow, topic, list(group))
        return clear, fresh

    async def _set_aside_held(self, uow: UnitOfWork, read: Sequence[_Read], held: set[Any]) -> None:
        aside: list[Refused] = []
        places: set[tuple[str, str]] = set()
        for each in read:
            if isinstance(each.event, InvalidEvent):
                aside.append(each.refused(each.event))
                places.add(each.place)
                uow.after_commit(lambda each=each, reason=each.event: self._note(each, reason))
            elif each.place in places or each.event.id in held:
                aside.append(each.refused(BEHIND))
        await set_aside(uow, aside)

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


def _read(raw: Raw) -> _Read:
    key = raw.key.decode("utf-8", "backslashreplace") if raw.key else ""
    record = Record(raw.topic, key, raw.value or b"", headers_of(raw.headers))
    try:
        return _Read(raw, record, decode(record, raw.partition, raw.offset))
    except InvalidEvent as invalid:
        return _Read(raw, record, invalid)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
