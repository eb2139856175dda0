"""Time-ordered identifiers and the clock they come from."""

import os
import threading
import time
from datetime import UTC, datetime
from uuid import UUID

_lock = threading.Lock()
_last_ms = 0
_counter = 0


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
    return UUID(int=milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random)


def utc_now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)
