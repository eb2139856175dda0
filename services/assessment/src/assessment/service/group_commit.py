"""Group commit: captures that arrive while a transaction of their tenant is under way share the next one.

A lone capture gets a transaction at once, and no rest follows it: a client that sends one after the other never waits.
Where captures come together, a short rest follows each group (see kit.delivery.pace), and what comes in it shares the
next one: under load groups grow, and the round trips and the disk's sync of a transaction are paid once for all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kit.database.faults import is_transient
from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery.pace import REQUESTS

from assessment.service.capture import Outcome, take_captures
from assessment.service.judging import HandedIn

GROUP = 100
Waiting = list[tuple[HandedIn, "asyncio.Future[Outcome]"]]


class GroupCommit:
    """Takes captures in groups, each group in a transaction of its own. A capture that is refused fails no other. Where
    a group fails all the same, each capture of it is tried alone, so that only the one at fault gets the error."""

    def __init__(
        self, take: Callable[[UnitOfWork, Sequence[HandedIn]], Awaitable[list[Outcome]]] = take_captures
    ) -> None:
        self._take = take
        self._waiting: dict[str, Waiting] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def take(self, database: Database, tenant_id: str, handed_in: HandedIn) -> Outcome:
        """The capture's outcome, once it is committed. Raises the error of its transaction."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant_id, []).append((handed_in, outcome))
        if tenant_id not in self._at_work:
            self._at_work[tenant_id] = asyncio.create_task(self._work(database, tenant_id))
        return await outcome

    async def _work(self, database: Database, tenant_id: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            while waiting := self._waiting.pop(tenant_id, None):
                if len(waiting) > GROUP:
                    self._waiting[tenant_id] = waiting[GROUP:]
                began = loop.time()
                await self._together(database, tenant_id, waiting[:GROUP])
                if 1 < len(waiting) < GROUP:
                    await asyncio.sleep(REQUESTS.rest_after(loop.time() - began))
        finally:
            del self._at_work[tenant_id]

    async def _together(self, database: Database, tenant_id: str, group: Waiting) -> None:
        try:
            async with database.unit_of_work(tenant_id) as uow:
                outcomes = await self._take(uow, [handed_in for handed_in, _ in group])
        except Exception as error:
            if len(group) > 1 and not is_transient(error):
                for each in group:
                    await self._together(database, tenant_id, [each])
                return
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), outcome in zip(group, outcomes, strict=True):
                # The request may have been cancelled meanwhile.
                if not future.done():
                    future.set_result(outcome)
