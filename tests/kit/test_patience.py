"""Clients that do not end when they are told to."""

import asyncio

import pytest
from kit.delivery.patience import within


async def stubborn(ends: asyncio.Event) -> None:
    while not ends.is_set():
        try:
            await ends.wait()
        except asyncio.CancelledError:
            continue


async def test_work_that_ends_gives_its_result_or_its_error():
    assert await within(5, asyncio.sleep(0, "result")) == "result"

    async def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await within(5, fails())


async def test_work_that_ends_as_cancelled_does_not_cancel_its_caller():
    async def gives_up():
        raise asyncio.CancelledError

    with pytest.raises(TimeoutError):
        await within(5, gives_up())


async def test_work_that_swallows_its_cancellation_is_left_alone():
    ends = asyncio.Event()
    with pytest.raises(TimeoutError):
        await within(0.01, stubborn(ends))
    waiting = asyncio.create_task(within(60, stubborn(ends)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    ends.set()
    await asyncio.sleep(0)
