"""Consumers that come and go, halt, and stop in good order, on a real broker."""

import httpx
import pytest
from kit.contracts.events import Event, Record, event_type
from kit.ids import uuid7
from kit.observability.telemetry import DUPLICATES
from sqlalchemy import text
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


def submission(opportunity: str) -> AssessmentSubmitted:
    return AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id=opportunity, assessment_key="fine")


async def test_a_tenants_bad_events_stop_no_one_elses(own_service, tenant, eventually):
    record = Event("evil", submission("o"), 1).record("test", own_service.settings.topic_prefix)
    for number in range(300):
        key = f"evil:o{number % 7}"
        await own_service.send(Record(record.topic, key, b"\xff", record.headers))
    for number in range(20):
        await own_service.publish(submission(f"o{number}"), tenant=tenant, sequence=number)
    assert len(await own_service.events(SubmissionScored, tenant=tenant, count=20)) == 20
    assert (await own_service.client.get("/livez")).status_code == 200

    async def all_kept():
        async with own_service.database.unit_of_work("evil") as uow:
            assert (await uow.session.execute(text("SELECT count(*) FROM dead_letter"))).scalar() == 300

    await eventually(all_kept)


async def test_members_that_join_and_leave_lose_nothing_and_double_nothing(own_service, tenant, start_again):
    async def produce(first, count):
        for number in range(first, first + count):
            await own_service.publish(submission(f"o{number % 9}"), tenant=tenant, sequence=number)

    await produce(0, 100)
    async with start_again(own_service):
        await produce(100, 100)
    await produce(200, 50)
    async with start_again(own_service):
        await produce(250, 50)
    scored = await own_service.events(SubmissionScored, tenant=tenant, count=300)
    assert sorted(event.sequence for event in scored) == list(range(300))
    for opportunity in range(9):
        mine = [e.sequence for e in scored if e.message.opportunity_id == f"o{opportunity}"]
        assert mine == sorted(mine)
    async with own_service.database.unit_of_work(tenant) as uow:
        assert (await uow.session.execute(text("SELECT max(seen) FROM note"))).scalar() == 1


async def test_who_gives_partitions_away_commits_what_it_handled(own_service, tenant, start_again, monkeypatch):
    consumer = own_service.runtime.consumer
    commit, leave, leaving = consumer._commit, consumer._leave, []

    async def commit_when_leaving(client):
        if leaving:
            await commit(client)

    async def leave_at_last():
        leaving.append(True)
        await leave()

    monkeypatch.setattr(consumer, "_commit", commit_when_leaving)
    monkeypatch.setattr(consumer, "_leave", leave_at_last)
    for number in range(40):
        await own_service.publish(submission(f"o{number}"), tenant=tenant, sequence=number)
    await own_service.events(SubmissionScored, tenant=tenant, count=40)
    assert not leaving
    async with start_again(own_service):
        await own_service.publish(submission("o0"), tenant=tenant, sequence=40)
        await own_service.events(SubmissionScored, tenant=tenant, count=41)
    assert leaving
    topic = own_service.settings.topic_prefix + event_type(AssessmentSubmitted).topic
    assert DUPLICATES.labels("sample", topic)._value.get() == 0


