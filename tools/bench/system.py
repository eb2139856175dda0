"""The system under load: a stack of its own, filled with opportunities, and how its submissions go."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop
from aiokafka import AIOKafkaProducer
from kit.contracts.events import Event
from kit.ids import utc_now, uuid7
from sandbox.stack.control import Stack
from sandbox.stack.services import SERVICES
from sandbox.story.api import Caller
from sandbox.story.play import loopback_client
from sandbox.story.setup import publish_field_example
from stagecraft.common.v1.fact_pb2 import Fact
from stagecraft.crm.v1 import record_observed_pb2 as observed

from tools.bench import load
from tools.bench.outcome import Outcome, outcome_of
from tools.chaos.databases import Databases
from tools.chaos.topics import lags

TENANT, REP = "acme", "005bench"
BATCH_ITEMS = 100
BATCHES_AT_ONCE = 4
PASSING = {"hours": "over_5", "compliance": "yes"}
FAILING = {"hours": "two_to_four", "compliance": "yes"}
CRM_ADAPTER = "STACK_CRM_ADAPTER"
# How fast timers fire is measured, not bounded.
UNBOUNDED = 1_000_000
PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.2
# A write intent's time is its transaction's beginning; the reference stamps its rows when it inserts them.
STAMP_AT_INSERT = "ALTER TABLE write_intent ALTER COLUMN created_at SET DEFAULT clock_timestamp()"
ACCEPTED = (
    "SELECT submission_id::text AS id, extract(epoch FROM received_at)::float8 AS at FROM submission"
    " WHERE received_at >= $1"
)
INTENDED = (
    "SELECT submission_id AS id, extract(epoch FROM created_at)::float8 AS at FROM write_intent"
    " WHERE created_at >= $1 AND submission_id <> ''"
)
CONFIRMED = (
    "SELECT submission_id AS id, extract(epoch FROM settled_at)::float8 AS at FROM write_intent"
    " WHERE created_at >= $1 AND submission_id <> '' AND outcome IN ('CONFIRMED', 'ECHOED')"
)
# Counts every intent ever inserted, without reading them.
INTENTS_SO_FAR = "SELECT coalesce(last_value, 0) FROM pg_sequences WHERE sequencename = 'write_intent_position_seq'"
CHANGES = "SELECT count(*) FROM transition WHERE submission_id <> ''"
OPEN_WRITES = "SELECT count(*) FROM write_queue WHERE state IN ('NEW', 'SENT')"


@dataclass(frozen=True)
class Work:
    """Submissions one by one or as offline batches, at full speed or at a rate a second; each is done when `done`, a
    query of the connector, tells its moment."""

    count: int
    batches: bool = False
    rate: float = 0.0
    answers: Mapping[str, str] = field(default_factory=lambda: FAILING)
    done: str = INTENDED


class System:
    """A running stack with opportunities in Prospecting."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.environment = stack.environment
        self.databases = Databases(self.environment["POSTGRES_ADMIN_URL"])
        self._opportunities: Iterator[str] = iter(())
        self._rep = REP

    def use(self, opportunities: Sequence[str], rep: str = REP) -> None:
        """Submit for these of one rep's from now on, round and round in an order that has nothing to do with their
        age."""
        self._rep = rep
        self._opportunities = itertools.cycle(random.Random(1).sample(opportunities, len(opportunities)))

    @property
    def postgres(self) -> str:
        """The administrator's URL without a database."""
        return self.environment["POSTGRES_ADMIN_URL"].rsplit("/", 1)[0]

    @property
    def kafka(self) -> dict[str, Any]:
        return self.stack.kafka()

    def processes(self) -> dict[str, psutil.Process]:
        """The five services' processes."""
        pids = {process.name: process.pid for process in self.stack.status().processes}
        return {name: psutil.Process(pid) for name in SERVICES if (pid := pids[name])}

    def cpu_seconds(self) -> float:
        """CPU time the services have used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes().values())

    def changes(self) -> int:
        """Stage changes on evidence so far."""
        return uvloop.run(self.databases.value("stage-engine", CHANGES))

    def resident_mb(self) -> float:
        """Resident memory of the services together, in MB."""
        return sum(process.memory_info().rss for process in self.processes().values()) / 1e6

    def requests(self, work: Work) -> tuple[list[bytes], set[str]]:
        """Requests that hand this in, and the submissions' ids."""
        # The opportunities of a filled database have many owners.
        token = self.stack.token(TENANT, "service", self._rep)
        items = {str(uuid7()): _item(next(self._opportunities), work.answers) for _ in range(work.count)}
        if not work.batches:
            made = [load.request("PUT", f"/v1/submissions/{key}", item, token) for key, item in items.items()]
            return made, set(items)
        queue = [{"submission_id": key, **item} for key, item in items.items()]
        made = [
            load.request("POST", "/v1/submission-batches", {"items": queue[first : first + BATCH_ITEMS]}, token)
            for first in range(0, len(queue), BATCH_ITEMS)
        ]
        return made, set(items)

    def submit(self, work: Work, warm_up: int = 0) -> Outcome:
        """Hand in and wait until all is done; then until nothing is on its way, so that whatever is measured next is
        not disturbed. The `warm_up` goes first, at full speed, and does not count."""
        return uvloop.run(self._submit(work, warm_up))

    async def _submit(self, work: Work, warm_up: int) -> Outcome:
        if warm_up:
            await self._send(replace(work, count=warm_up, rate=0))
            await self.settled()
        outcome = await self._send(work)
        await self.settled()
        return outcome

    async def _send(self, work: Work) -> Outcome:
        requests, ids = self.requests(work)
        intents, since = await self.databases.value("crm-connector", INTENTS_SO_FAR), utc_now()
        connections = BATCHES_AT_ONCE if work.batches else load.CONNECTIONS
        wanted = all_accepted if work.batches else load.created
        await load.drive(self.stack.urls["assessment"], requests, wanted, rate=work.rate, connections=connections)
        await self.until("crm-connector", INTENTS_SO_FAR, intents + work.count)
        ended = await self._moments("crm-connector", work.done, since, ids)
        began = await self._moments("assessment", ACCEPTED, since, ids)
        return outcome_of(began, ended)

    @contextmanager
    def only(self, service: str) -> Iterator[None]:
        """Pause the processes of the other services for the block: they use no processor time."""
        others = [process for name, process in self.processes().items() if name != service]
        try:
            for process in others:
                process.suspend()
            yield
        finally:
            for process in others:
                process.resume()

    async def _moments(self, service: str, query: str, since: datetime, ids: set[str]) -> dict[str, float]:
        """When it happened to each of these submissions, once it has to all."""
        found: dict[str, float] = {}

        async def missing() -> bool:
            rows = await self.databases.rows(service, query, since)
            found.update((row["id"], row["at"]) for row in rows if row["id"] in ids)
            return len(found) < len(ids)

        await _while(missing, f"{service} lacks some of {len(ids)} submissions")
        return found

    async def until(self, service: str, query: str, wanted: int) -> None:
        """Wait until the count is reached."""

        async def missing() -> bool:
            return await self.databases.value(service, query) < wanted

        await _while(missing, f"{service} does not reach {wanted}: {query}")

    async def relayed(self, service: str) -> None:
        """Wait until the service has sent all its events."""

        async def waiting() -> bool:
            return service in await self.databases.outbox_left()

        await _while(waiting, f"{service} does not send its events")

    async def settled(self) -> None:
        """Wait until no event and no write is on its way."""

        async def moving() -> bool:
            return bool(
                await self.databases.value("crm-connector", OPEN_WRITES)
                or await self.databases.outbox_left()
                or await lags(self.kafka)
            )

        await _while(moving, "events are still on their way")


