"""Each tenant's share of a service: one that asks without pause leaves connections for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kit.http.problems import TooManyRequestsProblem

_MOST_WAITING = 200


@dataclass
class _Share:
    free: asyncio.Semaphore
    users: int = 0


class Shares:
    """Lets the requests of one tenant hold `most` connections at once. Further ones wait their turn, and beyond
    `waiting` of them TooManyRequestsProblem asks to come back later."""

    def __init__(self, most: int, waiting: int = _MOST_WAITING) -> None:
        self._most = max(1, most)
        self._waiting = waiting
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[None]:
        """A place in the tenant's share for the block."""
        share = self._shares.setdefault(tenant_id, _Share(asyncio.Semaphore(self._most)))
        if share.users >= self._most + self._waiting:
            detail = f"{share.users} requests of this tenant are at work or wait already. Try again in a second."
            raise TooManyRequestsProblem(detail, headers={"Retry-After": "1"})
        share.users += 1
        try:
            async with share.free:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[tenant_id]
