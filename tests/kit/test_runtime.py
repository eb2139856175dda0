"""What an operator sees while something is broken: liveness with its reason, and one line that tells the truth."""

import asyncio
import re
import time

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from kit.events import Event, Record
from kit.health import LIMIT_SECONDS
from kit.ids import uuid7
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sandbox.stack.health import COLUMNS, health_of
from sqlalchemy import text
from sqlalchemy.engine import make_url
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from tests.kit.processes import Process, migrate, release

pytestmark = pytest.mark.stack

RELAY_LOCK = 7235940121
# It comes back only after a pause.
END_LEADER = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


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
    lost, fetch = set(), AIOKafkaConsumer.getmany

    async def never(consumer, *given, **options):
        if consumer._group_id == own_service.runtime.consumer.group and (not lost or consumer in lost):
            lost.add(consumer)
            await asyncio.Event().wait()
        return await fetch(consumer, *given, **options)

    monkeypatch.setattr(AIOKafkaConsumer, "getmany", never)
    await fresh_events(1)
    assert len(lost) == 1
    assert own_service.runtime.consumer.last_error == "ClientStalled: the client has returned nothing for 3 s"


async def test_a_client_that_fetches_no_more_is_replaced_and_no_event_is_missed(
    own_service, fresh_events, eventually, monkeypatch
):
    await fresh_events(1)
    monkeypatch.setattr("kit.delivery.stall.CHECK_SECONDS", 0.3)
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


async def test_a_batch_that_is_repeated_does_not_count_its_invalid_events_again(own_service, tenant, monkeypatch):
    """Or an outage of minutes would halt the consumer for the one invalid event it found on the way."""
    from sample.consumers import Faults

    monkeypatch.setattr("kit.delivery.batch.HALT_AFTER_INVALID", 3)
    gate = asyncio.Event()
    faults = own_service.runtime.resources.get(Faults)
    faults.hold["slow"] = gate
    faults.retries["slow"] = 6
    await own_service.publish(submission("slow"), tenant=tenant, sequence=1)
    record = Event(tenant, submission(), 2).record("test", own_service.settings.topic_prefix)
    await own_service.send(Record(record.topic, record.key, b"\xff", record.headers))
    await own_service.publish(submission(), tenant=tenant, sequence=3)
    # From here on the three are fetched together.
    gate.set()
    scored = await own_service.events(SubmissionScored, tenant=tenant, count=2)
    assert [event.sequence for event in scored] == [1, 3]
    assert faults.calls > 6
    await alive(own_service)
    async with own_service.database.unit_of_work(tenant) as uow:
        assert (await uow.session.execute(text("SELECT count(*) FROM dead_letter"))).scalar() == 1


async def test_what_comes_while_a_batch_is_at_work_is_the_next_batch_as_a_whole(
    own_service, tenant, eventually, monkeypatch
):
    """The client keeps what it fetched first, and fetches nothing more of a partition before that is taken."""
    from sample.consumers import Faults

    monkeypatch.setattr("kit.delivery.consumer.READY_SECONDS", 1)
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


async def test_only_invalid_events_without_a_good_one_between_them_halt_the_consumer(own_service, tenant, monkeypatch):
    from sample.consumers import Faults

    monkeypatch.setattr("kit.delivery.batch.HALT_AFTER_INVALID", 3)
    gate = asyncio.Event()
    own_service.runtime.resources.get(Faults).hold["first"] = gate
    await own_service.publish(submission("first"), tenant=tenant, sequence=1)
    record = Event(tenant, submission(), 2).record("test", own_service.settings.topic_prefix)
    for sequence in (2, 3, 4, 5):
        for _ in range(3):
            await own_service.send(Record(record.topic, record.key, b"\xff", record.headers))
        await own_service.publish(submission(), tenant=tenant, sequence=sequence)
    # From here on all that came meanwhile is fetched together.
    gate.set()
    scored = await own_service.events(SubmissionScored, tenant=tenant, count=5)
    assert [event.sequence for event in scored] == [1, 2, 3, 4, 5]
    await alive(own_service)


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

        await outside.publish(submission("poison"), tenant=tenant)
        await eventually(lambda: shows(ready="yes", dead_letters="^1$", last_error="poisoned: as told"))

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
        with psycopg.connect(make_conninfo(infrastructure.admin_url, dbname=name)) as blocker:
            blocker.execute(END_LEADER)
            blocker.execute("SELECT pg_advisory_xact_lock(%s)", (RELAY_LOCK,))
            made = await outside.client.post(
                f"{process.url}/v1/notes", json={"text": "a"}, headers=outside.headers(tenant)
            )
            assert made.status_code == 201
            await eventually(lambda: shows(outbox="^1$", outbox_age=r"^[1-9]\d*\.\d s$"))
        await eventually(lambda: shows(outbox="^0$"))

        open_to_all(infrastructure.admin_url, name, False)
        try:
            await outside.publish(submission(), tenant=tenant)
            away = "the database does not answer"
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


async def test_a_gauge_that_cannot_be_measured_vanishes(own_service, monkeypatch):
    async def away():
        raise ConnectionError("away")

    async def shown():
        status = (await own_service.client.get("/statusz")).json()
        return 'outbox_events{service="sample"}' in (await own_service.client.get("/metrics")).text, status[
            "outbox_events"
        ]

    assert await shown() == (True, 0)
    with monkeypatch.context() as patch:
        patch.setattr(own_service.runtime.relay, "measure", away)
        assert await shown() == (False, None)
    assert await shown() == (True, 0)
