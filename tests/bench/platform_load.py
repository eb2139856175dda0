"""The platform under load, with the recording CRM adapter: submissions in through the public API, write intents out."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from aiokafka import AIOKafkaProducer
from kit.events import Event
from kit.ids import utc_now, uuid7
from sandbox.stack.control import Stack
from sandbox.stack.services import SERVICES
from sandbox.story.api import Caller, Refused
from sandbox.story.setup import publish_field_example
from stagecraft.crm.v1 import opportunity_observed_pb2 as observed

TENANT, REP = "acme", "005bench"
WRITERS = 16
BATCH_ITEMS = 100
BATCHES_AT_ONCE = 4
PASSING = {"hours": "over_5", "compliance": "yes"}
FAILING = {"hours": "two_to_four", "compliance": "yes"}


class Platform:
    """A running stack, filled with opportunities in Prospecting."""

    def __init__(self, stack: Stack, opportunities: int) -> None:
        self.stack = stack
        self.environment = stack.environment
        self.opportunities = [f"006{number:012d}" for number in range(opportunities)]
        self._next = 0

    def take(self, count: int) -> list[str]:
        """The next opportunities, round and round."""
        taken = [self.opportunities[(self._next + n) % len(self.opportunities)] for n in range(count)]
        self._next += count
        return taken

    def processes(self) -> dict[str, psutil.Process]:
        """The five services' processes."""
        pids = {process.name: process.pid for process in self.stack.status().processes}
        return {name: psutil.Process(pid) for name in SERVICES if (pid := pids.get(name))}

    def cpu_seconds(self) -> float:
        """CPU time the services have used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes().values())

    def resident_mb(self) -> float:
        """Resident memory of the services together, in MB."""
        return sum(process.memory_info().rss for process in self.processes().values()) / 1e6

    async def count(self, service: str, statement: str, *arguments: Any) -> Any:
        """One value from a service's database, as the administrator."""
        base = self.environment["POSTGRES_ADMIN_URL"].rsplit("/", 1)[0]
        connection = await asyncpg.connect(f"{base}/{service.replace('-', '_')}")
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()


@contextmanager
def platform(run_dir: Path, opportunities: int, crm_adapter: str = "recording") -> Iterator[Platform]:
    """A durable stack of its own with the field example published, gone afterwards."""
    os.environ["CRM_ADAPTER"] = crm_adapter
    stack = Stack(run_dir, durable=True)
    stack.reset()
    try:
        stack.up(owner_pid=os.getpid())
        running = Platform(stack, opportunities)
        asyncio.run(_fill(running))
        yield running
    finally:
        stack.reset()
        del os.environ["CRM_ADAPTER"]


async def _fill(running: Platform) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        admin = Caller(http, running.stack.urls, running.stack.token(TENANT, "admin", "bench"))
        await publish_field_example(admin)
    producer = AIOKafkaProducer(**running.stack.kafka(), linger_ms=5)
    await producer.start()
    sent = []
    for opportunity_id in running.opportunities:
        message = observed.OpportunityObserved(
            opportunity_id=opportunity_id,
            kind=observed.OBSERVATION_KIND_IMPORTED,
            stage_key="prospecting",
            crm_stage="Prospecting",
            amount="1000",
            owner_id=REP,
            change_id=f"bench:{opportunity_id}",
        )
        message.committed_at.FromDatetime(utc_now())
        record = Event(TENANT, message, 1).record("bench")
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        sent.append(await producer.send(record.topic, record.value, key=record.key.encode(), headers=headers))
    await asyncio.gather(*sent)
    await producer.stop()
    for service, table in (("stage-engine", "opportunity"), ("assessment", "opportunity")):
        await _until(running, service, f"SELECT count(*) FROM {table}", len(running.opportunities))


async def _until(running: Platform, service: str, statement: str, wanted: int, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while (found := await running.count(service, statement)) < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service}: {found} of {wanted} after {seconds:.0f} s: {statement}")
        await asyncio.sleep(0.1)


def submit(running: Platform, count: int, *, batches: bool, rate: float = 0) -> dict[str, Any]:
    """Submissions a second from the first one's sending to the last one's write intent, and the latencies in ms."""
    return asyncio.run(_submit(running, count, batches, rate))


async def _submit(running: Platform, count: int, batches: bool, rate: float) -> dict[str, Any]:
    intents = "SELECT count(*) FROM write_intent WHERE submission_id <> ''"
    before, began_at = await running.count("crm-connector", intents), utc_now()
    limits = httpx.Limits(max_connections=WRITERS)
    headers = {"Authorization": f"Bearer {running.stack.token(TENANT, 'rep', REP)}"}
    began = time.perf_counter()
    async with httpx.AsyncClient(timeout=120, limits=limits, headers=headers) as http:
        if batches:
            await _send_batches(http, running, count)
        else:
            await _send_single(http, running, count, rate)
    accepted = time.perf_counter()
    await _until(running, "crm-connector", intents, before + count)
    ended = time.perf_counter()
    return {"per_s": count / (ended - began), "accept_per_s": count / (accepted - began), "began_at": began_at}


def _item(opportunity_id: str) -> dict[str, Any]:
    return {
        "opportunity_id": opportunity_id,
        "assessment_key": "prospecting",
        "assessment_version": 1,
        "answers": FAILING,
        "captured_at": utc_now().isoformat(),
    }


async def _send_single(http: httpx.AsyncClient, running: Platform, count: int, rate: float) -> None:
    url, gate, began = running.stack.urls["assessment"], asyncio.Semaphore(WRITERS), time.perf_counter()

    async def send(opportunity_id: str) -> None:
        async with gate:
            answer = await http.put(f"{url}/v1/submissions/{uuid7()}", json=_item(opportunity_id))
        if answer.status_code != 201:
            raise Refused(answer)

    async with asyncio.TaskGroup() as group:
        for number, opportunity_id in enumerate(running.take(count)):
            if rate:
                await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(send(opportunity_id))


async def _send_batches(http: httpx.AsyncClient, running: Platform, count: int) -> None:
    url, gate = running.stack.urls["assessment"], asyncio.Semaphore(BATCHES_AT_ONCE)

    async def send(opportunity_ids: list[str]) -> None:
        items = [{"submission_id": str(uuid7()), **_item(opportunity_id)} for opportunity_id in opportunity_ids]
        async with gate:
            answer = await http.post(f"{url}/v1/submission-batches", json={"items": items})
        if not answer.is_success or {item["status"] for item in answer.json()["items"]} != {"accepted"}:
            raise Refused(answer)

    async with asyncio.TaskGroup() as group:
        for _ in range(0, count, BATCH_ITEMS):
            group.create_task(send(running.take(BATCH_ITEMS)))
