"""Moving write intents on, by several at the same time."""

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from crm_connector.domain.intents import IntentState
from crm_connector.repository.intents import IntentRepository
from kit.ids import utc_now
from sqlalchemy import func, select, text
from testing.service import eventually

pytestmark = pytest.mark.stack
WAITING = "NOT granted AND locktype = 'transactionid'"


async def test_replies_and_echoes_of_the_same_writes_do_not_block_each_other(
    start_service: Any, tenant: str, make: SimpleNamespace
) -> None:
    service = await start_service("crm_connector", salesforce_tenant="nobody")
    for deal in ("d1", "d2"):
        await service.publish(make.decision(deal, target="demo"), tenant=tenant)

    async def both() -> list[UUID]:
        reply = await service.client.get("/v1/write-intents", headers=service.headers(tenant))
        found = [UUID(item["intent_id"]) for item in reply.json()["items"]]
        assert len(found) == 2
        return sorted(found)

    first, second = await eventually(both)

    async def move(session: Any, *ids: UUID) -> set[UUID]:
        rows = [{"intent_id": each, "state": IntentState.SENT.value, "updated_at": utc_now()} for each in ids]
        return await IntentRepository(session, tenant).move(rows, IntentState.NEW)

    async def backwards() -> set[UUID]:
        async with service.database.unit_of_work(tenant) as other:
            return await move(other.session, second, first)

    async with service.database.unit_of_work(tenant) as uow:
        assert await move(uow.session, first) == {first}
        task = asyncio.create_task(backwards())

        async def waits() -> None:
            waiting = select(func.count()).select_from(text("pg_locks")).where(text(WAITING))
            assert (await uow.session.execute(waiting)).scalar_one() == 1

        await eventually(waits)
        # Had the other taken the second one first, each would wait for the other now.
        assert await move(uow.session, second) == {second}
    assert await task == set()
