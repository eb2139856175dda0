"""How things are broken: processes killed, the org ordered to misbehave, a database closed, invalid events sent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer
from kit.ids import uuid7
from sandbox.stack.run_dir import ProcessState, ProcessStatus
from sandbox.stack.services import package_of
from sandbox.stack.supervisor import find_process

from tests.observability.live import Observed, eventually
from tools.chaos.topics import FACTS, records

LOOK_SECONDS = 0.05


async def kill(observed: Observed, name: str) -> None:
    """End the process at once; returns when the supervisor has started another."""
    process = find_process(_status(observed, name))
    assert process is not None, f"{name} does not run"
    killed = process.pid
    os.kill(killed, signal.SIGKILL)

    async def another() -> bool:
        status = _status(observed, name)
        return status.pid != killed and find_process(status) is not None

    await eventually(f"{name} is started again", another)


async def alive(observed: Observed, service: str) -> None:
    """Wait until the service answers, ready or not."""

    async def answers() -> bool:
        try:
            return (await observed.http.get(f"{observed.stack.urls[service]}/livez")).is_success
        except httpx.TransportError:
            return False

    await eventually(f"{service} answers", answers)


async def ready_again(observed: Observed, name: str) -> None:
    """Wait until the supervisor finds the process ready."""

    async def ready() -> bool:
        return _status(observed, name).state is ProcessState.READY

    await eventually(f"{name} is ready", ready)


@asynccontextmanager
async def held_down(observed: Observed, name: str) -> AsyncIterator[None]:
    """The process is killed, and again each time that the supervisor starts it, until the block ends."""

    async def hold() -> NoReturn:
        while True:
            if (process := find_process(_status(observed, name))) is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            await asyncio.sleep(LOOK_SECONDS)

    async with asyncio.TaskGroup() as group:
        holding = group.create_task(hold())
        await asyncio.sleep(LOOK_SECONDS)
        yield
        holding.cancel()


@asynccontextmanager
async def fault(observed: Observed, **ordered: object) -> AsyncIterator[None]:
    """The org misbehaves as ordered for the block."""
    url = f"{observed.org_url}/_sim/faults"
    (await observed.http.post(url, json=ordered)).raise_for_status()
    try:
        yield
    finally:
        with suppress(httpx.TransportError):
            (await observed.http.delete(url)).raise_for_status()


@asynccontextmanager
async def closed_database(observed: Observed, service: str) -> AsyncIterator[None]:
    """The service's database ends every connection and accepts none for the block."""
    name = package_of(service)
    connection = await asyncpg.connect(observed.environment["POSTGRES_ADMIN_URL"])
    try:
        await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield
    finally:
        await connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await connection.close()


@asynccontextmanager
async def locked_table(observed: Observed, service: str, table: str) -> AsyncIterator[None]:
    """A maintenance job holds the table for the block."""
    base = observed.environment["POSTGRES_ADMIN_URL"].rpartition("/")[0]
    connection = await asyncpg.connect(f"{base}/{package_of(service)}")
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def publish_again(observed: Observed, topic: str) -> None:
    """The first event of the topic once more, as a sender does that missed the broker's answer."""
    kafka = observed.stack.kafka()
    first = await anext(records(kafka, [each for each in FACTS if each.name == topic]))
    producer = AIOKafkaProducer(**kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, first.value, key=first.key, headers=list(first.headers))
    finally:
        await producer.stop()


async def publish_invalid(observed: Observed, topic: str, count: int) -> None:
    """Events of a type that does not exist, each of its own key, all in one partition."""
    producer = AIOKafkaProducer(**observed.stack.kafka())
    await producer.start()
    try:
        for number in range(count):
            headers = [("ce_id", str(uuid7()).encode()), ("ce_type", b"stagecraft.unheard.of.v1.Event")]
            await producer.send_and_wait(
                topic, b"\xff\xff", key=f"acme:none-{number}".encode(), headers=headers, partition=0
            )
    finally:
        await producer.stop()


def _status(observed: Observed, name: str) -> ProcessStatus:
    for status in observed.stack.status().processes:
        if status.name == name:
            return status
    raise AssertionError(f"the stack has no process {name}")
