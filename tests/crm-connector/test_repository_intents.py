"""Moving writes on, by several at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from crm_connector.domain.intents import IntentState, Move
from crm_connector.repository.intents import IntentRepository
from kit.ids import utc_now
from sqlalchemy import func, select, text
from testing.service import eventually

pytestmark = pytest.mark.stack
WAITING = """NOT granted AND locktype = 'transactionid'
    AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"""
Queued = Callable[[], Awaitable[list[UUID]]]


@pytest.fixture
async def service(start_service: Any) -> Any:
    return await start_service("crm_connector", salesforce_tenant="none")


@pytest.fixture
async def queued(service: Any, tenant: str, make: SimpleNamespace) -> list[UUID]:
    """The ids of two writes in the queue."""
    for opportunity in ("d1", "d2"):
        await service.publish(make.decision(opportunity, target="demo"), tenant=tenant)

    async def both() -> list[UUID]:
        reply = await service.client.get("/v1/write-intents", headers=service.headers(tenant))
        found = [UUID(item["intent_id"]) for item in reply.json()["items"]]
        assert len(found) == 2
        return sorted(found)

    return await eventually(both)


async def take(session: Any, tenant: str, *ids: UUID) -> set[UUID]:
    """Settle these writes, as far as they are in the queue."""
    intents = IntentRepository(session, tenant)
    taken = [write.moved(Move.PROVE) for write in await intents.take(ids, IntentState.NEW)]
    await intents.keep(taken, utc_now())
    return {write.intent_id for write in taken}


async def test_replies_and_echoes_of_the_same_writes_do_not_block_each_other(
    service: Any, tenant: str, queued: list[UUID]
) -> None:
    first, second = queued

    async def backwards() -> set[UUID]:
        async with service.database.unit_of_work(tenant) as other:
            return await take(other.session, tenant, second, first)

    async with service.database.unit_of_work(tenant) as uow:
        assert await take(uow.session, tenant, first) == {first}
        task = asyncio.create_task(backwards())

        async def waits() -> None:
            waiting = select(func.count()).select_from(text("pg_locks")).where(text(WAITING))
            assert (await uow.session.execute(waiting)).scalar_one() == 1

        await eventually(waits)
        # Had the other taken the second one first, each would wait for the other now.
        assert await take(uow.session, tenant, second) == {second}
    assert await task == set()


async def test_what_changed_while_it_was_waited_for_is_taken_as_it_is_now(
    service: Any, tenant: str, queued: list[UUID]
) -> None:
    first, _ = queued

    async def taken() -> tuple[IntentState, int]:
        async with service.database.unit_of_work(tenant) as other:
            (write,) = await IntentRepository(other.session, tenant).take([first], IntentState.SENT, IntentState.NEW)
            await IntentRepository(other.session, tenant).keep([write], utc_now())
            return write.state, write.attempts

    async with service.database.unit_of_work(tenant) as uow:
        sent = text("UPDATE write_queue SET state = 'SENT', attempts = 1 WHERE intent_id = :id")
        await uow.session.execute(sent, {"id": first})
        task = asyncio.create_task(taken())

        async def waits() -> None:
            waiting = select(func.count()).select_from(text("pg_locks")).where(text(WAITING))
            assert (await uow.session.execute(waiting)).scalar_one() == 1

        await eventually(waits)
    assert await task == (IntentState.SENT, 1)
