"""Follows the CRM's users: reads all of them once, then those that were touched: at every sign of a change, at each
import, and once a minute besides. What differs from what is known is published."""

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from kit.database.unit_of_work import Database
from kit.ids import utc_now

from crm_connector.crm import Crm, CrmFault, CrmRefused
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.service.people import publish_people
from crm_connector.signals import Signals
from crm_connector.telemetry import LOOP_FAILURES
from crm_connector.waiting import Ahead, first_of

log = logging.getLogger(__name__)

_EVERY_SECONDS = 60.0
_PAUSE_SECONDS = 30.0
# Clocks differ, and a change is dated before it is committed.
_OVERLAP = timedelta(seconds=600)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def follow_people(
    database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float, stop: asyncio.Event
) -> None:
    """Do so until the service stops, under the tenant's leadership: of two readings the later one counts."""
    following = Following(database, tenant_id, crm, signals)
    while not stop.is_set():
        pause = _PAUSE_SECONDS
        try:
            if await is_our_org(database, tenant_id, crm):
                await following.follow(stop)
            pause = poll_seconds
        except CrmFault as fault:
            log.warning("the CRM's users cannot be followed now: %s", fault)
        except Exception:
            log.exception("following the CRM's users failed")
            LOOP_FAILURES.labels("people").inc()
        await first_of(stop, seconds=pause)


async def is_our_org(database: Database, tenant_id: str, crm: Crm) -> bool:
    """Whether the receiver has found the organisation to be the one that was imported."""
    async with database.unit_of_work(tenant_id) as uow:
        known = await ConnectionRepository(uow.session, tenant_id).get()
    return known.adapter == crm.name and known.org_id == await crm.connect()


class Following:
    """The users of one tenant's CRM."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals

    async def follow(self, stop: asyncio.Event) -> None:
        """Read at every sign of a change; where the CRM gives no signs, once a minute."""
        async with aclosing(Ahead(self._crm.people_touched())) as signs:
            while not stop.is_set():
                self._signals.people.clear()
                await self.read()
                try:
                    await signs.next(stop, self._signals.people, seconds=_EVERY_SECONDS)
                except CrmRefused as refused:
                    log.warning("the CRM shows no changes of its users, so they are read once a minute: %s", refused)
                    await first_of(stop, self._signals.people, seconds=_EVERY_SECONDS)
                    return

    async def read(self) -> None:
        """Read who was touched since the last reading began; all, the first time. It goes on after the last page that
        was taken over, whatever interrupted it."""
        async with self._database.unit_of_work(self._tenant_id) as uow:
            known = await ConnectionRepository(uow.session, self._tenant_id).get()
        began = known.people_began_at or utc_now()
        read_at = utc_now()
        async for page in self._crm.people(after=known.people_after, since=known.people_since):
            async with self._database.unit_of_work(self._tenant_id) as uow:
                # The stream has no version of its own to count, so it counts by reading.
                await publish_people(uow, page, (read_at - _EPOCH) // timedelta(microseconds=1))
                place = {"people_after": page[-1].person_id, "people_began_at": began}
                await ConnectionRepository(uow.session, self._tenant_id).note(utc_now(), **place)
            read_at = utc_now()
        done = {"people_since": began - _OVERLAP, "people_after": "", "people_began_at": None, "people_at": utc_now()}
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await ConnectionRepository(uow.session, self._tenant_id).note(utc_now(), **done)