@pytest.fixture
def start_again(eventually):
    """A second instance of a running service, on its database and in its consumer group."""
    from contextlib import asynccontextmanager

    from sample.main import create

    @asynccontextmanager
    async def start(service):
        app = create(service.settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

                async def ready():
                    assert (await client.get("/readyz")).status_code == 200

                await eventually(ready)
                yield app

    return start


async def test_stopping_drains_the_outbox(own_service, tenant, start_again, monkeypatch):
    async with start_again(own_service) as second:
        database, relay = second.state.database, second.state.runtime.relay
        # The first instance leads, and would do the second one's work.
        monkeypatch.setattr(own_service.runtime.relay, "round", _nothing)
        await own_service.runtime.relay.close()
        held = relay.round
        monkeypatch.setattr(relay, "round", _nothing)
        for sequence in range(700):
            async with database.unit_of_work(tenant) as uow:
                uow.publish(SubmissionScored(opportunity_id="o"), sequence=sequence)
        monkeypatch.setattr(relay, "round", held)
    async with own_service.database.unit_of_work(tenant) as uow:
        assert (await uow.session.execute(text("SELECT count(*) FROM outbox"))).scalar() == 0
    scored = await own_service.events(SubmissionScored, tenant=tenant, count=700)
    assert [event.sequence for event in scored] == list(range(700))


async def _nothing():
    return 0


async def test_a_producer_that_failed_is_never_used_again(own_service, tenant, monkeypatch):
    relay = own_service.runtime.relay
    await own_service.client.post("/v1/notes", json={"text": "a"}, headers=own_service.headers(tenant))
    await own_service.events(SubmissionScored, tenant=tenant, count=1)
    stuck = await relay._link.producer()

    async def out_of_order(*_, **__):
        raise RuntimeError("OutOfOrderSequenceNumber")

    monkeypatch.setattr(stuck, "send", out_of_order)
    await own_service.client.post("/v1/notes", json={"text": "b"}, headers=own_service.headers(tenant))
    assert len(await own_service.events(SubmissionScored, tenant=tenant, count=2)) == 2
    assert await relay._link.producer() is not stuck


async def test_a_database_that_refuses_everybody_is_waited_out(own_service, infrastructure, tenant, eventually):
    """A request is told to come again, and no event is to blame for a login that was refused."""
    import psycopg
    from psycopg import sql
    from sqlalchemy.engine import make_url

    name = make_url(own_service.owner_url).database
    headers = own_service.headers(tenant)

    def let_in(everybody: bool) -> None:
        with psycopg.connect(infrastructure.admin_url, autocommit=True) as connection:
            allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            connection.execute(allow.format(sql.Identifier(name), sql.Literal(everybody)))
            if not everybody:
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    retried = own_service.runtime.consumer
    let_in(False)
    try:
        for sequence in range(5):
            await own_service.publish(submission("o"), tenant=tenant, sequence=sequence)

        async def refused():
            answer = await own_service.client.post("/v1/notes", json={"text": "a"}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["Retry-After"]
            assert "not currently accepting connections" in retried.last_error

        await eventually(refused)
    finally:
        let_in(True)
    scored = await own_service.events(SubmissionScored, tenant=tenant, count=5)
    assert [event.sequence for event in scored] == list(range(5))

    async def none_was_blamed():
        answer = await own_service.client.get("/v1/dead-letters", headers=headers)
        assert (answer.status_code, answer.json()["items"]) == (200, [])

    await eventually(none_was_blamed)


async def test_commits_do_not_wake_a_relay_that_backs_off(own_service, tenant, monkeypatch):
    relay, rounds = own_service.runtime.relay, []

    async def unreachable():
        rounds.append(True)
        raise ConnectionError("no broker")

    monkeypatch.setattr(relay, "round", unreachable)
    for _ in range(40):
        await own_service.client.post("/v1/notes", json={"text": "a"}, headers=own_service.headers(tenant))
    assert len(rounds) < 10
    monkeypatch.undo()
    assert len(await own_service.events(SubmissionScored, tenant=tenant, count=40)) == 40


async def test_on_sigterm_readiness_goes_off_before_the_port_closes(own_service, eventually):
    import os
    import signal
    import subprocess
    import sys
    from pathlib import Path

    from sandbox.stack.ports import free_ports

    settings = own_service.settings
    (port,) = free_ports(1)
    environment = {
        "PYTHONPATH": str(Path(__file__).parent),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "KAFKA_IDEMPOTENCE": str(settings.kafka_idempotence).lower(),
        "TOPIC_PREFIX": settings.topic_prefix,
        "DRAIN_SECONDS": "8",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "sample.main:create", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: ASYNC220
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

            async def answers(status):
                try:
                    answer = await client.get("/readyz")
                except httpx.TransportError as problem:
                    raise AssertionError("the port is closed") from problem
                assert answer.status_code == status
                return answer.json()["reasons"]

            await eventually(lambda: answers(200))
            process.send_signal(signal.SIGTERM)
            assert "stopping" in await eventually(lambda: answers(503))
            assert (await client.get("/livez")).status_code == 200
        assert process.wait(60) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


async def test_requests_that_find_no_connection_are_told_to_come_again(tenant, start_service, monkeypatch):
    crowded = await start_service("sample", database_pool_size=2)
    monkeypatch.setattr(crowded.database.engine.sync_engine.pool, "_timeout", 0.2)
    async with crowded.database.unit_of_work(tenant), crowded.database.unit_of_work(tenant):
        headers = crowded.headers(tenant)
        answer = await crowded.client.post("/v1/notes", json={"text": "a"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    answer = await crowded.client.post("/v1/notes", json={"text": "a"}, headers=headers)
    assert answer.status_code == 201
