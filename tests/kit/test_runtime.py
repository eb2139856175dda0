"""What an operator sees while something is broken: liveness with its reason, and one line that tells the truth."""

import asyncio
import re
import time
from pathlib import Path

import httpx
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from kit.ids import uuid7
from kit.observability.health import LIMIT_SECONDS
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sandbox.stack.health import COLUMNS, health_of
from sqlalchemy.engine import make_url
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from tests.kit.processes import Process, migrate, release

pytestmark = pytest.mark.stack

SAMPLE = Path(__file__).parent
ANOTHER_LEADS = """
    UPDATE lease SET holder = 'another', backend = pg_backend_pid(), expires_at = now() + interval '1 hour'
"""
IT_ENDED = "UPDATE lease SET expires_at = now()"


def submission(key: str = "fine") -> AssessmentSubmitted:
    return AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id="o", assessment_key=key)


@pytest.fixture
def time_passes(own_service, monkeypatch):
    """Lets the limit pass at once: whoever lives beats again by the new time, and only who hangs is overdue."""

    def skip():
        monkeypatch.setattr(own_service.runtime.watchdog, "_clock", lambda: time.monotonic() + LIMIT_SECONDS + 1)

    return skip


async def dead(service, reason):
    answer = await service.client.get("/livez")
    assert answer.status_code == 503
    told = answer.json()["reasons"]
    # The relay and the event loop have beaten by the new time.
    assert len(told) == 1
    assert re.fullmatch(reason, told[0])


async def alive(service):
    answer = await service.client.get("/livez")
    assert (answer.status_code, answer.json()["reasons"]) == (200, [])


async def test_a_handler_that_hangs_turns_liveness_off_and_is_named(own_service, tenant, eventually, time_passes):
    from sample.consumers import Faults

    gate = asyncio.Event()
    own_service.runtime.resources.get(Faults).hold["stuck"] = gate
    await own_service.publish(submission("stuck"), tenant=tenant)

    async def taken():
        assert own_service.runtime.resources.get(Faults).calls == 1

    await eventually(taken)
    await alive(own_service)
    time_passes()
    topic = r"\S+\.stagecraft\.assessment\.submitted\.v1"
    await eventually(lambda: dead(own_service, rf"consumer has not run for \d+ s, since it got 1 of {topic}\[\d\]@0"))
    gate.set()
    await eventually(lambda: alive(own_service))
    assert len(await own_service.events(SubmissionScored, tenant=tenant, count=1)) == 1


