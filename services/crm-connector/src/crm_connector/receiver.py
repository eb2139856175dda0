"""Brings the CRM's changes in: first all records, then the stream of changes from where it was left.

This one task folds everything that the CRM shows, in order, so a record that was read is never older than a change
that was applied before. The stream is opened before the import begins. If its position is unknown or lost, the records
touched since are read again as soon as the stream has shown that it lives, so that nothing in between is missed.
"""

import asyncio
import logging
import random
from contextlib import AbstractAsyncContextManager, aclosing

from kit.database.unit_of_work import Database, UnitOfWork
from kit.delivery.pace import backoff
from kit.ids import utc_now, uuid7
from kit.observability.telemetry import DEAD_LETTERS

from crm_connector.crm import ChangeBatch, Crm, CrmFault, CrmRefused, EventsSpent, PositionLost
from crm_connector.domain.observation import ChangeKind, CrmRecord, ObservationKind
from crm_connector.fields_in_use import FieldsInUse
from crm_connector.link import LinkState
from crm_connector.records import ImportRecord
from crm_connector.repository.connection import UNREADABLE, ConnectionRepository
from crm_connector.repository.settled import SettledRepository
from crm_connector.service import inbound
from crm_connector.service.inbound import OVERLAP
from crm_connector.service.maps import load_maps
from crm_connector.service.publishing import publish_activities
from crm_connector.settings import Settings
from crm_connector.signals import Signals
from crm_connector.sweep import Sweeper
from crm_connector.telemetry import CHANGES, LOOP_FAILURES, POSITION_LOST
from crm_connector.upkeep import Upkeep
from crm_connector.waiting import Ahead, first_of

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.2
_FIRST_REFUSED_SECONDS = 15.0
_LONGEST_PAUSE_SECONDS = 300.0
# While the CRM delivers no events: how many polls lie between two sweeps, and how many sweeps between two attempts to
# get events again.
_POLLS_PER_SWEEP = 15
_SWEEPS_PER_ATTEMPT = 10
_CONFLICTS = 100


