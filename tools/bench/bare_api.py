"""The reference of the API: bare FastAPI that validates a submission and inserts the same two rows in a transaction.

It has no callers, no isolation of tenants, no repetition, no definitions and no relay. `serving` runs it like a
service.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from assessment.models import submission
from fastapi import FastAPI, Request
from kit.database.tables import outbox
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sandbox.stack.ports import free_ports
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

ROOT = Path(__file__).parents[2]
POOL = 8
READY_SECONDS = 30.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
TOPIC = "bare.submitted.v1"
INSERT_SUBMISSION = """
INSERT INTO submission (tenant_id, submission_id, opportunity_id, assessment_key, assessment_version, stage_key,
                        visit_no, attempt_no, channel, submitted_by, captured_at, received_at, body, body_sha256,
                        content_sha256, entitled, warnings)
VALUES ($1, $2, $3, $4, $5, 'prospecting', 1, 1, 'online', 'rep', $6, $7, $8, $9, $9, true, '[]')
"""
INSERT_OUTBOX = """
INSERT INTO outbox (tenant_id, event_id, topic, key, value, headers) VALUES ($1, $2, $3, $4, $5, $6)
"""
DATABASE = "BARE_API_DATABASE"


class Submission(BaseModel):
    """A finished assessment."""

    model_config = ConfigDict(extra="forbid")

    opportunity_id: str
    assessment_key: str
    assessment_version: int
    answers: dict[str, Any]
    captured_at: AwareDatetime


class Receipt(BaseModel):
    """What was stored."""

    submission_id: uuid.UUID
    opportunity_id: str
    captured_at: datetime
    received_at: datetime


@asynccontextmanager
async def _lifespan(running: FastAPI) -> AsyncIterator[None]:
    owner = asyncio.create_task(_follow_owner())
    async with asyncpg.create_pool(os.environ[DATABASE], min_size=POOL, max_size=POOL) as pool:
        running.state.pool = pool
        yield
    owner.cancel()


async def _follow_owner() -> None:
    """End with the input, which ends when the bench does, even when it was killed."""
    control = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin)
    await control.read()
    os.kill(os.getpid(), signal.SIGTERM)


app = FastAPI(lifespan=_lifespan)


@app.put("/v1/submissions/{submission_id}", status_code=201, response_model=Receipt)
async def put_submission(submission_id: uuid.UUID, body: Submission, request: Request) -> Receipt:
    """Store it and its event."""
    now, content, tenant = datetime.now(UTC), body.model_dump_json(), "acme"
    headers = {"ce_id": str(uuid.uuid4()), "ce_type": TOPIC, "ce_time": now.isoformat(), "ce_tenantid": tenant}
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            INSERT_SUBMISSION, tenant, submission_id, body.opportunity_id, body.assessment_key,
            body.assessment_version, body.captured_at, now, content, submission_id.hex * 2,
        )  # fmt: skip
        await connection.execute(
            INSERT_OUTBOX, tenant, uuid.uuid4(), TOPIC, f"{tenant}/{body.opportunity_id}", content.encode(),
            json.dumps(headers),
        )  # fmt: skip
    return Receipt(
        submission_id=submission_id, opportunity_id=body.opportunity_id, captured_at=body.captured_at, received_at=now
    )


@contextmanager
def serving(postgres: str) -> Iterator[str]:
    """Run it on a database of its own, with the service's tables, and give its URL; `postgres` is the
    administrator's URL without a database."""
    name = f"bare_api_{uuid.uuid4().hex[:8]}"
    asyncio.run(_prepare(postgres, name))
    [port] = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "tools.bench.bare_api:app", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        env={**os.environ, DATABASE: f"{postgres}/{name}"},
        cwd=ROOT,
        # A terminal's Ctrl-C is for the bench, which ends this one by its input.
        start_new_session=True,
    )
    assert server.stdin is not None
    try:
        _wait(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stdin.close()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        asyncio.run(_drop(postgres, name))


async def _prepare(postgres: str, name: str) -> None:
    admin = await asyncpg.connect(f"{postgres}/postgres")
    await admin.execute(f'CREATE DATABASE "{name}"')
    await admin.close()
    connection = await asyncpg.connect(f"{postgres}/{name}")
    for table in (submission, outbox):
        for statement in _definition(table):
            await connection.execute(statement)
    await connection.close()


def _definition(table: Table) -> list[str]:
    dialect = postgresql.dialect()
    parts = [CreateTable(table), *(CreateIndex(index) for index in table.indexes)]
    return [str(part.compile(dialect=dialect)) for part in parts]


async def _drop(postgres: str, name: str) -> None:
    admin = await asyncpg.connect(f"{postgres}/postgres")
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the bare API does not answer") from None
            time.sleep(POLL_SECONDS)
        else:
            return
