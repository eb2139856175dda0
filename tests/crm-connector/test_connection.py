"""The connection's row and imports on a real database."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from crm_connector.records import ConnectionRecord
from crm_connector.repository.connection import ConnectionRepository
from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.stack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service: Any) -> AsyncIterator[Any]:
    yield await start_service("crm_connector", salesforce_tenant="another")


async def test_a_note_changes_only_what_it_names(service: Any) -> None:
    tenant, now = f"tenant-{uuid4().hex[:8]}", utc_now()
    async with service.database.unit_of_work(tenant) as uow:
        connection = ConnectionRepository(uow.session, tenant)
        assert await connection.get() == ConnectionRecord()
        await connection.note(now, state="LIVE", position=b"there", position_at=now)
        await connection.note(now, state="UNAVAILABLE", last_error="gone", last_error_at=now)
        await connection.note(now, sweep_since=None)
        assert await connection.get() == ConnectionRecord(
            state="UNAVAILABLE", last_error="gone", last_error_at=now, position=b"there", position_at=now
        )
        with pytest.raises(TypeError, match="positoin"):
            await connection.note(now, positoin=b"typed wrong")


async def test_a_change_counts_as_applied_once(service: Any) -> None:
    tenant = f"tenant-{uuid4().hex[:8]}"
    async with service.database.unit_of_work(tenant) as uow:
        assert await ConnectionRepository(uow.session, tenant).unseen(["a", "b", "a"]) == {"a", "b"}
        assert await ConnectionRepository(uow.session, tenant).unseen(["b", "c"]) == {"c"}
        assert await ConnectionRepository(uow.session, tenant).unseen([]) == set()


async def test_the_import_that_is_given_as_the_running_one_cannot_end_meanwhile(service: Any) -> None:
    database, tenant, first = service.database, f"tenant-{uuid4().hex[:8]}", uuid4()

    async def end(uow: UnitOfWork) -> None:
        await uow.session.execute(text("SET LOCAL lock_timeout = '100ms'"))
        await ConnectionRepository(uow.session, tenant).complete_import(first, utc_now())

    async with database.unit_of_work(tenant) as uow:
        await ConnectionRepository(uow.session, tenant).start_import(first, "ann")
    async with database.unit_of_work(tenant) as asking:
        run = await ConnectionRepository(asking.session, tenant).start_import(uuid4(), "bob")
        assert (run.import_id, run.state, run.requested_by) == (first, "RUNNING", "ann")
        with pytest.raises(DBAPIError, match="lock timeout"):
            async with database.unit_of_work(tenant) as ending:
                await end(ending)
    async with database.unit_of_work(tenant) as ending:
        await end(ending)
    async with database.unit_of_work(tenant) as asking:
        run = await ConnectionRepository(asking.session, tenant).start_import(uuid4(), "bob")
        assert (run.state, run.requested_by) == ("RUNNING", "bob")
