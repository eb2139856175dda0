"""Change events: their Avro schema, their bitmaps, and the log subscribers read for 72 hours."""

import asyncio
import base64
import hashlib
import io
import json
import random
import uuid
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import fastavro

from sandbox.salesforce import schema
from sandbox.salesforce.clock import Clock, epoch_ms, parse_time
from sandbox.salesforce.journal import StoredEvent
from sandbox.salesforce.rules import Record
from sandbox.salesforce.schema import Field, SObject

RETENTION = timedelta(hours=72)
OVERFLOW_ID = "000000000000000AAA"
CHANGE_TYPES = (
    "CREATE", "UPDATE", "DELETE", "UNDELETE",
    "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT",
)  # fmt: skip
# Commit numbers go beyond what a double can hold, as in a real org.
_FIRST_COMMIT_NUMBER = 2**53
_FIRST_REPLAY_ID = 1_000_000

_STRINGS = {"type": "array", "items": "string"}
_HEADER = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": _STRINGS},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": list(CHANGE_TYPES)}},
        {"name": "changeOrigin", "type": "string"},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": _STRINGS},
        {"name": "diffFields", "type": _STRINGS},
        {"name": "changedFields", "type": _STRINGS},
    ],
}
_AVRO_TYPE = {"boolean": "boolean", "int": "int", "date": "long", "datetime": "long"} | dict.fromkeys(
    ("currency", "double", "percent"), "double"
)


@dataclass(frozen=True)
class EventSchema:
    """The Avro schema of one object's change events. Bit 0 of a bitmap is the header."""

    entity: str
    id: str
    json: str
    fields: tuple[Field, ...]
    parsed: Any

    def bitmap(self, names: Iterable[str]) -> list[str]:
        """Encodes field names as the one-element list of a header's `changedFields`."""
        wanted = set(names)
        return bitmap(bit for bit, field in enumerate(self.fields, start=1) if field.name in wanted)


def bitmap(bits: Iterable[int]) -> list[str]:
    """Encodes bit positions as upper-case hex of even length; no bits give an empty list."""
    value = sum(1 << bit for bit in bits)
    if value == 0:
        return []
    digits = f"{value:X}"
    return ["0x" + digits.rjust(len(digits) + len(digits) % 2, "0")]


def event_schema(obj: SObject) -> EventSchema:
    """Derives the change-event schema of an object; equal declarations give equal ids."""
    fields = tuple(f for f in obj.fields if f.in_events)
    document = {
        "type": "record",
        "name": f"{obj.name.removesuffix('__c')}{'__' if obj.name.endswith('__c') else ''}ChangeEvent",
        "namespace": "com.sforce.eventbus",
        "fields": [
            {"name": "ChangeEventHeader", "type": _HEADER},
            *(
                {
                    "name": f.name,
                    "type": ["null", _AVRO_TYPE.get(f.kind, "string")],
                    "doc": f"Data:{f.kind.capitalize()}",
                    "default": None,
                }
                for f in fields
            ),
        ],
    }
    text = json.dumps(document, separators=(",", ":"))
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    schema_id = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return EventSchema(obj.name, schema_id, text, fields, fastavro.parse_schema(document))