async def test_a_client_that_never_answers_turns_liveness_off(own_service, eventually, time_passes, monkeypatch):
    """As aiokafka's consumer has done when its background task had died."""
    # It is not replaced meanwhile.
    monkeypatch.setattr("kit.delivery.consumer.SILENT_SECONDS", 3600)
    gate, asked, fetch = asyncio.Event(), asyncio.Event(), AIOKafkaConsumer.getmany

    async def never(consumer, *given, **options):
        if consumer._group_id == own_service.runtime.consumer.group:
            asked.set()
            await gate.wait()
        return await fetch(consumer, *given, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", never)
    await asyncio.wait_for(asked.wait(), 30)
    time_passes()
    await eventually(lambda: dead(own_service, r"consumer has not run for \d+ s, since it asked for events"))
    gate.set()
    await eventually(lambda: alive(own_service))


@pytest.fixture
def fresh_events(own_service, tenant):
    """Publishes one event, and waits until it was handled."""

    async def publish(sequence):
        await own_service.publish(submission(), tenant=tenant, sequence=sequence)
        assert len(await own_service.events(SubmissionScored, tenant=tenant, count=sequence)) == sequence

    return publish


async def test_a_client_that_never_answers_is_replaced(own_service, fresh_events, monkeypatch):
    monkeypatch.setattr("kit.delivery.consumer.SILENT_SECONDS", 3)
    lost, fetch, asked = set(), AIOKafkaConsumer.getmany, asyncio.Event()

    async def never(consumer, *given, **options):
        if consumer._group_id == own_service.runtime.consumer.group and (not lost or consumer in lost):
            lost.add(consumer)
            asked.set()
            await asyncio.Event().wait()
        return await fetch(consumer, *given, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", never)
    await asyncio.wait_for(asked.wait(), 30)
    await fresh_events(1)
    assert len(lost) == 1
    assert own_service.runtime.consumer.last_error == "ClientStalled: the client has returned nothing for 3 s"


async def test_a_client_that_fetches_no_more_is_replaced_and_no_event_is_missed(
    own_service, fresh_events, eventually, monkeypatch
):
    await fresh_events(1)
    # Long enough for the client that follows to find its places, also on a busy machine.
    monkeypatch.setattr("kit.delivery.stall.CHECK_SECONDS", 2)
    lost, decide = set(), Fetcher._get_actions_per_node

    def nothing(fetcher, assignment):
        ours = any(partition.topic.startswith(own_service.settings.topic_prefix) for partition in assignment.tps)
        if ours and fetcher._client._client_id == "sample" and (not lost or fetcher in lost):
            lost.add(fetcher)
            return [], {}, 0.1, False, []
        return decide(fetcher, assignment)

    async def stopped():
        assert lost
        assert not any(fetcher._in_flight for fetcher in lost)

    monkeypatch.setattr(Fetcher, "_get_actions_per_node", nothing)
    await eventually(stopped)
    await fresh_events(2)
    assert len(lost) == 1
    assert re.fullmatch(
        r"ClientStalled: .* does not fetch: \S+\.submitted\.v1\[\d\]@1", own_service.runtime.consumer.last_error
    )


async def test_what_comes_while_a_batch_is_at_work_is_the_next_batch_as_a_whole(
    own_service, tenant, eventually, monkeypatch
):
    """The client keeps what it fetched first, and fetches nothing more of a partition before that is taken."""
    from sample.consumers import Faults

    monkeypatch.setattr("kit.delivery.consumer.READY_SECONDS", 60)
    monkeypatch.setattr("kit.delivery.consumer.GATHER_MS", 5000)
    gate, faults = asyncio.Event(), own_service.runtime.resources.get(Faults)
    faults.hold["first"] = gate
    await own_service.publish(submission("first"), tenant=tenant, sequence=1)

    async def taken():
        assert faults.calls == 1

    await eventually(taken)
    for sequence in range(2, 12):
        await own_service.publish(submission(), tenant=tenant, sequence=sequence)
        await asyncio.sleep(0.05)
    gate.set()
    scored = await own_service.events(SubmissionScored, tenant=tenant, count=11)
    assert [event.sequence for event in scored] == list(range(1, 12))
    assert faults.calls == 2


async def test_make_status_tells_what_is_wrong_while_it_is(outside, tenant, tmp_path, infrastructure, eventually):
    tree = release(1, tmp_path)
    await asyncio.to_thread(migrate, tree, outside.owner_url)
    process = Process(tree, outside.settings)
    try:
        await process.until_ready(outside.client)

        async def shows(**expected):
            _, line = (await asyncio.to_thread(health_of, {"sample": process.url})).lines
            cells = [*re.split(r"\s{2,}", line.strip()), ""]
            told = dict(zip((column.replace(" ", "_") for column in COLUMNS), cells, strict=False))
            for column, words in expected.items():
                assert re.search(words, told[column]), line

        nothing = {"lag": "^0$", "outbox": "^0$", "outbox_age": r"^0\.0 s$", "dead_letters": "^0$"}
        await eventually(lambda: shows(ready="yes", last_error="^$", **nothing))

        poison = AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id="p", assessment_key="poison")
        await outside.publish(poison, tenant=tenant)
        await eventually(lambda: shows(ready="yes", dead_letters="^1$", last_error="poisoned"))

        process.kill()
        process = Process(tree, outside.settings)
        await process.until_ready(outside.client)
        await eventually(lambda: shows(ready="yes", dead_letters="^1$", last_error="^$"))
        letters = f"{process.url}/v1/dead-letters"
        sre = outside.headers(tenant, "sre")
        [letter] = (await outside.client.get(letters, headers=sre)).json()["items"]
        path = f"{letters}/{letter['dead_letter_id']}/dismiss"
        assert (await outside.client.post(path, json={"reason": "a test"}, headers=sre)).status_code == 200
        await eventually(lambda: shows(ready="yes", dead_letters="^0$"))

        with psycopg.connect(outside.owner_url) as blocker:
            blocker.execute("LOCK TABLE note IN ACCESS EXCLUSIVE MODE")
            for _ in range(7):
                await outside.publish(submission(), tenant=tenant)
            await eventually(lambda: shows(lag="^7$"))
        # One after the other: what has left the lag is in the outbox first.
        await eventually(lambda: shows(lag="^0$"))
        await eventually(lambda: shows(outbox="^0$"))

        name = make_url(outside.owner_url).database
        with psycopg.connect(make_conninfo(infrastructure.admin_url, dbname=name), autocommit=True) as other:
            other.execute(ANOTHER_LEADS)
            made = await outside.client.post(
                f"{process.url}/v1/notes", json={"text": "a"}, headers=outside.headers(tenant)
            )
            assert made.status_code == 201
            await eventually(lambda: shows(outbox="^1$", outbox_age=r"^[1-9]\d*\.\d s$"))
            other.execute(IT_ENDED)
        await eventually(lambda: shows(outbox="^0$"))

        open_to_all(infrastructure.admin_url, name, False)
        try:
            await outside.publish(submission(), tenant=tenant)
            away = "the database cannot be written to"
            await eventually(lambda: shows(ready="no", lag="^1$", outbox=r"^\?$", last_error=away))
        finally:
            open_to_all(infrastructure.admin_url, name, True)
        await eventually(lambda: shows(ready="yes", lag="^0$", outbox="^0$"))
    finally:
        process.kill()


def open_to_all(admin_url, name, everybody):
    with psycopg.connect(admin_url, autocommit=True) as connection:
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        connection.execute(allow.format(sql.Identifier(name), sql.Literal(everybody)))
        if not everybody:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


async def test_a_gauge_that_cannot_be_measured_vanishes(own_service, monkeypatch, eventually):
    monkeypatch.setattr("kit.observability.health._SHARED_SECONDS", 0)

    async def away():
        raise ConnectionError("away")

    async def shows(is_shown, count):
        """A measurement that began before may still be on its way."""
        status = (await own_service.client.get("/statusz")).json()
        metrics = (await own_service.client.get("/metrics")).text
        assert ('outbox_events{service="sample"}' in metrics, status["outbox_events"]) == (is_shown, count)

    await eventually(lambda: shows(True, 0))
    with monkeypatch.context() as patch:
        patch.setattr(own_service.runtime.relay, "measure", away)
        await eventually(lambda: shows(False, None))
    await eventually(lambda: shows(True, 0))


@pytest.fixture
async def silent_broker():
    """Accepts every connection and says nothing; its address."""
    ended = asyncio.Event()

    async def say_nothing(reader, writer):
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ended.set()
    server.close()


async def test_a_broker_that_says_nothing_is_no_reason_to_restart_and_requests_go_on(
    outside, tenant, silent_broker, monkeypatch, eventually
):
    from sample.main import create

    await asyncio.to_thread(migrate, SAMPLE, outside.owner_url)
    # The same relations as between the real ones.
    monkeypatch.setattr("kit.delivery.consumer._CONNECT_SECONDS", 0.6)
    monkeypatch.setattr("kit.runtime._CONNECT_SECONDS", 0.6)
    monkeypatch.setattr("kit.relay.outbox.POLL_SECONDS", 0.05)
    app = create(outside.settings.model_copy(update={"kafka_bootstrap_servers": silent_broker}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def running():
                made = await client.post("/v1/notes", json={"text": "a"}, headers=outside.headers(tenant))
                assert made.status_code == 201

            await eventually(running)
            # Each loop has to beat within the limit, which a clock that passes a second with each turn makes 25 turns:
            # while the machine holds up all of them, it stands still.
            now = [time.monotonic()]
            monkeypatch.setattr(app.state.runtime.watchdog, "_clock", lambda: now[0])
            for _ in range(35):
                now[0] += 1
                assert (await client.get("/livez")).json()["reasons"] == []
                await running()
                await asyncio.sleep(0.2)
            assert (await client.get("/readyz")).status_code == 503


async def test_what_needs_no_token_tells_nothing_of_tables_or_events_and_measures_once_a_second(
    own_service, tenant, eventually, monkeypatch
):
    await own_service.publish(submission("broken table"), tenant=tenant)

    async def failed():
        assert "no_such_table" in own_service.runtime.consumer.last_error

    await eventually(failed)
    shown = (await own_service.client.get("/statusz")).text
    assert "handler_failed" in shown
    assert not re.search(r"no_such_table|SELECT|column|relation", shown)
    headers = own_service.headers(tenant, "sre")
    assert "no_such_table" in (await own_service.client.get("/statusz", headers=headers)).json()["last_error"]
    looks, probe = [], own_service.database.write_probe

    async def counted():
        looks.append(True)
        await probe()

    monkeypatch.setattr(own_service.database, "write_probe", counted)
    began = time.monotonic()
    for _ in range(20):
        await asyncio.gather(*(own_service.client.get(path) for path in ("/readyz", "/statusz", "/metrics") * 5))
    assert len(looks) <= time.monotonic() - began + 1


async def test_work_that_does_not_move_makes_unready_and_not_dead(own_service, tenant, eventually, monkeypatch):
    """Neither loop has stopped: what they say is not what counts."""
    monkeypatch.setattr("kit.runtime._STILL_SECONDS", 1)
    runtime = own_service.runtime

    async def idle():
        return 0

    monkeypatch.setattr(runtime.relay, "round", idle)
    monkeypatch.setattr(runtime.consumer.batches, "apply", _all_again)
    made = await own_service.client.post("/v1/notes", json={"text": "a"}, headers=own_service.headers(tenant))
    assert made.status_code == 201
    await own_service.publish(submission(), tenant=tenant)

    async def says_both():
        answer = await own_service.client.get("/readyz")
        said = " ".join(answer.json()["reasons"])
        assert "the outbox does not move" in said
        assert re.search(r"no event was handled for 1 s of \S+\.submitted\.v1\[\d\]", said)

    await eventually(says_both)
    await alive(own_service)


async def _all_again(records):
    return records
