"""Work on a page that gets by what fails by itself: it holds up none of the others."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery.batch import passes_by_itself

log = logging.getLogger(__name__)

T = TypeVar("T")
Attempt = Callable[[UnitOfWork], Awaitable[T]]


async def narrowing(database: Database, tenant_id: str, work: str, *attempts: Attempt[T]) -> T:
    """What the first of the attempts gives that succeeds, each in a transaction of its own: all of the work, then one
    item of it, then what sets that item aside. A passing fault is raised at once, for all of it to be done later; so is
    what the last attempt fails with."""
    for attempt in attempts[:-1]:
        try:
            async with database.unit_of_work(tenant_id) as uow:
                return await attempt(uow)
        except Exception as error:
            if passes_by_itself(error):
                raise
            log.exception("%s of %s fails, and is narrowed down", work, tenant_id)
    async with database.unit_of_work(tenant_id) as uow:
        return await attempts[-1](uow)