class Receiver:
    """The one receiver of a tenant: it runs only under the tenant's leadership."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._link = LinkState(database, tenant_id, crm, signals, poll_seconds)
        self._sweeper = Sweeper(database, tenant_id, crm)
        self._upkeep = Upkeep(database, tenant_id, crm, signals, self._sweeper)
        self._fields = FieldsInUse(database, tenant_id, crm)
        self._heard = False
        self._attended_at = 0.0
        # Sweeps take the place of the stream until it is heard again.
        self._sweeps = False

    async def run(self, stop: asyncio.Event) -> None:
        """Receive until the service stops. No fault ends this task: it says what is wrong, waits and connects again."""
        failures = 0
        while not stop.is_set():
            pause = 0.0
            try:
                if not failures and not self._sweeps:
                    await self._link.enter("CONNECTING")
                await self._session(stop)
            except Exception as fault:
                failures = 1 if self._heard or isinstance(fault, EventsSpent) else failures + 1
                pause = await self._after(fault, failures, stop)
            self._heard = False
            if pause and await self._link.rest(stop, pause * random.uniform(0.5, 1)):  # noqa: S311
                failures = 0

    async def _after(self, fault: Exception, failures: int, stop: asyncio.Event) -> float:
        """Say what went wrong; how many seconds to wait."""
        pause = backoff(failures, first=_FIRST_PAUSE_SECONDS, most=_LONGEST_PAUSE_SECONDS)
        try:
            match fault:
                case PositionLost():
                    log.warning("the position in the stream of changes was lost: %s", fault)
                    POSITION_LOST.inc()
                    await self._lose_position(str(fault))
                    # The next connection needs none, so it need not wait.
                    return 0 if failures == 1 else pause
                case EventsSpent():
                    return await self._sweep_instead(fault, stop)
                case CrmRefused():
                    log.error("the CRM refuses us: %s", fault)
                    await self._link.fail("REFUSED", str(fault))
                    return backoff(failures, first=_FIRST_REFUSED_SECONDS, most=_LONGEST_PAUSE_SECONDS)
                case CrmFault():
                    log.warning("the connection to the CRM broke: %s", fault)
                    await self._link.fail("UNAVAILABLE", str(fault))
                case _:
                    log.error("the receiver failed", exc_info=fault)
                    LOOP_FAILURES.labels("receiver").inc()
                    await self._link.fail("FAILED", f"The connector failed: {type(fault).__name__}: {fault}"[:1000])
        except Exception:
            log.exception("what went wrong with the CRM cannot be noted")
        return pause

    async def _session(self, stop: asyncio.Event) -> None:
        """One connection, until it breaks."""
        org_id = await self._crm.connect()
        known = await self._link.connection()
        if known.org_id not in ("", org_id):
            raise CrmRefused(f"this is the organisation {org_id}, but {known.org_id} was imported")
        await self._link.note(adapter=self._crm.name, org_id=org_id, connected_at=utc_now())
        await self._fields.adopt()
        await self._upkeep.at_connect()
        if known.position is None and known.sweep_since is None:
            await self._sweeper.missed_since(utc_now() - OVERLAP)
        async with aclosing(Ahead(self._crm.changes(known.position))) as stream:
            await self._first_import(stop)
            await (self._link.enter("SWEEPING") if self._sweeps else self._link.live())
            # Requests may have come before the connection was there.
            self._signals.attention.set()
            while not stop.is_set():
                batch = await stream.next(stop, self._signals.attention, seconds=self._poll_seconds)
                await self._attend(stop)
                if batch is not None:
                    await self._receive(batch)

    async def _receive(self, batch: ChangeBatch) -> None:
        # The stream has shown that it lives, so it holds every change made after this sweep.
        await self._sweeper.sweep()
        async with self._unit_of_work() as uow:
            wanted = await inbound.ids_to_read(uow, batch.changes)
        records = await self._read(wanted)
        stages = [record.facts.stage for record in records.values()]
        await self._upkeep.know([*stages, *(change.facts.get("stage", "") for change in batch.changes)])
        # Before the position moves behind them.
        async with aclosing(self._crm.concerned(batch.related)) as pages:
            async for page in pages:
                await self._take_page(page)
        activities = await self._crm.activities(batch.related) if batch.related else []
        async with self._unit_of_work() as uow:
            publish_activities(uow, activities)
            await inbound.apply_changes(uow, batch, records, utc_now())
        CHANGES.inc(len(batch.changes))
        self._heard = True
        if self._sweeps:
            self._sweeps = False
            await self._link.live()
        for unread in batch.unread:
            DEAD_LETTERS.labels(Settings.service, unread.topic, UNREADABLE).inc()
        if batch.blind or any(change.kind is ChangeKind.OVERFLOW for change in batch.changes):
            await self._sweeper.sweep()

    async def _sweep_instead(self, spent: EventsSpent, stop: asyncio.Event) -> float:
        """Follow the CRM by reading what was touched, for a while, since it delivers no events; how long to wait."""
        log.warning("the CRM delivers no more events, so changes are read: %s", spent)
        await self._link.fail("SWEEPING", f"Changes are found by reading, some time later than usual: {spent}")
        if not self._sweeps:
            known = await self._link.connection()
            await self._sweeper.missed_since((known.position_at or utc_now()) - OVERLAP)
        self._sweeps = True
        for _ in range(_SWEEPS_PER_ATTEMPT):
            try:
                await self._sweeper.sweep(goes_on=True)
                await self._attend(stop)
            except CrmFault as fault:
                await self._link.note(last_error=f"{spent}. Reading fails too: {fault}", last_error_at=utc_now())
            if await self._link.rest(stop, _POLLS_PER_SWEEP * self._poll_seconds) or stop.is_set():
                return 0.0
        return 0.0

    async def _attend(self, stop: asyncio.Event) -> None:
        """Do what was asked for meanwhile, of this instance or of another: look at conflicts, run an import, read the
        CRM's stages, keep house."""
        if await self._upkeep.keep_if_due():
            await self._fields.adopt()
        now = asyncio.get_running_loop().time()
        if not self._signals.attention.is_set() and now - self._attended_at < self._poll_seconds:
            return
        self._attended_at = now
        self._signals.attention.clear()
        known = await self._link.connection()
        if known.stages_wanted_at is not None:
            await self._upkeep.read_stages()
        if await self._link.retry_wanted():
            await self._fields.adopt()
            await self._upkeep.check()
        if await self._fields.adopt_if_changed():
            # Before the first decision on records of a type that was not followed.
            await self._upkeep.check()
        await self._observe_conflicts()
        await self._fields.import_what_is_missing()
        await self._run_import(stop)

    async def _take_page(self, page: list[CrmRecord]) -> None:
        if page:
            async with self._unit_of_work() as uow:
                await inbound.apply_records(uow, page, ObservationKind.UPDATED, utc_now())

    async def _observe_conflicts(self) -> None:
        async with self._unit_of_work() as uow:
            conflicts = await SettledRepository(uow.session, self._tenant_id).conflicts(_CONFLICTS)
        if not conflicts:
            return
        records = await self._read([conflict.opportunity_id for conflict in conflicts])
        async with self._unit_of_work() as uow:
            await inbound.observe_conflicts(uow, conflicts, records, utc_now())
        if len(conflicts) == _CONFLICTS:
            self._signals.attention.set()

    async def _first_import(self, stop: asyncio.Event) -> None:
        """Import unless that was done. It waits for a pipeline, without which no stage can be mapped."""
        while not stop.is_set():
            self._signals.attention.clear()
            async with self._unit_of_work() as uow:
                connection = ConnectionRepository(uow.session, self._tenant_id)
                done = await connection.was_imported()
                ready = done or bool((await load_maps(uow, ())).newest)
                if ready and not done:
                    await connection.start_import(uuid7(), "crm-connector")
            if ready:
                return await self._run_import(stop)
            await self._link.enter("WAITING_FOR_PIPELINE", last_error="", last_error_at=None)
            await first_of(stop, self._signals.attention, seconds=self._poll_seconds)

    async def _run_import(self, stop: asyncio.Event) -> None:
        """Go on with the running import, if there is one."""
        async with self._unit_of_work() as uow:
            run = await ConnectionRepository(uow.session, self._tenant_id).running_import()
        if run is None:
            return
        await self._link.enter("IMPORTING")
        self._signals.people.set()
        try:
            await self._upkeep.read_stages()
            run = await self._fields.begin(run)
            async for page in self._crm.records(after=run.last_id, object_types=run.object_types):
                await self._import_page(run, page)
                if stop.is_set():
                    return
            await self._sweeper.absent_since(run.created_at, run.object_types)
        except CrmFault as fault:
            async with self._unit_of_work() as uow:
                connection = ConnectionRepository(uow.session, self._tenant_id)
                await connection.note_import_fault(run.import_id, str(fault), utc_now())
            raise
        async with self._unit_of_work() as uow:
            await ConnectionRepository(uow.session, self._tenant_id).complete_import(run.import_id, utc_now())
        await self._link.enter("SWEEPING" if self._sweeps else self._link.name_of_live)

    async def _import_page(self, run: ImportRecord, page: list[CrmRecord]) -> None:
        await self._upkeep.know([record.facts.stage for record in page])
        async with self._unit_of_work() as uow:
            new = await inbound.not_yet_observed(uow, page)
        clocks = await self._crm.in_stage_since(new) if new else {}
        async with self._unit_of_work() as uow:
            dated = inbound.with_clocks(page, clocks)
            await inbound.apply_import_page(uow, run.import_id, dated, utc_now())

    async def _lose_position(self, words: str) -> None:
        known, now = await self._link.connection(), utc_now()
        since = (known.position_at or now) - OVERLAP
        await self._sweeper.missed_since(since, position=None, last_error=words, last_error_at=now)

    async def _read(self, ids: list[str]) -> dict[str, CrmRecord]:
        found = await self._crm.read(ids) if ids else []
        return {record.record_id: record for record in found}

    def _unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._database.unit_of_work(self._tenant_id)
