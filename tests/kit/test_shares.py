"""One tenant's requests leave room for those of the others."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from kit.fairness.shares import Shares
from kit.http.problems import TooManyRequestsProblem


async def test_a_tenant_that_fills_its_share_holds_up_itself_only():
    shares, order = Shares(2), []

    async def request(tenant, number):
        async with shares.of(tenant):
            order.append((tenant, number))

    async with AsyncExitStack() as held:
        await held.enter_async_context(shares.of("busy"))
        await held.enter_async_context(shares.of("busy"))
        waiting = [asyncio.create_task(request("busy", number)) for number in range(3)]
        await asyncio.sleep(0)
        await request("quiet", 0)
        assert order == [("quiet", 0)]
    await asyncio.gather(*waiting)
    assert order[1:] == [("busy", number) for number in range(3)]


async def test_beyond_the_queue_a_tenant_is_asked_to_come_back():
    shares = Shares(1, waiting=1)
    async with shares.of("busy"):
        waiting = asyncio.create_task(anext(aiter_of(shares)))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequestsProblem) as refused:
            async with shares.of("busy"):
                pass
        assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
        async with shares.of("quiet"):
            pass
    assert await waiting


async def test_a_request_that_fails_or_is_given_up_gives_its_place_back():
    shares = Shares(1)
    with pytest.raises(ZeroDivisionError):
        async with shares.of("a"):
            raise ZeroDivisionError
    async with shares.of("a"):
        waiting = asyncio.create_task(anext(aiter_of(shares, "a")))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with shares.of("a"):
        pass
    assert not shares._shares


async def aiter_of(shares, tenant="busy"):
    async with shares.of(tenant):
        yield True
