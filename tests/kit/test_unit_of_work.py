"""A transaction ends with its block, whatever happens in it, and its connection is fit for the next."""

import asyncio

import asyncpg
import pytest
from kit.database.bulk import driver_of
from kit.errors import EventTooLarge
from kit.ids import uuid7
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack

ADD = text("INSERT INTO note VALUES (:tenant_id, :note_id, 'x', 1)")
ENDED = (asyncpg.AdminShutdownError, asyncpg.InterfaceError, asyncpg.ConnectionDoesNotExistError)
COUNT = text("SELECT count(*) FROM note")


async def add(uow):
    await uow.session.execute(ADD, {"tenant_id": uow.tenant_id, "note_id": uuid7()})


async def notes(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        return (await uow.session.execute(COUNT)).scalar()


def lent(service):
    return service.database.engine.sync_engine.pool.checkedout()


async def test_an_error_undoes_all_of_it(service, tenant):
    with pytest.raises(ZeroDivisionError):
        async with service.database.unit_of_work(tenant) as uow:
            await add(uow)
            raise ZeroDivisionError
    assert await notes(service, tenant) == 0


async def test_an_event_without_room_on_its_topic_is_never_committed(service, tenant):
    with pytest.raises(EventTooLarge, match="SubmissionScored may have 2097152 bytes"):
        async with service.database.unit_of_work(tenant) as uow:
            await add(uow)
            uow.publish(SubmissionScored(opportunity_id="o", score_id="x" * 2**21), sequence=1)
    assert await notes(service, tenant) == 0


async def test_an_attempt_that_fails_takes_back_its_own_part_only(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        await add(uow)
        with pytest.raises(DBAPIError):
            async with uow.attempt():
                await add(uow)
                uow.publish(AssessmentSubmitted(opportunity_id="x"), sequence=1)
                await uow.session.execute(text("SELECT 1/0"))
        async with uow.attempt():
            await add(uow)
    assert (await notes(service, tenant), uow.published) == (2, 0)


async def test_an_error_of_the_database_that_somebody_swallows_is_no_success(service, tenant):
    with pytest.raises(DBAPIError, match="rolled back"):
        async with service.database.unit_of_work(tenant) as uow:
            await add(uow)
            with pytest.raises(DBAPIError):
                await uow.session.execute(text("SELECT 1/0"))
    assert await notes(service, tenant) == 0


async def test_whoever_goes_away_leaves_no_transaction_behind(own_service, tenant, eventually):
    began = asyncio.Event()

    async def work():
        async with own_service.database.unit_of_work(tenant) as uow:
            await add(uow)
            began.set()
            await uow.session.execute(text("SELECT pg_sleep(60)"))

    for _ in range(15):
        began.clear()
        task = asyncio.create_task(work())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert lent(own_service) == 0
    assert await notes(own_service, tenant) == 0
    state = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'")

    async def none_is_open():
        async with own_service.database.engine.connect() as connection:
            assert (await connection.execute(state)).scalar() == 0

    # Tasks of the service are between two statements now and then. The server itself would end ours after a minute.
    await eventually(none_is_open, 30)


async def test_a_connection_the_server_closed_is_not_lent_again(own_service, tenant):
    async def ended():
        async with own_service.database.unit_of_work(tenant) as uow:
            driver = await driver_of(uow.session)
            with pytest.raises(ENDED):
                await driver.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            assert driver.is_closed()

    for _ in range(3):
        with pytest.raises(DBAPIError):
            await ended()
        assert await notes(own_service, tenant) == 0
    assert lent(own_service) == 0


@pytest.mark.parametrize("tenant_id", ["O'Brien", "a b", "''; DROP TABLE note; --", "\\", "é", "x" * 200])
async def test_a_tenant_may_be_called_anything(service, tenant_id):
    async with service.database.unit_of_work(tenant_id) as uow:
        await add(uow)
    assert await notes(service, tenant_id) == 1
    assert await notes(service, "another") == 0
