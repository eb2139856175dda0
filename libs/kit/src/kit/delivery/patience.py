"""Waiting for a client that may not let itself be cancelled."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)
# Work that was left alone: only what is referred to goes on.
_left_alone: set[asyncio.Task[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, TimeoutError when it takes longer. It is cancelled then and not waited for: Kafka's
    client may swallow the cancellation while its broker says nothing, and a caller would wait for ever."""
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _leave_alone(task)
        raise
    if not done:
        _leave_alone(task)
        raise TimeoutError(f"{work.__qualname__} did not end within {seconds:g} s")
    if task.cancelled():
        # Its own doing: as our own cancellation it would end the loop that called.
        raise TimeoutError(f"{work.__qualname__} was given up by the client itself")
    return task.result()


def _leave_alone(task: asyncio.Task[Any]) -> None:
    task.cancel()
    _left_alone.add(task)
    task.add_done_callback(_ended)


def _ended(task: asyncio.Task[Any]) -> None:
    _left_alone.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.info("a call that was left alone failed in the end: %r", task.exception())
