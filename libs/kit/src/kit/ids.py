"""Time-ordered identifiers and the clock they come from."""

import hashlib
import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

# A UUID like any other, equal to it, but made, written and hashed several times as fast.
from asyncpg.pgproto.pgproto import UUID as DriversUUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def uuid_of(text: str) -> UUID:
    """The id that is written so, in hexadecimal digits; ValueError for anything else."""
    return DriversUUID(text)


def _of_number(number: int) -> UUID:
    return DriversUUID(number.to_bytes(16))


def uuid7() -> UUID:
    """A UUIDv7 (RFC 9562, method 1) that is greater than every earlier one of this process.

    The 12 bits after the timestamp count within one millisecond, so ids made in one burst still sort in the
    order of their making; when the clock steps back, or the counter overflows, the timestamp runs ahead.
    """
    global _last_ms, _counter  # noqa: PLW0603 - one monotonic sequence per process
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms, _counter = now_ms, int.from_bytes(os.urandom(2)) & 0x3FF
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms, _counter = _last_ms + 1, 0
        milliseconds, counter = _last_ms, _counter
    random = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return _of_number(milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random)


def microseconds(moment: datetime) -> int:
    """A moment as a number that grows: the sequence of what is counted by its time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def derived(origin: UUID, name: str) -> UUID:
    """The id of what follows from `origin` under this name, the same whenever it is made: a UUIDv8 (RFC 9562) with the
    origin's first 48 bits and, of its own, 74 bits of a hash of both.

    Those first bits are the time of a UUIDv7. Ids that follow from recent ones are then neighbours in an index, where
    those of a plain hash would each dirty another page.
    """
    digest = int.from_bytes(hashlib.blake2b(name.encode(), key=origin.bytes, digest_size=10).digest())
    high, low = digest >> 62 & 0xFFF, digest & ((1 << 62) - 1)
    return _of_number(origin.int >> 80 << 80 | 0x8 << 76 | high << 64 | 0b10 << 62 | low)


def utc_now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)


def fingerprint(document: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no blanks, UTF-8): equal content, equal fingerprint."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def identity_digest(tenant_id: str, value: str) -> str:
    """SHA-256 of a name of a person, such as an e-mail address, so that services can match it without knowing it.
    Letters of either case count as the same, and another tenant's digest of the same name differs."""
    return hashlib.sha256(f"{tenant_id}\n{value.lower()}".encode()).hexdigest()
