"""Restarts each service in turn under load, as a deployment does: a new instance starts, the old one reports that it is
not ready and ends, and no request may fail. Requests are sent once here: one that fails is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from random import Random

import httpx
from kit.ids import uuid7
from sandbox.stack import Stack
from sandbox.stack.services import SERVICES
from sandbox.story.journal import HandIn

from tools.chaos.breaking import Breaker
from tools.chaos.instance import Instance
from tools.chaos.work import Work

# What is read of each service meanwhile.
READS: Mapping[str, str] = {
    "assessment": "/v1/assessment-templates",
    "scoring": "/v1/profile-templates",
    "stage-engine": "/v1/pipelines",
    "crm-connector": "/v1/connection",
    "recommender": "/v1/model",
}
POLL_SECONDS = 0.2
# Longer than a few looks at readiness: until the next look, requests still go to an instance that leaves.
DRAIN_SECONDS = 2.0
PAUSE_SECONDS = 0.1
SETTLE_SECONDS = 1.0


class ReadyUrls(Mapping[str, str]):
    """The address of an instance of each service that was ready at the last look, as a load balancer chooses.

    `refused` counts by service how often an instance went from ready straight to a closed port.
    """

    def __init__(self, urls: Mapping[str, str], http: httpx.AsyncClient) -> None:
        self.refused: Counter[str] = Counter()
        self._http = http
        self._known = {service: {url: True} for service, url in urls.items()}
        self._chance = Random("balancer")

    def __getitem__(self, service: str) -> str:
        known = self._known[service]
        return self._chance.choice([url for url, ready in known.items() if ready] or list(known))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def add(self, service: str, url: str) -> None:
        self._known[service][url] = True

    def remove(self, service: str, url: str) -> None:
        del self._known[service][url]

    async def watch(self) -> None:
        """Look at every instance again and again."""
        while True:
            for service, known in self._known.items():
                for url, was_ready in list(known.items()):
                    status = await self._status(url)
                    if was_ready and status == 0 and url in known:
                        self.refused[service] += 1
                    if url in known:
                        known[url] = status == 200
            await asyncio.sleep(POLL_SECONDS)

    async def _status(self, url: str) -> int:
        try:
            return (await self._http.get(f"{url}/readyz", headers={"Connection": "close"})).status_code
        except httpx.TransportError:
            return 0


class Rolling:
    """One rolling restart of everything. `faults` are the requests that were not answered well, in words."""

    def __init__(self, stack: Stack, breaker: Breaker, work: Work, http: httpx.AsyncClient, tenant: str) -> None:
        self.faults: list[str] = []
        self.requests = 0
        self._stack = stack
        self._breaker = breaker
        self._work = work
        self._http = http
        self._admin = {"Authorization": f"Bearer {stack.token(tenant, 'admin', 'sales-ops')}"}
        self._urls = ReadyUrls(stack.urls, http)

    async def perform(self) -> None:
        """Restart all five services under load."""
        load = [asyncio.create_task(self._read(service)) for service in SERVICES]
        load += [asyncio.create_task(self._submit()), asyncio.create_task(self._urls.watch())]
        try:
            for service in SERVICES:
                await self._restart(service)
        finally:
            for task in load:
                task.cancel()
            for outcome in await asyncio.gather(*load, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        self.faults += [f"{service} closed its port before it was unready" for service in self._urls.refused]

    async def _restart(self, service: str) -> None:
        second = Instance(self._stack, service)
        await second.start()
        try:
            await second.until_ready()
            self._urls.add(service, second.url)
            pid = await self._breaker.living(service)
            os.kill(pid, signal.SIGTERM)
            await self._breaker.until_ready(service, other_than=pid)
            await asyncio.sleep(SETTLE_SECONDS)
            await second.stop()
            self._urls.remove(service, second.url)
        finally:
            with suppress(ProcessLookupError):
                await second.kill()

    async def _read(self, service: str) -> None:
        while True:
            await self._once("GET", service, READS[service], self._admin)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _submit(self) -> None:
        chance = Random("rolling")
        while True:
            opportunity, key = chance.choice(self._work.opportunities), str(uuid7())
            body = self._work.draw(opportunity, chance, 0)
            # A request that is cancelled here may have been accepted, so the judge must know of it.
            sending = asyncio.create_task(self._once("PUT", "assessment", f"/v1/submissions/{key}", self._admin, body))
            try:
                await asyncio.shield(sending)
            finally:
                if await sending:
                    done = HandIn(key, opportunity.key, body["opportunity_id"], body["assessment_key"], True, 0.0, "")
                    self._work.journal.accept(done)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _once(
        self, method: str, service: str, path: str, headers: Mapping[str, str], body: object = None
    ) -> bool:
        """Send a request a single time, and note it when it is lost."""
        self.requests += 1
        began = time.monotonic()
        url = self._urls[service]
        try:
            answer = await self._http.request(method, url + path, json=body, headers=headers)
        except httpx.TransportError as problem:
            self.faults.append(f"{method} {path} of {service} at {url}: {type(problem).__name__} {problem}")
            return False
        if not answer.is_success:
            took = time.monotonic() - began
            self.faults.append(f"{method} {path} of {service} at {url}: {answer.status_code} after {took:.1f} s")
        return answer.is_success
