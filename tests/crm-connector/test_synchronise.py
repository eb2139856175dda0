"""Which instance synchronises a tenant, what is said of the link, and what outlives a task that failed."""

import asyncio
from datetime import UTC, datetime

import pytest
from crm_connector.opening import Link
from crm_connector.recording import RecordingCrm
from crm_connector.records import ConnectionRecord
from crm_connector.settings import Settings
from crm_connector.synchronise import _leadership, in_words
from sqlalchemy import text
from testing.service import StartService, eventually

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (ConnectionRecord(), "NOT_CONNECTED"),
        (ConnectionRecord(state="LIVE", state_since=NOON), "LIVE since 2026-11-22T12:00:00Z"),
        (
            ConnectionRecord(state="REFUSED", state_since=NOON, last_error="no"),
            "REFUSED since 2026-11-22T12:00:00Z: no",
        ),
        (ConnectionRecord(state="RECORDING"), "RECORDING: every write counts as done and NO CRM IS WRITTEN"),
    ],
    ids=lambda value: value.state if isinstance(value, ConnectionRecord) else "",
)
def test_the_link_in_words(connection: ConnectionRecord, words: str) -> None:
    assert in_words(connection) == words


def test_one_adapter_with_its_session_serves_every_start_of_the_task() -> None:
    link, settings = Link(), Settings(crm_adapter="recording", environment="test")
    assert isinstance(link.crm(settings), RecordingCrm)
    assert link.crm(settings) is link.crm(settings)


@pytest.mark.stack
async def test_another_instance_takes_over_from_one_that_fell_silent(start_service: StartService, tenant: str) -> None:
    """The connection of the silent one stays open: nothing but its term ends its lead."""
    database = (await start_service("crm_connector", salesforce_tenant=tenant)).database
    stop, other = asyncio.Event(), f"{tenant}-of-a-test"
    async with _leadership(database, other, stop) as silent:
        led = asyncio.Event()

        async def take_over() -> None:
            async with _leadership(database, other, stop) as renew:
                assert await renew()
                led.set()
                await stop.wait()

        successor = asyncio.create_task(take_over())
        await asyncio.sleep(0)
        assert await silent()
        assert not led.is_set()
        async with database.as_relay() as connection:
            past = text("UPDATE lease SET expires_at = now() WHERE tenant_id = :tenant_id")
            await connection.execute(past, {"tenant_id": other})
        await asyncio.wait_for(led.wait(), 60)

        async def lost() -> None:
            assert not await silent()

        # It asks the database once in a few seconds only.
        await eventually(lost)
        stop.set()
        await successor


@pytest.mark.stack
async def test_a_lead_that_is_given_back_is_free_at_once(start_service: StartService, tenant: str) -> None:
    database = (await start_service("crm_connector", salesforce_tenant=tenant)).database
    stop = asyncio.Event()
    for _ in range(3):
        async with _leadership(database, f"{tenant}-of-a-test", stop) as renew:
            assert await renew()
