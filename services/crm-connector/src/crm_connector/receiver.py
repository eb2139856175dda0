"""Brings the CRM's changes in: first all opportunities, then the stream of changes from where it was left.

This one task folds everything that the CRM shows, in order, so a record that was read is never older than a change
that was applied before. The stream is opened before the import begins. If its position is unknown or lost, the records
touched since are read again as soon as the stream has shown that it lives, so that nothing in between is missed.
"""

import asyncio
import logging
import random
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import Database, UnitOfWork
from kit.ids import utc_now, uuid7

from crm_connector.crm import ChangeBatch, Crm, CrmFault, CrmRefused, PositionLost
from crm_connector.domain.observation import ECHO_PATIENCE, ChangeKind, CrmOpportunity, ObservationKind
from crm_connector.records import ConnectionRecord, ConnectionState
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.service import inbound
from crm_connector.service.maps import load_maps
from crm_connector.signals import Signals
from crm_connector.telemetry import CHANGES, POSITION_LOST, show_state
from crm_connector.waiting import Ahead, first_of

log = logging.getLogger(__name__)

# A record's stamp is set before its transaction commits, so a sweep looks back beyond the last commit seen.
OVERLAP = timedelta(seconds=600)
# The CRM replays changes for 72 hours; a day more than that is remembered.
_SEEN_FOR = timedelta(hours=96)
_MAINTENANCE = timedelta(minutes=10)
_REFUSED_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 60.0
_CONFLICTS = 100
_SILENT = 1000


