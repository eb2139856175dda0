"""Waiting for one of several things."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


async def first_of(*events: asyncio.Event, seconds: float) -> None:
    """Return when one of the events is set, or after that time."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Ahead(Generic[T]):
    """Reads one item ahead, so that a stream is open while something else is done first."""

    def __init__(self, stream: AsyncIterator[T]) -> None:
        self._stream = stream
        self._next = self._advance()

    def _advance(self) -> asyncio.Task[T]:
        async def advance() -> T:
            return await anext(self._stream)

        return asyncio.create_task(advance())

    async def next(self, *events: asyncio.Event, seconds: float) -> T | None:
        """The next item; None when an event was set or the time was over before."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait([self._next, *waits], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self._next.done():
            return None
        item = self._next.result()
        self._next = self._advance()
        return item

    async def aclose(self) -> None:
        """Close the stream."""
        self._next.cancel()
        # Unlike awaiting it, this cannot take a cancellation of ours for its.
        await asyncio.wait([self._next])
        if not self._next.cancelled():
            self._next.exception()
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()
