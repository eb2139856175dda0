"""Waiting until nothing is on its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tools.chaos.evidence import Outside

POLL_SECONDS = 1.0
PROGRESS_SECONDS = 10.0
# What has not moved for so long will not arrive.
QUIET_SECONDS = 90.0


async def settled(outside: Outside, say: Callable[[str], None], aside: frozenset[str] = frozenset()) -> dict[str, int]:
    """What is still on its way after a long quiet; empty once nothing is."""
    seen: dict[str, int] = {}
    changed = reported = time.monotonic()
    while True:
        left = await outside.unsettled(aside)
        now = time.monotonic()
        if left != seen:
            seen, changed = left, now
        if not left or now - changed > QUIET_SECONDS:
            return left
        if now - reported > PROGRESS_SECONDS:
            reported = now
            say(f"  on its way: {left}")
        await asyncio.sleep(POLL_SECONDS)
