"""The state of the link to the CRM, as people and other instances see it, and how long it rests after a fault."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from kit.database.unit_of_work import Database, UnitOfWork
from kit.ids import utc_now

from crm_connector.crm import Crm
from crm_connector.records import ConnectionRecord, ConnectionState
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.signals import Signals
from crm_connector.telemetry import show_state
from crm_connector.waiting import first_of


class LinkState:
    """Notes the state of one tenant's link, for its receiver."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds
        self.state: ConnectionState = ""
        # A link that carries nothing must not look like one that does.
        self.name_of_live: ConnectionState = "RECORDING" if crm.name == "recording" else "LIVE"

    async def enter(self, state: ConnectionState, **changes: Any) -> None:
        """The link is in this state now."""
        if state != self.state:
            changes = {"state": state, "state_since": utc_now(), **changes}
        if changes:
            await self.note(**changes)
        self.state = state
        show_state(state)

    async def live(self) -> None:
        """The link works."""
        await self.enter(self.name_of_live, last_error="", last_error_at=None)

    async def fail(self, state: ConnectionState, words: str) -> None:
        """The link does not work, and why."""
        await self.enter(state, last_error=words, last_error_at=utc_now())

    async def rest(self, stop: asyncio.Event, seconds: float) -> bool:
        """Wait so long, or until a person asks to try at once: whether one did."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not stop.is_set() and loop.time() < until:
            await first_of(stop, seconds=min(self._poll_seconds, until - loop.time()))
            if until > loop.time() and await self.retry_wanted():
                return True
        return False

    async def retry_wanted(self) -> bool:
        """Whether a person asked, here or at another instance, to try at once; then pauses are forgotten."""
        wanted_at = (await self.connection()).retry_wanted_at
        if wanted_at is None:
            return False
        await self.note(retry_wanted_at=None)
        self._crm.retry()
        self._signals.resume.set()
        self._signals.writes.set()
        return True

    async def connection(self) -> ConnectionRecord:
        """The connection as it is noted."""
        async with self._unit_of_work() as uow:
            return await ConnectionRepository(uow.session, self._tenant_id).get()

    async def note(self, **changes: Any) -> None:
        """Note some of the connection's columns."""
        async with self._unit_of_work() as uow:
            await ConnectionRepository(uow.session, self._tenant_id).note(utc_now(), **changes)

    def _unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._database.unit_of_work(self._tenant_id)
