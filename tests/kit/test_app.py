"""A service whose database, schema or broker is not there when it starts: it waits, says for what, and goes on."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest
from kit import app
from kit.contracts.events import Event
from kit.ids import utc_now, uuid7
from sandbox.stack.ports import free_ports
from sqlalchemy.engine import make_url
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from tests.kit.processes import HERE, Process, migrate, release

pytestmark = pytest.mark.stack


@asynccontextmanager
async def forwarded(port, host, to_port):
    """A server on this port that passes everything on, as a database that comes up late."""

    async def serve(reader, writer):
        from_server, to_server = await asyncio.open_connection(host, to_port)
        await asyncio.gather(copy(reader, to_server), copy(from_server, writer), return_exceptions=True)

    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def reasons(process, http):
    answer = await process.answer(http, "/readyz")
    return answer.json()["reasons"]


async def test_it_waits_for_its_database_and_then_serves(outside, tenant, tmp_path, eventually):
    tree, http = release(1, tmp_path), outside.client
    await asyncio.to_thread(migrate, tree, outside.owner_url)
    url = make_url(outside.settings.database_url.get_secret_value())
    (port,) = free_ports(1)
    late = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    process = Process(tree, outside.settings, DATABASE_URL=late)
    try:

        async def says_what_it_waits_for():
            words = "starting: waiting for the database: it refuses the connection"
            assert await reasons(process, http) == [words]

        await eventually(says_what_it_waits_for)
        assert (await process.answer(http, "/livez")).status_code == 200
        early = await http.post(f"{process.url}/v1/notes", json={"text": "a"}, headers=outside.headers(tenant))
        assert (early.status_code, early.json()["code"]) == (503, "starting")
        assert early.headers["retry-after"] == "1"
        assert "the database" in early.json()["detail"]
        metrics = (await process.answer(http, "/metrics")).text
        assert 'service_ready{service="sample"} 0.0' in metrics
        async with forwarded(port, url.host, url.port):
            await process.until_ready(http)
            made = await http.post(f"{process.url}/v1/notes", json={"text": "a"}, headers=outside.headers(tenant))
            assert made.status_code == 201
            assert await asyncio.to_thread(process.stop) == 0
    finally:
        process.kill()
    assert "Traceback" not in process.log
    assert process.log.count("it waits for the database") == 1


async def test_it_waits_for_its_schema_and_then_serves(outside, tmp_path, eventually):
    tree = release(1, tmp_path)
    process = Process(tree, outside.settings)
    try:

        async def says_what_to_run():
            (reason,) = await reasons(process, outside.client)
            assert "run `python -m kit migrate sample`" in reason

        await eventually(says_what_to_run)
        await asyncio.to_thread(migrate, tree, outside.owner_url)
        await process.until_ready(outside.client)
    finally:
        process.kill()


async def test_it_says_that_the_broker_refuses_the_connection(outside, tmp_path, eventually):
    tree = release(1, tmp_path)
    await asyncio.to_thread(migrate, tree, outside.owner_url)
    (port,) = free_ports(1)
    process = Process(tree, outside.settings, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
    try:

        async def says_what_it_waits_for():
            words = f"the broker cannot be reached: 127.0.0.1:{port}: it refuses the connection"
            assert words in await reasons(process, outside.client)

        await eventually(says_what_it_waits_for)
        assert (await process.answer(outside.client, "/livez")).status_code == 200
        assert "Traceback" not in process.log
    finally:
        process.kill()


async def test_one_that_waits_can_be_stopped(outside, tmp_path):
    process = Process(release(1, tmp_path), outside.settings, DATABASE_URL="postgresql://app@127.0.0.1:1/sample")
    try:
        await process.answer(outside.client, "/livez")
        assert await asyncio.to_thread(process.stop) == 0
        assert "Traceback" not in process.log
    finally:
        process.kill()


BROKEN = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("CREATE TABLE half_done (id int)")
    op.execute("ALTER TABLE no_such_table ADD COLUMN x int")
"""


async def test_a_migration_that_fails_half_way_changes_nothing_and_says_so(outside, tmp_path):
    tree = release(1, tmp_path)
    await asyncio.to_thread(migrate, tree, outside.owner_url)
    (tree / "sample" / "migrations" / "versions" / "0002_broken.py").write_text(BROKEN)
    ended = await asyncio.to_thread(kit, "migrate", "sample", tree=tree, MIGRATION_DATABASE_URL=outside.owner_url)
    assert ended.returncode == 1
    assert 'the migration stopped: relation "no_such_table" does not exist' in ended.stderr
    assert "has changed nothing" in ended.stderr and "Traceback" not in ended.stderr
    with psycopg.connect(outside.owner_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert connection.execute("SELECT to_regclass('half_done')").fetchone() == (None,)
    # What it did not finish stops no release that runs.
    (tree / "sample" / "migrations" / "versions" / "0002_broken.py").unlink()
    process = Process(tree, outside.settings)
    try:
        await process.until_ready(outside.client)
    finally:
        process.kill()


def kit(*arguments, tree=HERE, **environment):
    given = {**os.environ, "PYTHONPATH": str(tree), **environment}
    command = [sys.executable, "-m", "kit", *arguments]
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)


def test_wrong_settings_are_named_in_a_line_each():
    secret = {"DATABASE_URL": "postgresql://app:hunter2@db/x", "KAFKA_PASSWORD": "hunter2"}
    ended = kit("serve", "sample", DATABASE_POOL_SIZE="many", DRAIN_SECONDS="-1", **secret)
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["DATABASE_POOL_SIZE", "DRAIN_SECONDS"]
    assert "hunter2" not in ended.stderr
    production = kit("serve", "sample", ENVIRONMENT="production", OIDC_JWKS_URL="https://issuer/keys", **secret)
    assert production.returncode == 2
    assert "KAFKA_TLS must be true in production" in production.stderr


