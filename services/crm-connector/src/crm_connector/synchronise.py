"""Runs sender and receiver in the one instance that leads this tenant; the others wait to take over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from kit.app import Runtime
from kit.database.unit_of_work import Database
from kit.database.waiting import show_waiting
from kit.ids import utc_now
from kit.relay.lease import Lease, LeaseLost

from crm_connector.carrier import Carrier
from crm_connector.domain.intents import IN_LINE, IntentState
from crm_connector.opening import Link
from crm_connector.people import follow_people
from crm_connector.receiver import Receiver
from crm_connector.records import ConnectionRecord
from crm_connector.remapping import keep_mapped
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.listing import IntentList
from crm_connector.sender import Sender
from crm_connector.settings import Settings
from crm_connector.signals import Signals
from crm_connector.telemetry import CURSOR_AGE, SYNC_AGE, show_nothing
from crm_connector.waiting import first_of

_CHECK_SECONDS = 2.0


async def synchronise(runtime: Runtime, stop: asyncio.Event) -> None:
    """Lead and synchronise until the service stops."""
    settings = runtime.resources.get(Settings)
    signals = runtime.resources.get(Signals)
    database, tenant_id, poll = runtime.database, settings.salesforce_tenant, settings.crm_poll_seconds
    async with _leadership(database, tenant_id, stop) as renew:
        if stop.is_set():
            return
        crm = runtime.resources.get(Link).crm(settings)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(Sender(database, tenant_id, crm, signals, poll).run(stop))
                group.create_task(Receiver(database, tenant_id, crm, signals, poll).run(stop))
                group.create_task(Carrier(database, tenant_id, crm, signals, poll).run(stop))
                group.create_task(keep_mapped(database, tenant_id, signals, poll, stop))
                group.create_task(follow_people(database, tenant_id, crm, signals, poll, stop))
                group.create_task(_watch(runtime, tenant_id, renew, stop))
        finally:
            show_nothing()
            runtime.notes.pop("crm", None)
            if stop.is_set():
                await crm.close()


@asynccontextmanager
async def _leadership(
    database: Database, tenant_id: str, stop: asyncio.Event
) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Hold the tenant's lease, on a connection of its own; what is yielded renews it. The lease ends by itself when the
    process dies or falls silent."""
    lease = Lease("crm", tenant_id)
    async with database.held_by_relay() as connection:
        while not await lease.hold(connection) and not stop.is_set():
            await first_of(stop, seconds=_CHECK_SECONDS)
        try:
            yield lambda: lease.hold(connection)
        finally:
            with suppress(Exception):
                await lease.give_back(connection)


async def _watch(runtime: Runtime, tenant_id: str, renew: Callable[[], Awaitable[bool]], stop: asyncio.Event) -> None:
    """Renew the lease, and end everything when it is lost: another instance leads then."""
    while not stop.is_set():
        runtime.watchdog.beat("crm connection")
        if not await renew():
            raise LeaseLost("another instance synchronises now")
        await measure(runtime, tenant_id)
        await first_of(stop, seconds=_CHECK_SECONDS)
    runtime.watchdog.forget("crm connection")


async def measure(runtime: Runtime, tenant_id: str) -> None:
    """Show how old our place in the CRM's changes is, and what waits for the CRM or for a person."""
    async with runtime.database.unit_of_work(tenant_id) as uow:
        intents = IntentList(uow.session, tenant_id)
        unfinished = await intents.backlog(*IN_LINE)
        parked = await intents.backlog(IntentState.PARKED, since="due_at")
        connection = await ConnectionRepository(uow.session, tenant_id).get()
    service = runtime.settings.service
    runtime.notes["crm"] = in_words(connection)
    SYNC_AGE.set(_age(unfinished.since))
    CURSOR_AGE.set(_age(connection.position_at))
    show_waiting(service, "unfinished_writes", unfinished.count, _age(unfinished.since))
    show_waiting(service, "parked_writes", parked.count, _age(parked.since))


def in_words(connection: ConnectionRecord) -> str:
    """How the link is, for a person who looks at the probes."""
    if connection.state == "RECORDING":
        return "RECORDING: every write counts as done and NO CRM IS WRITTEN"
    since = f" since {connection.state_since:%Y-%m-%dT%H:%M:%SZ}" if connection.state_since else ""
    return ": ".join(filter(None, [f"{connection.state or 'NOT_CONNECTED'}{since}", connection.last_error]))


def _age(since: datetime | None) -> float:
    return max(0.0, (utc_now() - since).total_seconds()) if since else 0.0
