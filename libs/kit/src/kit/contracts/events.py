"""Events on the wire: protobuf values in the CloudEvents 1.0 Kafka binding, binary mode.

Which messages are events, their topic and the aggregate that orders them are message options in proto/; the
registry here only reads them.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar, cast
from uuid import UUID

import stagecraft
from google.protobuf.message import DecodeError, Message
from stagecraft.common.v1 import event_pb2

from kit.errors import EventTooLarge, InvalidEvent
from kit.ids import utc_now, uuid7, uuid_of

M = TypeVar("M", bound=Message)
CONTENT_TYPE = "application/protobuf"
# What a topic takes as one record, as `max_message_bytes` of deploy/kafka/topics.yaml says; and what a message may have
# where its contract says nothing else. The difference is for headers, those of a dead letter included.
MAX_RECORD_BYTES = 4 * 1024 * 1024
MAX_EVENT_BYTES = 3 * 1024 * 1024
# A partner reads a topic of its own, whose name begins so.
PARTNER_TOPICS = "stagecraft.partner."
# What is kept of no tenant: events whose own cannot be read, the probe's row. No tenant may have this name.
NO_TENANT = "-"
MOST_TENANT = 90
MOST_AGGREGATE = 200


@dataclass(frozen=True)
class EventType:
    """One kind of event: its protobuf class, its topic, the field that holds the aggregate's id, and its greatest
    size."""

    message: type[Message]
    topic: str
    aggregate_field: str
    max_bytes: int

    @property
    def name(self) -> str:
        """The `ce_type`."""
        return self.message.DESCRIPTOR.full_name


@lru_cache(1)
def registry() -> Mapping[str, EventType]:
    """Every event of proto/, by `ce_type`."""
    found: dict[str, EventType] = {}
    for module in pkgutil.walk_packages(stagecraft.__path__, "stagecraft."):
        if not module.name.endswith("_pb2"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if not (isinstance(value, type) and issubclass(value, Message)):
                continue
            options, extension = value.DESCRIPTOR.GetOptions(), cast(Any, event_pb2.event)
            if options.HasExtension(extension):
                option = options.Extensions[extension]
                kind = EventType(value, option.topic, option.aggregate_field, option.max_bytes or MAX_EVENT_BYTES)
                found[kind.name] = kind
    return found


@lru_cache(1)
def _by_class() -> Mapping[type[Message], EventType]:
    return {kind.message: kind for kind in registry().values()}


def event_type(message: type[Message]) -> EventType:
    """The registry entry of a message class; KeyError when it is no event."""
    return _by_class()[message]


def check_size(message: Message, size: int | None = None) -> None:
    """EventTooLarge unless the message, of this serialised size, fits where it is going."""
    kind = event_type(type(message))
    size = message.ByteSize() if size is None else size
    if size > kind.max_bytes:
        raise EventTooLarge(kind.message.DESCRIPTOR.name, size, kind.max_bytes)


@dataclass(frozen=True)
class Event:
    """An event on its way out. `sequence` is the aggregate's version that this event made."""

    tenant_id: str
    message: Message
    sequence: int
    traceparent: str = ""
    topic: str = ""
    id: UUID = field(default_factory=uuid7)
    time: datetime = field(default_factory=utc_now)

    def record(self, source: str, prefix: str = "") -> "Record":
        """The Kafka record that carries it. EventTooLarge when its topic has no room for it."""
        kind = event_type(type(self.message))
        aggregate_id = str(getattr(self.message, kind.aggregate_field))
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(self.id),
            "ce_source": f"/stagecraft/{source}",
            "ce_type": kind.name,
            "ce_time": f"{self.time.astimezone(UTC).isoformat()[:-6]}Z",
            "ce_subject": aggregate_id,
            "ce_sequence": str(self.sequence),
            "ce_tenantid": self.tenant_id,
            "content-type": CONTENT_TYPE,
        }
        if self.traceparent:
            headers["ce_traceparent"] = self.traceparent
        key = f"{self.tenant_id}:{aggregate_id}"
        value = self.message.SerializeToString(deterministic=True)
        check_size(self.message, len(value))
        return Record(prefix + (self.topic or kind.topic), key, value, headers)

    def row(self, source: str, prefix: str) -> dict[str, Any]:
        """The row of the outbox that carries it."""
        return {"event_id": self.id, **self.record(source, prefix)._asdict()}


class Record(NamedTuple):
    """What Kafka stores: topic, key, value bytes and text headers."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str]


class Received(NamedTuple, Generic[M]):
    """A decoded event and where it came from."""

    id: UUID
    tenant_id: str
    message: M
    sequence: int
    time: datetime
    traceparent: str
    record: Record
    partition: int
    offset: int


def headers_of(pairs: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    """Kafka headers as text; bytes that are no UTF-8 are kept readable, never fatal."""
    return {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in pairs}


def decode(record: Record, partition: int, offset: int) -> "Received[Message]":
    """Read a record. InvalidEvent with code `missing_header`, `bad_header`, `unknown_type`, `bad_payload`, `bad_text`,
    `key_mismatch` or `id_too_long`. Fields this version does not know are kept and ignored, as protobuf does."""
    headers = record.headers
    for name in ("ce_id", "ce_type", "ce_time", "ce_sequence", "ce_tenantid"):
        if not headers.get(name):
            raise InvalidEvent("missing_header", f"{name} is absent or empty")
    kind = registry().get(headers["ce_type"])
    if kind is None:
        raise InvalidEvent("unknown_type", f"no contract is named {headers['ce_type'][:100]!r}")
    try:
        event_id, sequence = uuid_of(headers["ce_id"]), int(headers["ce_sequence"])
        time = datetime.fromisoformat(headers["ce_time"])
        if time.tzinfo is None or not 0 <= sequence < 2**63:
            raise ValueError("ce_time needs a time zone and ce_sequence 63 bits")
    except ValueError as error:
        raise InvalidEvent("bad_header", str(error)) from error
    try:
        message = kind.message.FromString(record.value)
    except DecodeError as error:
        raise InvalidEvent("bad_payload", f"not a {kind.name}: {error}") from error
    # Most messages hold no zero byte at all, and then no text with one.
    if b"\x00" in record.value and _holds_nul(message):
        raise InvalidEvent("bad_text", "text must not contain U+0000")
    aggregate_id = getattr(message, kind.aggregate_field)
    # They become parts of keys.
    if len(headers["ce_tenantid"]) > MOST_TENANT or len(aggregate_id) > MOST_AGGREGATE:
        limits = f"{MOST_TENANT} characters of a tenant and {MOST_AGGREGATE} of an aggregate"
        raise InvalidEvent("id_too_long", f"an id is longer than {limits}")
    if not aggregate_id or record.key != f"{headers['ce_tenantid']}:{aggregate_id}":
        raise InvalidEvent("key_mismatch", "the key is not tenant and aggregate of the event")
    return Received(
        event_id, headers["ce_tenantid"], message, sequence, time, headers.get("ce_traceparent", ""),
        record, partition, offset,
    )  # fmt: skip


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Message):
        return any(_holds_nul(held) for _, held in value.ListFields())
    return not isinstance(value, bytes | int | float) and any(_holds_nul(held) for held in value)
