"""Events that could not be handled: kept in the database with their origin, announced on `<topic>.dlq.<group>`, and
counted until a person replays them, once the cause is removed, or dismisses them.

A dead letter holds its key: what comes later under the same key of the topic is set aside behind it, so that an
opportunity's events are handled in their order or not at all. The rest goes on.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from kit.contracts.events import MAX_EVENT_BYTES, NO_TENANT, Received, Record
from kit.database import bulk, tables
from kit.database.unit_of_work import UnitOfWork
from kit.errors import InvalidEvent
from kit.ids import utc_now
from kit.observability.telemetry import DEAD_LETTERS

BEHIND = InvalidEvent("behind_a_dead_letter", "An earlier event of its key waits as a dead letter.")
# How long to wait before each further attempt at an event whose fault is not known to be permanent.
RETRY_AFTER = tuple(timedelta(seconds=each) for each in (1, 5, 25))

# What is kept of a text that becomes part of a key, and of one that does not; in characters.
_MOST_IN_KEY = 300
_MOST_IN_HEADER = 2000
_MOST_HEADERS = 100
_NAMESPACE = UUID("5b0f5e55-3d53-4d0a-9c39-8f1f5b0c6a52")
_AGAIN = """(tenant_id, dead_letter_id) DO UPDATE SET
    code = excluded.code, detail = excluded.detail, holds = excluded.holds, retry_at = excluded.retry_at,
    at = now(), replayed_at = NULL, dismissed_at = NULL
    WHERE dead_letter.replayed_at IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is set aside: where it came from, why, and whether its key waits behind it."""

    record: Record
    partition: int
    offset: int
    reason: InvalidEvent
    retried: bool = False
    holds: bool = True

    @property
    def tenant_id(self) -> str:
        """The tenant under which it is kept."""
        return tenant_of(self.record)

    @property
    def place(self) -> tuple[str, str]:
        """Topic and key, within which order is kept."""
        return self.record.topic, bounded(self.record.key)


@dataclass(frozen=True, slots=True)
class _Row:
    dead_letter_id: UUID
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str]
    code: str
    detail: str
    attempts: int
    holds: bool
    retry_at: datetime | None


def bounded(given: str) -> str:
    """The text as it can be stored and indexed: the end of a long one is replaced by its hash."""
    storable = given.replace("\x00", "�")
    if len(storable) <= _MOST_IN_KEY:
        return storable
    digest = hashlib.blake2b(storable.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{storable[: _MOST_IN_KEY - 40]}~{digest}"


def tenant_of(record: Record) -> str:
    """The tenant that a record names, as far as it can be stored."""
    return bounded(record.headers.get("ce_tenantid") or NO_TENANT)


async def set_aside(uow: UnitOfWork, refused: Sequence[Refused]) -> None:
    """Keep these of the tenant's records in this order, and announce them, with the transaction. The same offset again
    changes nothing, unless it was replayed meanwhile."""
    if not refused:
        return
    letters = {row.dead_letter_id: row for row in (_row(uow.source, each) for each in refused)}
    table, found = tables.dead_letter, list(letters.values())
    new = await bulk.insert(uow.session, table, uow.tenant_id, found, conflict=_AGAIN, returning="dead_letter_id")
    fresh = [letters[each] for each in new]
    await bulk.insert(uow.session, tables.outbox, uow.tenant_id, [_announced(uow.source, row) for row in fresh])
    uow.published += len(fresh)

    def count() -> None:
        for row in fresh:
            DEAD_LETTERS.labels(uow.source, row.topic, row.code).inc()

    uow.after_commit(count)


async def reject(uow: UnitOfWork, events: Sequence[Received[Any]], code: str, detail: str) -> None:
    """Record that a rule of the business refuses these events, which are handled by that: later ones of their keys do
    not wait for them. A person who thinks otherwise replays them."""
    reason = InvalidEvent(code, detail)
    await set_aside(uow, [Refused(e.record, e.partition, e.offset, reason, holds=False) for e in events])


def _row(group: str, refused: Refused) -> _Row:
    record = refused.record
    headers = list(record.headers.items())[:_MOST_HEADERS]
    return _Row(
        dead_letter_id=uuid5(_NAMESPACE, f"{group}/{record.topic}/{refused.partition}/{refused.offset}"),
        topic=record.topic,
        partition=refused.partition,
        offset=refused.offset,
        key=bounded(record.key),
        value=record.value,
        headers={bounded(name): cut(value, _MOST_IN_HEADER) for name, value in headers},
        code=refused.reason.code,
        detail=cut(refused.reason.detail),
        attempts=1,
        holds=refused.holds,
        retry_at=utc_now() + RETRY_AFTER[0] if refused.retried else None,
    )


def _announced(group: str, row: _Row) -> dict[str, Any]:
    """The row of the outbox. A value larger than any event may be stays here: it would not fit with its origin."""
    names = ("topic", "partition", "offset", "code", "detail", "attempts")
    origin = {f"dlq-{name}": str(getattr(row, name)) for name in names}
    return {
        "event_id": row.dead_letter_id,
        "topic": f"{row.topic}.dlq.{group}",
        "key": row.key,
        "value": row.value if len(row.value) <= MAX_EVENT_BYTES else b"",
        "headers": {**row.headers, **origin, "dlq-group": group},
    }


def cut(given: str, most: int = 500) -> str:
    """The beginning of a text, as it can be stored."""
    return given[:most].replace("\x00", "�")