# The entities that the package selects for change data capture.
SELECTED = {obj.name: event_schema(obj) for obj in schema.FOLLOWED}
TOPICS = {
    "/data/ChangeEvents": frozenset(SELECTED),
    **{f"/data/{name}ChangeEvent": frozenset({name}) for name in SELECTED},
}


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction did to one record in total; the states are None before creation."""

    entity: str
    before: Record | None
    after: Record


class EventWriter:
    """Turns the changes of a transaction into events with sparse, growing replay ids."""

    def __init__(self, last_replay_id: int | None) -> None:
        self._last = last_replay_id or _FIRST_REPLAY_ID

    def write(self, changes: Iterable[Change], *, origin: str, user: str, now: datetime) -> list[StoredEvent]:
        """One event per record, in the order the transaction first touched them."""
        transaction = str(uuid.uuid4())
        commit_number = _FIRST_COMMIT_NUMBER + self._last
        events: list[StoredEvent] = []
        for change in changes:
            kind = _change_type(change)
            if kind is None:
                continue
            event_form = SELECTED[change.entity]
            body, changed, nulled = _body(event_form, change, kind)
            header = {
                "entityName": change.entity,
                "recordIds": [change.after["Id"]],
                "changeType": kind,
                "changeOrigin": origin,
                "transactionKey": transaction,
                "sequenceNumber": len(events) + 1,
                "commitTimestamp": epoch_ms(now),
                "commitNumber": commit_number,
                "commitUser": user,
                "nulledFields": event_form.bitmap(nulled),
                "diffFields": [],
                "changedFields": event_form.bitmap(changed),
            }
            events.append(self._store(event_form, header, body, now))
        return events

    def gap(self, entity: str, change_type: str, record_ids: list[str], user: str, now: datetime) -> StoredEvent:
        """A header without a body: the org lost the details and the subscriber has to read the record."""
        event_form = SELECTED[entity]
        header = {
            "entityName": event_form.entity,
            "recordIds": record_ids,
            "changeType": change_type,
            "changeOrigin": "",
            "transactionKey": str(uuid.uuid4()),
            "sequenceNumber": 1,
            "commitTimestamp": epoch_ms(now),
            "commitNumber": _FIRST_COMMIT_NUMBER + self._last,
            "commitUser": user,
            "nulledFields": [],
            "diffFields": [],
            "changedFields": [],
        }
        return self._store(event_form, header, {}, now)

    def _store(self, form: EventSchema, header: dict[str, Any], body: dict[str, Any], now: datetime) -> StoredEvent:
        self._last += random.randint(1, 40)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, form.parsed, {"ChangeEventHeader": header, **body})
        return StoredEvent(self._last, epoch_ms(now), form.entity, form.id, str(uuid.uuid4()), out.getvalue())


def _change_type(change: Change) -> str | None:
    deleted = change.after.get("IsDeleted", False)
    if change.before is None:
        return None if deleted else "CREATE"
    return "DELETE" if deleted else "UPDATE"


def _body(form: EventSchema, change: Change, kind: str) -> tuple[dict[str, Any], list[str], list[str]]:
    """Gives the fields an event carries, the names that changed and those that became null."""
    if kind == "DELETE":
        return {}, [], []
    before, after = change.before, change.after
    if before is None:
        return {f.name: _avro_value(f, after.get(f.name)) for f in form.fields}, [], []
    changed = [f for f in form.fields if before.get(f.name) != after.get(f.name)]
    names = [f.name for f in changed]
    # The stamp has whole seconds: two saves within one second both report it.
    if "LastModifiedDate" not in names:
        names.append("LastModifiedDate")
        changed.append(form.fields[[f.name for f in form.fields].index("LastModifiedDate")])
    nulled = [name for name in names if after.get(name) is None]
    return {f.name: _avro_value(f, after.get(f.name)) for f in changed}, names, nulled


def _avro_value(field: Field, value: Any) -> Any:
    if value is None:
        return None
    if field.kind == "datetime":
        return epoch_ms(parse_time(value))
    if field.kind == "date":
        day = date.fromisoformat(value)
        return epoch_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return value


class ReplayIdInvalid(Exception):
    """The replay id was never issued, or its event is past retention."""


class EventLog:
    """The events of the last 72 hours in commit order. Only durable events get in."""

    def __init__(self, events: list[StoredEvent], floor: int | None, clock: Clock) -> None:
        self._events = events
        self._ids = [event.replay_id for event in events]
        self._clock = clock
        self._subscribers: set[asyncio.Event] = set()
        # The newest replay id that is no longer held: resuming from it misses nothing.
        self.floor = _FIRST_REPLAY_ID if floor is None else floor

    @property
    def latest(self) -> int:
        return self._ids[-1] if self._ids else self.floor

    def append(self, events: list[StoredEvent]) -> None:
        self._events.extend(events)
        self._ids.extend(event.replay_id for event in events)
        for wake in self._subscribers:
            wake.set()

    def expire(self) -> bool:
        """Forgets what is past retention; tells whether anything was."""
        horizon = epoch_ms(self._clock.now() - RETENTION)
        count = 0
        while count < len(self._events) and self._events[count].committed_ms < horizon:
            count += 1
        if count == 0:
            return False
        self.floor = self._ids[count - 1]
        del self._events[:count]
        del self._ids[:count]
        return True

    def resume_at(self, replay_id: bytes) -> int:
        """Checks a subscriber's cursor. Raises ReplayIdInvalid."""
        number = int.from_bytes(replay_id, "big") if len(replay_id) == 8 else -1
        at = bisect_right(self._ids, number)
        if number != self.floor and (at == 0 or self._ids[at - 1] != number):
            raise ReplayIdInvalid(replay_id.hex())
        return number

    def after(self, cursor: int, limit: int, entities: frozenset[str]) -> list[StoredEvent]:
        """Up to `limit` events of the entities, beyond the cursor."""
        found: list[StoredEvent] = []
        for at in range(bisect_right(self._ids, cursor), len(self._events)):
            if len(found) == limit:
                break
            if self._events[at].entity in entities:
                found.append(self._events[at])
        return found

    @contextmanager
    def subscriber(self) -> Iterator[asyncio.Event]:
        """Gives an event that is set whenever the log grows."""
        wake = asyncio.Event()
        self._subscribers.add(wake)
        try:
            yield wake
        finally:
            self._subscribers.discard(wake)
