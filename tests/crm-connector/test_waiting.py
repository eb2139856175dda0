"""Waiting for one of several things."""

import asyncio

import pytest
from crm_connector.waiting import Ahead


async def test_a_stream_that_takes_long_to_close_does_not_take_our_cancellation_for_its_own():
    closing, release = asyncio.Event(), asyncio.Event()

    async def slow_to_close():
        try:
            await asyncio.Event().wait()
            yield 1
        except asyncio.CancelledError:
            closing.set()
            await release.wait()
            raise

    ahead = Ahead(slow_to_close())
    assert await ahead.next(seconds=0.01) is None
    task = asyncio.create_task(ahead.aclose())
    await asyncio.wait_for(closing.wait(), 60)
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