def test_an_unknown_service_is_named():
    ended = kit("serve", "nonesuch")
    assert (ended.returncode, ended.stderr) == (2, "no service 'nonesuch' is installed\n")
    assert kit("--help").stdout.count("python -m kit serve") >= 2


async def test_every_request_is_a_line_and_a_count(outside, tenant, tmp_path):
    tree, http = release(1, tmp_path), outside.client
    await asyncio.to_thread(migrate, tree, outside.owner_url)
    process = Process(tree, outside.settings, TRACE_SAMPLE_RATIO="1", ROOT_PATH="/api/sample")
    headers = outside.headers(tenant, subject="ann")
    try:
        await process.until_ready(http)
        refused = await http.post(f"{process.url}/v1/notes?secret=1", json={"txt": "a"}, headers=headers)
        assert refused.status_code == 422
        # A proxy may leave its prefix in place.
        assert (await http.get(f"{process.url}/api/sample/v1/notes", headers=headers)).status_code == 200
        assert (await http.get(f"{process.url}/v1/nothing")).status_code == 404
        broken = await http.post(f"{process.url}/v1/notes", json={"text": "a", "fail": True}, headers=headers)
        assert broken.status_code == 500
        metrics = (await process.answer(http, "/metrics")).text
    finally:
        process.kill()
    lines = [json.loads(line) for line in process.log.splitlines() if '"logger": "http"' in line]
    assert [(line["operation"], line["status"], line.get("code")) for line in lines] == [
        ("create_note", 422, "unknown_parameter"),
        ("list_notes", 200, None),
        ("unmatched", 404, "not_found"),
        ("create_note", 500, "internal_error"),
    ]
    first, *_, last = lines
    assert (first["tenant_id"], first["subject"], first["method"]) == (tenant, "ann", "POST")
    assert first["path"] == "/v1/notes" and first["milliseconds"] >= 0
    assert first["trace_id"] == refused.json()["trace_id"] != ""
    assert (last["level"], last["fault"]) == ("ERROR", "ZeroDivisionError")
    count = 'http_requests_total{code="unknown_parameter",operation="create_note",service="sample",status="422"} 1.0'
    assert count in metrics
    assert 'http_request_seconds_count{operation="list_notes",service="sample"} 1.0' in metrics
    assert 'operation="readyz"' not in metrics


async def test_a_clock_that_jumps_is_shown_and_stops_nothing(service, tenant, monkeypatch):
    """An event from a producer whose clock is an hour ahead, and a process whose clock goes back by an hour."""
    message = AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id="o")
    ahead = Event(tenant, message, 1, time=utc_now() + timedelta(hours=1))
    await service.send(ahead.record("test", service.settings.topic_prefix))
    assert len(await service.events(SubmissionScored, tenant=tenant, count=1)) == 1
    back = time.time() - 3600
    monkeypatch.setattr("kit.runtime.time", SimpleNamespace(time=lambda: back))
    shown = (await service.client.get("/metrics")).text
    (clock,) = re.findall(r'^service_clock_seconds{service="sample"} (\S+)', shown, re.MULTILINE)
    assert float(clock) == pytest.approx(back)
    ages = re.findall(r"^consumer_event_age_seconds_sum{\S+ (\S+)", shown, re.MULTILINE)
    assert ages and all(float(age) >= 0 for age in ages)
    assert (await service.client.get("/livez")).status_code == 200


async def test_a_loop_that_fails_starts_again_later_and_later_and_for_ever(monkeypatch):
    """Any of them: a loop has no way to end but by the wish to stop, or by its own decision."""
    stop, pauses, runs = asyncio.Event(), [], 0

    async def noted(_, seconds):
        pauses.append(seconds)

    async def failing(until):
        nonlocal runs
        runs += 1
        if runs > 1500:
            until.set()
        raise OverflowError("a bug")

    monkeypatch.setattr(app.log, "exception", lambda *_: None)
    await asyncio.wait_for(app._supervised("loop", failing, stop, noted), 60)
    assert runs == 1501
    assert pauses[:3] == [1, 2, 4] and max(pauses) == pauses[-1] == 60

    async def ends(_):
        nonlocal runs
        runs = 0

    await app._supervised("loop", ends, asyncio.Event())
    assert runs == 0


async def test_a_loop_that_its_client_cancels_starts_again_and_one_that_we_cancel_ends(monkeypatch):
    monkeypatch.setattr(app, "_RESTART_SECONDS", 0.001)
    runs, waits = [], asyncio.Event()

    async def cancelled_from_within(stop):
        runs.append(stop)
        if len(runs) < 3:
            raise asyncio.CancelledError
        waits.set()
        await stop.wait()

    task = asyncio.create_task(app._supervised("loop", cancelled_from_within, asyncio.Event()))
    await asyncio.wait_for(waits.wait(), 60)
    assert len(runs) == 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_loop_whose_group_of_tasks_failed_starts_again_each_time_and_can_still_be_cancelled(monkeypatch):
    """A group asks its own task to end, and Python 3.11 never takes that request back."""
    monkeypatch.setattr(app, "_RESTART_SECONDS", 0.001)
    runs, waits = 0, asyncio.Event()

    async def fails():
        await asyncio.sleep(0)
        raise ConnectionError

    async def leads(stop):
        nonlocal runs
        runs += 1
        async with asyncio.TaskGroup() as group:
            group.create_task(stop.wait())
            if runs < 4:
                group.create_task(fails())
            else:
                waits.set()

    task = asyncio.create_task(app._supervised("loop", leads, asyncio.Event()))
    await asyncio.wait_for(waits.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs == 4
