"""Finds by reading what the stream of changes did not show: what was touched while it was silent, and what is gone."""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

from kit.database.unit_of_work import Database, UnitOfWork
from kit.ids import utc_now, uuid7

from crm_connector.crm import Crm
from crm_connector.domain.observation import ObservationKind
from crm_connector.records import ConnectionRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.opportunities import OpportunityRepository
from crm_connector.service import inbound
from crm_connector.service.inbound import NEW_SWEEP, OVERLAP

log = logging.getLogger(__name__)

# The CRM remembers deletions for fifteen days; after a longer silence all opportunities are compared.
_REMEMBERED = timedelta(days=14)
_AT_ONCE = 1000


class Sweeper:
    """Reads for the one receiver of a tenant."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm

    async def sweep(self, *, goes_on: bool = False) -> None:
        """Read what was touched while changes may have been missed, if they may. It goes on after the last page that
        was taken over, whatever interrupted it. With `goes_on` the next sweep reads from where this one began."""
        known = await self._connection()
        if known.sweep_since is None:
            return
        began = known.sweep_began_at or utc_now()
        log.info("sweeping the records touched since %s, after %r", known.sweep_since, known.sweep_after)
        async for page in self._crm.records(after=known.sweep_after, since=known.sweep_since):
            async with self._unit_of_work() as uow:
                now = utc_now()
                await inbound.apply_records(uow, page, ObservationKind.UPDATED, now)
                place = {"sweep_after": page[-1].record_id, "sweep_began_at": began, "progress_at": now}
                await ConnectionRepository(uow.session, self._tenant_id).note(now, **place)
        await self.deletions()
        next_since = began - OVERLAP if goes_on else None
        await self._note(sweep_since=next_since, progress_at=utc_now(), **NEW_SWEEP)

    async def missed_since(self, since: datetime, **changes: Any) -> None:
        """Changes from that time on may have been missed: a sweep is needed, from its beginning."""
        known = await self._connection()
        await self._note(sweep_since=min(since, known.sweep_since or since), **NEW_SWEEP, **changes)

    async def deletions(self) -> None:
        """Take over what was deleted since this was last asked, also what no read shows any more."""
        known, now = await self._connection(), utc_now()
        since = (known.deletions_at or now) - OVERLAP
        if now - since > _REMEMBERED:
            async with self._unit_of_work() as uow:
                await ConnectionRepository(uow.session, self._tenant_id).start_import(uuid7(), "crm-connector")
            since = now - _REMEMBERED
        await self._compare(await self._crm.deleted(since, now))
        await self._note(deletions_at=now)

    async def absent_since(self, moment: datetime, object_types: Sequence[str]) -> None:
        """Look for the records that a reading of all of these types, begun at that moment, did not show."""
        after = ""
        while True:
            async with self._unit_of_work() as uow:
                opportunities = OpportunityRepository(uow.session, self._tenant_id)
                ids = await opportunities.not_seen_since(moment, object_types, after, _AT_ONCE)
            if not ids:
                return
            await self._compare(ids)
            after = ids[-1]

    async def _compare(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _AT_ONCE):
            async with self._unit_of_work() as uow:
                rows = await OpportunityRepository(uow.session, self._tenant_id).read(ids[start : start + _AT_ONCE])
            there = {
                key: row.object_type
                for key, row in rows.items()
                if row.known.facts is not None and not row.known.deleted
            }
            found = {record.record_id: record for record in await self._crm.read(list(there))} if there else {}
            if there:
                async with self._unit_of_work() as uow:
                    await inbound.apply_absences(uow, there, found, utc_now())

    async def _connection(self) -> ConnectionRecord:
        async with self._unit_of_work() as uow:
            return await ConnectionRepository(uow.session, self._tenant_id).get()

    async def _note(self, **changes: Any) -> None:
        async with self._unit_of_work() as uow:
            await ConnectionRepository(uow.session, self._tenant_id).note(utc_now(), **changes)

    def _unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._database.unit_of_work(self._tenant_id)
