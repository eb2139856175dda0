"""Connections have deadlines, and are replaced when the server can no longer be written to."""

import asyncio

import asyncpg
import psycopg
import pytest
from kit.database.faults import Fault, fault_of
from kit.ids import uuid7
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


def submission() -> AssessmentSubmitted:
    return AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id="o", assessment_key="fine")


DEADLINES = {
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "1min",
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


async def test_every_session_has_deadlines_at_both_ends(service):
    for engine in (service.database.engine, service.database.side):
        async with engine.connect() as connection:
            found = {name: (await connection.execute(text(f"SHOW {name}"))).scalar() for name in DEADLINES}
            driver = (await connection.get_raw_connection()).driver_connection
        assert found == DEADLINES
        held = driver._transport.get_extra_info("socket")
        import socket

        assert held.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000


async def test_a_silent_session_that_holds_locks_delays_and_loses_nothing(start_own, tenant):
    """A host that went away in the middle of a transaction: its session lives on, with the rows that it locked."""
    service = await start_own(database_lock_seconds=1)
    event_id = await service.publish(submission(), tenant=tenant, sequence=1)
    await service.events(SubmissionScored, tenant=tenant, count=1)
    name = make_url(service.settings.database_url.get_secret_value()).set(drivername="postgresql")
    ghost = await asyncpg.connect(name.render_as_string(hide_password=False))
    try:
        await ghost.execute("BEGIN")
        await ghost.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
        held = uuid7()
        claim = "INSERT INTO inbox (tenant_id, consumer, event_id) VALUES ($1, $2, $3)"
        await ghost.execute(claim, tenant, service.runtime.consumer.group, held)
        await service.publish(submission(), tenant=tenant, sequence=2, event_id=held)
        await service.publish(submission(), tenant=f"{tenant}-other", sequence=3)
        # Another tenant's event does not wait for the ghost.
        assert len(await service.events(SubmissionScored, tenant=f"{tenant}-other", count=1)) == 1
        # Now the server ends it, as it does after DATABASE_IDLE_SECONDS.
        await ghost.execute("SET LOCAL idle_in_transaction_session_timeout = '1s'")
        found = await service.events(SubmissionScored, tenant=tenant, count=2)
        assert [event.sequence for event in found] == [1, 2]
        assert event_id != held
        assert (await service.client.get("/livez")).status_code == 200
        answer = await service.client.get("/v1/dead-letters", headers=service.headers(tenant))
        assert answer.json()["items"] == []
    finally:
        ghost.terminate()


async def test_a_primary_that_was_demoted_is_left_as_soon_as_there_is_one_to_write_to(
    own_service, infrastructure, tenant, eventually
):
    name = make_url(own_service.owner_url).database
    headers = own_service.headers(tenant)

    def read_only(demoted: bool) -> None:
        with psycopg.connect(infrastructure.admin_url, autocommit=True) as connection:
            alter = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
            connection.execute(alter.format(sql.Identifier(name), sql.Literal(demoted)))
            if demoted:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    async def make() -> int:
        answer = await own_service.client.post("/v1/notes", json={"text": "a"}, headers=headers)
        if answer.status_code == 503:
            assert answer.json()["code"] == "unavailable"
            assert answer.headers["Retry-After"]
        return answer.status_code

    assert await make() == 201
    await asyncio.to_thread(read_only, True)
    try:
        assert await make() == 503
        await own_service.publish(submission(), tenant=tenant, sequence=7)

        async def says_so():
            answer = await own_service.client.get("/readyz")
            assert answer.status_code == 503
            assert "database" in " ".join(answer.json()["reasons"])

        await eventually(says_so)
        assert (await own_service.client.get("/livez")).status_code == 200
    finally:
        await asyncio.to_thread(read_only, False)

    async def works():
        assert await make() == 201

    await eventually(works)

    async def handled():
        found = await own_service.events(SubmissionScored, tenant=tenant, count=3)
        assert 7 in [event.sequence for event in found]

    await eventually(handled)


async def test_a_session_that_became_read_only_is_replaced(own_service, tenant):
    """The server was demoted while its sessions stayed, and promoted again."""
    database = own_service.database
    for _ in range(2):
        async with database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            await driver.execute("SET default_transaction_read_only = on")
        headers = own_service.headers(tenant)
        first = await own_service.client.post("/v1/notes", json={"text": "a"}, headers=headers)
        again = await own_service.client.post("/v1/notes", json={"text": "a"}, headers=headers)
        assert (first.status_code, again.status_code) == (503, 201)


async def test_a_statement_past_its_deadline_passes_and_one_that_takes_long_may_say_so(service, tenant):
    with pytest.raises(Exception, match="statement timeout") as raised:
        async with service.database.unit_of_work(tenant) as uow:
            await uow.session.execute(text("SET LOCAL statement_timeout = '10ms'"))
            await uow.session.execute(text("SELECT pg_sleep(1)"))
    assert fault_of(raised.value) is Fault.PASSING
