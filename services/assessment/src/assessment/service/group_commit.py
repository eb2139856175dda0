"""Group commit: what arrives while a transaction of its tenant is under way shares the next one.

A lone item gets a transaction at once, and no rest follows it: a client that sends one after the other never waits.
Where items come together, a short rest follows each group (see kit.delivery.pace), and what comes in it shares the next
one: under load groups grow, and the round trips and the disk's sync of a transaction are paid once for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from kit.database.faults import is_transient
from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery.pace import REQUESTS

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

GROUP = 100


class GroupCommit(Generic[Item, Outcome]):
    """Acts on items in groups, each group in a transaction of its own. `act` returns an outcome for each item, in
    their order, and must not let one item's badness fail the others; where it fails all the same, each item of the
    group is tried alone, so that only the guilty one gets the error."""

    def __init__(
        self, database: Database, act: Callable[[UnitOfWork, Sequence[Item]], Awaitable[list[Outcome]]]
    ) -> None:
        self._database = database
        self._act = act
        self._waiting: dict[str, list[tuple[Item, asyncio.Future[Outcome]]]] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, tenant_id: str, item: Item) -> Outcome:
        """The item's outcome, once it is committed; whatever error the transaction raised."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, []).append((item, outcome))
        if tenant_id not in self._at_work:
            self._at_work[tenant_id] = asyncio.create_task(self._work(tenant_id))
        return await outcome

    async def _work(self, tenant_id: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            while waiting := self._waiting.pop(tenant_id, None):
                if len(waiting) > GROUP:
                    self._waiting[tenant_id] = waiting[GROUP:]
                began = loop.time()
                await self._together(tenant_id, waiting[:GROUP])
                if 1 < len(waiting) < GROUP:
                    await asyncio.sleep(REQUESTS.rest_after(loop.time() - began))
        finally:
            del self._at_work[tenant_id]

    async def _together(self, tenant_id: str, group: Sequence[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        try:
            async with self._database.unit_of_work(tenant_id) as uow:
                outcomes = await self._act(uow, [item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and not is_transient(error):
                for each in group:
                    await self._together(tenant_id, [each])
                return
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), outcome in zip(group, outcomes, strict=True):
                # Whoever asked may have gone away meanwhile.
                if not future.done():
                    future.set_result(outcome)


class Groups:
    """The groups of an application, one for each function that acts on items."""

    def __init__(self) -> None:
        self._groups: dict[Any, GroupCommit[Any, Any]] = {}

    def of(
        self, database: Database, act: Callable[[UnitOfWork, Sequence[Item]], Awaitable[list[Outcome]]]
    ) -> GroupCommit[Item, Outcome]:
        """The one of this function."""
        if act not in self._groups:
            self._groups[act] = GroupCommit(database, act)
        return self._groups[act]
