"""Handles again, without a person, the dead letters that are due."""

import asyncio
import logging
from uuid import UUID

from kit.aside.replay import due_dead_letters, failed_again, retry_next, take_dead_letter
from kit.database.unit_of_work import Database
from kit.delivery.batch import Batches, as_invalid, is_permanent, passes_by_itself
from kit.delivery.pace import pause

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1
_AT_ONCE = 100


class Retries:
    """Takes those whose fault may have passed, and those that nothing holds any longer. What waits behind one follows
    it at once."""

    def __init__(self, database: Database, batches: Batches) -> None:
        self._database = database
        self._batches = batches

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second until `stop`."""
        while not stop.is_set():
            try:
                due = await due_dead_letters(self._database, _AT_ONCE)
            except Exception as error:
                log.warning("dead letters were not looked up: %s", error)
                due = []
            for tenant_id, dead_letter_id in due:
                try:
                    await self._handle(tenant_id, dead_letter_id, stop)
                except Exception as error:
                    log.warning("dead letter %s was not handled again: %s", dead_letter_id, error)
            await pause(stop, _LOOK_SECONDS)

    async def _handle(self, tenant_id: str, dead_letter_id: UUID, stop: asyncio.Event) -> None:
        following: UUID | None = dead_letter_id
        while following is not None and not stop.is_set():
            following = await self._handled(tenant_id, following)

    async def _handled(self, tenant_id: str, dead_letter_id: UUID) -> UUID | None:
        """The letter that is to follow."""
        try:
            async with self._database.unit_of_work(tenant_id) as uow:
                taken = await take_dead_letter(uow.session, dead_letter_id)
                if taken is None:
                    return None
                await self._batches.replay(uow, taken.record, taken.partition, taken.offset, claimed=not taken.holds)
                return await retry_next(uow.session, taken.record.topic, taken.record.key) if taken.holds else None
        except Exception as error:
            if passes_by_itself(error):
                raise
            log.warning("dead letter %s failed again: %s", dead_letter_id, error)
            permanent = is_permanent(error)
            async with self._database.unit_of_work(tenant_id) as uow:
                await failed_again(uow.session, dead_letter_id, as_invalid(error), permanent=permanent)
            return None