class Receiver:
    """The one receiver of a tenant: it runs only under the tenant's leadership."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._maintained_at = utc_now()
        self._heard = False

    async def run(self, stop: asyncio.Event) -> None:
        """Receive until the service stops. Faults of the CRM never end this task: it waits and connects again."""
        failures = 0
        while not stop.is_set():
            pause = 0.0
            try:
                await self._enter("CONNECTING")
                await self._session(stop)
            except PositionLost as lost:
                log.warning("the position in the stream of changes was lost: %s", lost)
                POSITION_LOST.inc()
                await self._lose_position(str(lost))
            except CrmRefused as refused:
                log.error("the CRM refuses us: %s", refused)
                await self._fail("REFUSED", refused)
                pause = _REFUSED_SECONDS
            except CrmFault as fault:
                failures = 0 if self._heard else failures + 1
                log.warning("the connection to the CRM broke: %s", fault)
                await self._fail("UNAVAILABLE", fault)
                pause = min(0.2 * 2**failures, _LONGEST_PAUSE_SECONDS)
            self._heard = False
            await first_of(stop, seconds=pause * random.uniform(0.5, 1))  # noqa: S311

    async def _session(self, stop: asyncio.Event) -> None:
        """One connection, until it breaks."""
        org_id = await self._crm.connect()
        known = await self._connection()
        if known.org_id not in ("", org_id):
            raise CrmRefused(f"this is the organisation {org_id}, but {known.org_id} was imported")
        await self._note(adapter=self._crm.name, org_id=org_id, connected_at=utc_now(), last_error="")
        await self._maintain()
        if known.position is None and known.sweep_since is None:
            await self._note(sweep_since=utc_now() - OVERLAP)
        async with aclosing(Ahead(self._crm.changes(known.position))) as stream:
            await self._first_import(stop)
            await self._enter("LIVE")
            # Requests may have come before the connection was there.
            self._signals.attention.set()
            while not stop.is_set():
                batch = await stream.next(stop, self._signals.attention, seconds=self._poll_seconds)
                await self._attend(stop)
                if batch is not None:
                    await self._receive(batch)

    async def _receive(self, batch: ChangeBatch) -> None:
        # The stream has shown that it lives, so it holds every change made after this sweep.
        await self._close_gap()
        async with self._unit_of_work() as uow:
            wanted = await inbound.ids_to_read(uow, batch.changes)
        records = await self._read(wanted)
        async with self._unit_of_work() as uow:
            await inbound.apply_changes(uow, batch, records, self._crm.fact_fields, utc_now())
        CHANGES.inc(len(batch.changes))
        self._heard = True
        if any(change.kind is ChangeKind.OVERFLOW for change in batch.changes):
            await self._close_gap()

    async def _close_gap(self) -> None:
        since = (await self._connection()).sweep_since
        if since is None:
            return
        log.info("sweeping the opportunities touched since %s", since)
        async for page in self._crm.opportunities(since=since):
            async with self._unit_of_work() as uow:
                names = self._crm.fact_fields
                await inbound.apply_records(uow, page, ObservationKind.UPDATED, names, utc_now())
        await self._note(sweep_since=None)

    async def _attend(self, stop: asyncio.Event) -> None:
        """Do what was asked for meanwhile: look at conflicts, run an import, keep house."""
        if utc_now() - self._maintained_at >= _MAINTENANCE:
            await self._maintain()
        if not self._signals.attention.is_set():
            return
        self._signals.attention.clear()
        await self._observe_conflicts()
        await self._run_import(stop)

    async def _observe_conflicts(self) -> None:
        async with self._unit_of_work() as uow:
            conflicts = await IntentRepository(uow.session, self._tenant_id).conflicts(_CONFLICTS)
        if not conflicts:
            return
        records = await self._read([conflict.opportunity_id for conflict in conflicts])
        async with self._unit_of_work() as uow:
            await inbound.observe_conflicts(uow, conflicts, records, self._crm.fact_fields, utc_now())
        if len(conflicts) == _CONFLICTS:
            self._signals.attention.set()

    async def _first_import(self, stop: asyncio.Event) -> None:
        """Import unless that was done. It waits for the default pipeline, without which no stage can be mapped."""
        while not stop.is_set():
            self._signals.attention.clear()
            async with self._unit_of_work() as uow:
                connection = ConnectionRepository(uow.session, self._tenant_id)
                done = await connection.was_imported()
                ready = done or bool((await load_maps(uow)).default_key)
                if ready and not done:
                    await connection.start_import(uuid7(), "crm-connector")
            if ready:
                return await self._run_import(stop)
            await self._enter("WAITING_FOR_PIPELINE")
            await first_of(stop, self._signals.attention, seconds=self._poll_seconds)

    async def _run_import(self, stop: asyncio.Event) -> None:
        """Go on with the running import, if there is one."""
        async with self._unit_of_work() as uow:
            run = await ConnectionRepository(uow.session, self._tenant_id).running_import()
        if run is None:
            return
        await self._enter("IMPORTING")
        try:
            async for page in self._crm.opportunities(after=run.last_id):
                async with self._unit_of_work() as uow:
                    await inbound.apply_import_page(uow, run.import_id, page, self._crm.fact_fields, utc_now())
                if stop.is_set():
                    return
        except CrmFault as fault:
            await self._note_import_fault(run.import_id, fault)
            raise
        async with self._unit_of_work() as uow:
            await ConnectionRepository(uow.session, self._tenant_id).complete_import(run.import_id, utc_now())
        await self._enter("LIVE")

    async def _note_import_fault(self, import_id: UUID, fault: CrmFault) -> None:
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            await connection.note_import_fault(import_id, str(fault), utc_now())

    async def _maintain(self) -> None:
        """Read the CRM's stages again, which it changes without an event; read the records whose echo was lost; forget
        changes that the CRM cannot replay."""
        now = self._maintained_at = utc_now()
        stages = await self._crm.stages()
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            if stages != await connection.stages():
                await connection.replace_stages(stages)
            await connection.forget_changes(now - _SEEN_FOR)
            intents = IntentRepository(uow.session, self._tenant_id)
            silent = await intents.unechoed(now - 3 * ECHO_PATIENCE, now - ECHO_PATIENCE, _SILENT)
        records = await self._read(silent)
        if records:
            async with self._unit_of_work() as uow:
                names, kind = self._crm.fact_fields, ObservationKind.UPDATED
                await inbound.apply_records(uow, list(records.values()), kind, names, utc_now())

    async def _lose_position(self, words: str) -> None:
        known = await self._connection()
        since = (known.position_at or utc_now()) - OVERLAP
        if known.sweep_since is not None:
            since = min(since, known.sweep_since)
        await self._note(position=None, sweep_since=since, last_error=words, last_error_at=utc_now())

    async def _fail(self, state: ConnectionState, fault: CrmFault) -> None:
        await self._enter(state, last_error=str(fault), last_error_at=utc_now())

    async def _enter(self, state: ConnectionState, **changes: Any) -> None:
        await self._note(state=state, **changes)
        show_state(state)

    async def _read(self, ids: list[str]) -> dict[str, CrmOpportunity]:
        found = await self._crm.read(ids) if ids else []
        return {record.opportunity_id: record for record in found}

    async def _connection(self) -> ConnectionRecord:
        async with self._unit_of_work() as uow:
            return await ConnectionRepository(uow.session, self._tenant_id).get()

    async def _note(self, **changes: Any) -> None:
        async with self._unit_of_work() as uow:
            await ConnectionRepository(uow.session, self._tenant_id).note(utc_now(), **changes)

    def _unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._database.unit_of_work(self._tenant_id)
