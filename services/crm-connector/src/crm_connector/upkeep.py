"""What the receiver does beside the changes: the CRM's stages, what the CRM lacks, its allocation of events, and echoes
that did not come."""

import logging
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from kit.database.unit_of_work import Database, UnitOfWork
from kit.ids import utc_now

from crm_connector.crm import Crm
from crm_connector.domain.observation import ECHO_PATIENCE, ObservationKind
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.settled import SettledRepository
from crm_connector.service import inbound, mapping
from crm_connector.signals import Signals
from crm_connector.sweep import Sweeper

log = logging.getLogger(__name__)

_EVERY = timedelta(minutes=10)
_WHILE_UNFIT = timedelta(minutes=1)
# What was read within this time need not be read again because something is missing from it.
_FRESH = timedelta(seconds=5)
# The CRM replays changes for 72 hours; a day more than that is remembered.
_SEEN_FOR = timedelta(hours=96)
_SILENT = 1000


class Upkeep:
    """Keeps house for the one receiver of a tenant."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, sweeper: Sweeper) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._sweeper = sweeper
        self._kept_at = self._checked_at = self._stages_at = utc_now() - _EVERY
        self._stages: set[str] = set()

    async def at_connect(self) -> None:
        """Check that the CRM has what we need, and read its stages."""
        await self.check()
        await self.keep()

    async def check(self) -> None:
        """Find out what the CRM lacks. What needs it is not written: it would fail, or replace what a person did."""
        now = self._checked_at = utc_now()
        lacks = await self._crm.lacks()
        for lack in lacks:
            log.error("%s cannot be written: %s", lack.subject, lack.words)
        self._signals.unfit = frozenset(lack.subject for lack in lacks)
        async with self._unit_of_work() as uow:
            missing = tuple(lack.words for lack in lacks)
            await ConnectionRepository(uow.session, self._tenant_id).note(now, missing=missing, checked_at=now)
        self._signals.writes.set()

    async def keep_if_due(self) -> bool:
        """Keep house every ten minutes; look for what is missing every minute. Whether house was kept."""
        now = utc_now()
        if now - self._checked_at >= (_WHILE_UNFIT if self._signals.unfit else _EVERY):
            await self.check()
        due = now - self._kept_at >= _EVERY
        if due:
            await self.keep()
        return due

    async def keep(self) -> None:
        """Read the CRM's stages again, which it changes without an event, and the records whose echo was lost; notice
        what was deleted; forget changes that the CRM cannot replay."""
        now = self._kept_at = utc_now()
        await self.read_stages()
        await self._sweeper.deletions()
        usage = await self._crm.events_used()
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            if usage is not None:
                await connection.note(now, events_used=usage.used, events_allowed=usage.allowed)
            await connection.forget_changes(now - _SEEN_FOR)
            intents = SettledRepository(uow.session, self._tenant_id)
            silent = await intents.unechoed(now - 3 * ECHO_PATIENCE, now - ECHO_PATIENCE, _SILENT)
        records = await self._crm.read(silent) if silent else []
        if records:
            async with self._unit_of_work() as uow:
                await inbound.apply_records(uow, records, ObservationKind.UPDATED, utc_now())

    async def know(self, stages: Collection[str]) -> None:
        """Read the CRM's stages again if one of these is not among them."""
        unknown = {stage for stage in stages if stage} - self._stages
        if unknown and self._stages and utc_now() - self._stages_at >= _FRESH:
            await self.read_stages()

    async def read_stages(self) -> None:
        """Read the CRM's stages; where they changed, publish again the opportunities whose stage reads differently."""
        now = self._stages_at = utc_now()
        stages = await self._crm.stages()
        self._stages = {stage.name for stage in stages}
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            changed = stages != await connection.stages()
            await mapping.keep_catalog(uow, stages)
            await connection.note(now, stages_at=now, stages_wanted_at=None)
        if changed:
            self._signals.writes.set()

    def _unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._database.unit_of_work(self._tenant_id)
