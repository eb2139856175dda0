"""Reads the stages of opportunities again after a mapping changed: a page and a transaction at a time, so that nothing
else waits, and from where it was left after a restart."""

import asyncio

from kit.database.unit_of_work import Database

from crm_connector.service.mapping import remap_page
from crm_connector.signals import Signals
from crm_connector.waiting import first_of


async def keep_mapped(
    database: Database, tenant_id: str, signals: Signals, poll_seconds: float, stop: asyncio.Event
) -> None:
    """Do so until the service stops."""
    while not stop.is_set():
        signals.mapping.clear()
        async with database.unit_of_work(tenant_id) as uow:
            found = await remap_page(uow)
        if not found:
            await first_of(stop, signals.mapping, seconds=poll_seconds)