async def _while(true: Callable[[], Awaitable[bool]], complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while await true():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        await asyncio.sleep(POLL_SECONDS)


def all_accepted(status: int, body: bytes) -> bool:
    """Whether every item of a batch was accepted as new."""
    return status == 200 and all(item["status"] == "accepted" for item in json.loads(body)["items"])


def _item(opportunity_id: str, answers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "opportunity_id": opportunity_id,
        "assessment_key": "prospecting",
        "assessment_version": 1,
        "answers": answers,
        "captured_at": utc_now().isoformat(),
    }


@contextmanager
def stack_of(run_dir: Path) -> Iterator[Stack]:
    """A durable stack of its own, not yet started, gone afterwards."""
    stack = Stack(run_dir, durable=True)
    try:
        yield stack
    finally:
        stack.reset()


def start(stack: Stack, crm_adapter: str = "recording") -> System:
    """Start it; it ends with this process, should that be killed."""
    given = {CRM_ADAPTER: crm_adapter, "TIMERS_PER_SECOND": str(UNBOUNDED)}
    before = {name: os.environ.get(name) for name in given}
    # The supervisor, and with it every service, inherits it.
    os.environ.update(given)
    try:
        stack.up(owner_pid=os.getpid())
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    return System(stack)


@contextmanager
def system(run_dir: Path, opportunities: int) -> Iterator[System]:
    """A system that writes to no CRM, with the field example published and so many opportunities observed."""
    with stack_of(run_dir) as stack:
        running = start(stack)
        uvloop.run(publish(running))
        fill(running, opportunity_ids(opportunities))
        yield running


def opportunity_ids(count: int, first: int = 0) -> list[str]:
    """Ids of 18 characters, as services keep them."""
    return [f"006{number:015d}" for number in range(first, first + count)]


def fill(running: System, opportunities: Sequence[str]) -> None:
    """Have these opportunities observed by events, and submit for them from now on."""
    uvloop.run(observe(running, opportunities))
    running.use(opportunities)


async def publish(running: System) -> None:
    """Publish the field example, and have write intents stamped like the reference's rows."""
    await running.databases.rows("crm-connector", STAMP_AT_INSERT)
    async with loopback_client() as http:
        await publish_field_example(admin_of(running, http))


def admin_of(running: System, http: httpx.AsyncClient) -> Caller:
    """An administrator of the tenant."""
    return Caller(http, running.stack.urls, running.stack.token(TENANT, "admin", "bench"))


async def observe(running: System, opportunities: Sequence[str]) -> None:
    """Have these opportunities observed in Prospecting, with the connector's events, and wait until all services
    know."""
    seen = "SELECT count(*) FROM opportunity"
    places = ("stage-engine", "assessment")
    before = {service: await running.databases.value(service, seen) for service in places}
    async with AIOKafkaProducer(**running.kafka, linger_ms=5) as producer:
        sent = []
        for opportunity_id in opportunities:
            record = Event(TENANT, sight(opportunity_id, REP), 1).record("bench")
            headers = [(name, value.encode()) for name, value in record.headers.items()]
            sent.append(await producer.send(record.topic, record.value, key=record.key.encode(), headers=headers))
        await asyncio.gather(*sent)
    for service in places:
        await running.until(service, seen, before[service] + len(opportunities))
    await running.settled()


def sight(opportunity_id: str, owner_id: str) -> observed.RecordObserved:
    """The CRM shows an opportunity in Prospecting."""
    message = observed.RecordObserved(
        object_type="opportunity",
        record_id=opportunity_id,
        kind=observed.OBSERVATION_KIND_IMPORTED,
        mapped_stages=[observed.MappedStage(pipeline_key="field_example", stage_key="prospecting")],
        crm_stage="Prospecting",
        facts=[Fact(name="opportunity.amount", decimal="1000")],
        owner_id=owner_id,
        change_id=f"seen:{opportunity_id}",
    )
    message.committed_at.FromDatetime(utc_now())
    return message
