"""Runs sender and receiver in the one instance that leads this tenant; the others wait to take over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from kit.app import Runtime
from kit.database.unit_of_work import Database
from kit.database.waiting import show_waiting
from kit.http.client import http_client
from kit.ids import utc_now
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_connector.crm import Crm
from crm_connector.domain.intents import IN_LINE, IntentState
from crm_connector.receiver import Receiver
from crm_connector.recording import RecordingCrm
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.salesforce.adapter import SalesforceCrm
from crm_connector.salesforce.auth import ClientCredentials, JwtBearer, Sessions
from crm_connector.salesforce.pubsub import PubSub
from crm_connector.salesforce.rest import Rest
from crm_connector.sender import Sender
from crm_connector.settings import Settings
from crm_connector.signals import Signals
from crm_connector.telemetry import CURSOR_AGE, SYNC_AGE, show_nothing
from crm_connector.waiting import first_of

_TRY = text("SELECT pg_try_advisory_lock(hashtextextended(:tenant_id, 7235940130))")
_GIVE_BACK = text("SELECT pg_advisory_unlock(hashtextextended(:tenant_id, 7235940130))")
_HELD = text("SELECT 1")
_CHECK_SECONDS = 2.0


async def synchronise(runtime: Runtime, stop: asyncio.Event) -> None:
    """Lead and synchronise until the service stops."""
    settings = runtime.resources.get(Settings)
    signals = runtime.resources.get(Signals)
    database, tenant_id, poll = runtime.database, settings.salesforce_tenant, settings.crm_poll_seconds
    async with _leadership(database, tenant_id, stop) as connection:
        if stop.is_set():
            return
        crm = open_crm(settings)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(Sender(database, tenant_id, crm, signals, poll).run(stop))
                group.create_task(Receiver(database, tenant_id, crm, signals, poll).run(stop))
                group.create_task(_watch(runtime, tenant_id, connection, stop))
        finally:
            show_nothing()
            await crm.close()


def open_crm(settings: Settings) -> Crm:
    """The adapter that the settings name."""
    if settings.crm_adapter == "recording":
        return RecordingCrm()
    http = http_client()
    credentials = (
        JwtBearer(
            settings.salesforce_client_id,
            settings.salesforce_username,
            settings.salesforce_login_url,
            settings.salesforce_private_key_file,
        )
        if settings.salesforce_auth_flow == "jwt"
        else ClientCredentials(settings.salesforce_client_id, settings.salesforce_client_secret_file)
    )
    sessions = Sessions(http, settings.salesforce_login_url, credentials)
    rest = Rest(http, sessions, settings.salesforce_api_version)
    return SalesforceCrm(http, rest, sessions, PubSub(settings.salesforce_pubsub_endpoint, sessions))


@asynccontextmanager
async def _leadership(database: Database, tenant_id: str, stop: asyncio.Event) -> AsyncIterator[AsyncConnection]:
    """Hold the tenant's lock on a connection of its own: it is given back when the process dies."""
    async with database.engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        parameters = {"tenant_id": tenant_id}
        while not (await connection.execute(_TRY, parameters)).scalar_one() and not stop.is_set():
            await first_of(stop, seconds=_CHECK_SECONDS)
        try:
            yield connection
        finally:
            with suppress(Exception):
                await connection.execute(_GIVE_BACK, parameters)


async def _watch(runtime: Runtime, tenant_id: str, connection: AsyncConnection, stop: asyncio.Event) -> None:
    """End everything when the lock's connection is lost: another instance leads then."""
    while not stop.is_set():
        runtime.watchdog.beat("crm connection")
        await connection.execute(_HELD)
        await _measure(runtime, tenant_id)
        await first_of(stop, seconds=_CHECK_SECONDS)
    runtime.watchdog.forget("crm connection")


async def _measure(runtime: Runtime, tenant_id: str) -> None:
    """Show how old our place in the CRM's changes is, and what waits for the CRM or for a person."""
    async with runtime.database.unit_of_work(tenant_id) as uow:
        intents = IntentRepository(uow.session, tenant_id)
        unfinished = await intents.backlog(*IN_LINE)
        parked = await intents.backlog(IntentState.PARKED, since="due_at")
        connection = await ConnectionRepository(uow.session, tenant_id).get()
    service = runtime.settings.service
    SYNC_AGE.set(_age(unfinished.since))
    CURSOR_AGE.set(_age(connection.position_at))
    show_waiting(service, "unfinished_writes", unfinished.count, _age(unfinished.since))
    show_waiting(service, "parked_writes", parked.count, _age(parked.since))


def _age(since: datetime | None) -> float:
    return max(0.0, (utc_now() - since).total_seconds()) if since else 0.0
