"""Makes the parts of a service take their turns in another order than they mostly do: `pytest --disorder 7`.

Events of several topics have no order among each other, and what works in the background is as fast as the machine lets
it be. A test that counts on such an order passes for months and then fails. With disorder it fails soon: consumers take
only some of the topics that have records, and they, the relay and transactions wait now and then, at random.
"""

import asyncio
import functools
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery.batch import Batches
from kit.relay.outbox import Relay

# How often each waits, and how many seconds at most.
_BATCH, _ROUND, _TRANSACTION = (0.3, 1.2), (0.3, 1.0), (0.08, 0.6)
# How often a consumer leaves what it fetched of some topics for later.
_SPLIT = 0.4


def disorder(seed: int) -> None:
    """Disturb every service that this process starts from now on. Each process draws numbers of its own."""
    chance = random.Random(f"{seed}/{os.environ.get('PYTEST_XDIST_WORKER', '')}")

    async def wait(how_often: float, most: float) -> None:
        if chance.random() < how_often:
            await asyncio.sleep(chance.uniform(0, most))

    apply, turn, unit_of_work = Batches.apply, Relay.round, Database.unit_of_work

    @functools.wraps(apply)
    async def apply_some(self: Batches, records: Sequence[Any]) -> list[Any]:
        await wait(*_BATCH)
        topics = sorted({each.topic for each in records})
        later: set[str] = set()
        if len(topics) > 1 and chance.random() < _SPLIT:
            later = set(chance.sample(topics, chance.randrange(1, len(topics))))
        undone = await apply(self, [each for each in records if each.topic not in later])
        return [*undone, *(each for each in records if each.topic in later)]

    @functools.wraps(turn)
    async def turn_later(self: Relay) -> int:
        await wait(*_ROUND)
        return await turn(self)

    @functools.wraps(unit_of_work)
    @asynccontextmanager
    async def begin_later(self: Database, tenant_id: str) -> AsyncIterator[UnitOfWork]:
        await wait(*_TRANSACTION)
        async with unit_of_work(self, tenant_id) as uow:
            yield uow

    Batches.apply, Relay.round, Database.unit_of_work = apply_some, turn_later, begin_later
