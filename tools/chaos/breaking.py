"""Carries out the schedule: kills, pauses and refuses, and notes how long each killed process was away."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import httpx
from sandbox.stack import Stack
from sandbox.stack.run_dir import ProcessState, ProcessStatus
from sandbox.stack.supervisor import find_process

from tools.chaos.databases import Databases
from tools.chaos.disk import FULL, SmallDisk
from tools.chaos.instance import Instance
from tools.chaos.outages import Outages, Spans
from tools.chaos.plan import BROKER, DATABASE, PROCESSES, Act, Plan, Step, schedule
from tools.chaos.poison import Poison

POLL_SECONDS = 0.1
# Far longer than a start and the longest back-off of the supervisor: a process away for longer is lost.
PATIENCE_SECONDS = 180
# What every service waits for, and what takes it away.
NEEDED = (BROKER, DATABASE)
STARVES = (Act.PAUSE_BROKER, Act.REFUSE_CONNECTIONS, Act.FILL_DISK, Act.HOLD_LOCKS, Act.DEMOTE)


class NotBack(Exception):
    """A killed process did not become ready again."""


class Breaker:
    """Breaks one stack. `kills` counts by process, `away` are seconds from a kill to readiness by process, `recoveries`
    those at which broker and database were there, `writes_refused` is how often the database found its disk full."""

    def __init__(
        self,
        plan: Plan,
        stack: Stack,
        databases: Databases,
        poison: Poison,
        disk: SmallDisk,
        say: Callable[[str], None],
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.away, self.recoveries = Spans(), Spans()
        self.writes_refused = 0
        self._plan = plan
        self._stack = stack
        self._databases = databases
        self._poison = poison
        self._disk = disk
        self._say = say
        self._second: Instance | None = None
        self._outages = Outages()
        self._acts: dict[Act, Callable[[str], Coroutine[Any, Any, None]]] = {
            Act.KILL: self._kill,
            Act.PAUSE_BROKER: self._pause_broker,
            Act.REFUSE_CONNECTIONS: self._refuse,
            Act.FILL_DISK: self._fill_disk,
            Act.HOLD_LOCKS: self._hold_locks,
            Act.DEMOTE: self._demote,
            Act.ANSWER_HTML: self._answer_html,
            Act.JUMP_CLOCK: self._jump,
            Act.POISON: self._spread_poison,
            Act.JOIN: self._join,
            Act.LEAVE: self._leave,
            Act.VANISH: self._vanish,
        }

    async def perform(self) -> None:
        """Do all of it; returns when every process is ready again. Raises NotBack."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.TaskGroup() as group:
                for step in schedule(self._plan):
                    await asyncio.sleep(max(0, began + step.at_s - clock()))
                    self._say(f"{step.act} {step.target}".strip())
                    group.create_task(self._do(step))
        finally:
            if self._second is not None:
                await self._second.kill()
        for process in PROCESSES:
            await self.until_ready(process)

    async def until_ready(self, name: str, other_than: int | None = None) -> None:
        """Wait until the process is ready, under another pid than that. Raises NotBack."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    status = self._status(name)
                    alive = find_process(status) is not None and status.pid != other_than
                    if alive and status.state is ProcessState.READY:
                        return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise NotBack(f"{name} is not back after {PATIENCE_SECONDS} s") from None

    async def living(self, name: str) -> int:
        """The pid of the process, as soon as it has one: also one that is only starting. Raises NotBack."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    if (process := find_process(self._status(name))) is not None:
                        return process.pid
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise NotBack(f"{name} did not start again within {PATIENCE_SECONDS} s") from None

    def _status(self, name: str) -> ProcessStatus:
        return next(status for status in self._stack.status().processes if status.name == name)

    async def _do(self, step: Step) -> None:
        with self._outages.noted() if step.act in STARVES else nullcontext():
            await self._acts[step.act](step.target)

    async def _kill(self, name: str) -> None:
        pid = await self.living(name)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        self.kills[name] += 1
        kill = self.kills[name]
        with self._outages.noted() if name in NEEDED else nullcontext():
            await self.until_ready(name, other_than=pid)
        ended = time.monotonic()
        # One that was killed again meanwhile recovers from that.
        if kill == self.kills[name]:
            alone = ended - killed if name in NEEDED else self._outages.without(killed, ended)
            self.away[name].append(ended - killed)
            self.recoveries[name].append(alone)
            self._say(f"  {name} is ready {ended - killed:.1f} s after it was killed, {alone:.1f} s of them its own")

    async def _pause_broker(self, _: str) -> None:
        pid = await self.living(BROKER)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._plan.pause_seconds)
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                self._say("the broker was killed while it was paused")

    async def _refuse(self, _: str) -> None:
        await self._databases.refuse_connections(self._plan.refuse_seconds)

    async def _fill_disk(self, _: str) -> None:
        """Full for a while, and at least until the database has noticed."""
        if self._disk.left_out:
            self._say(f"left out: {self._disk.left_out}")
            return
        log = self._stack.run.logs / f"{DATABASE}.log"
        before = log.read_text(errors="replace").count(FULL)
        await asyncio.to_thread(self._disk.fill)
        try:
            await asyncio.sleep(self._plan.full_disk_seconds)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self.writes_refused:
                    self.writes_refused = log.read_text(errors="replace").count(FULL) - before
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            self._say("nothing was written to a full disk")
        finally:
            await asyncio.to_thread(self._disk.free)

    async def _hold_locks(self, _: str) -> None:
        await self._databases.hold_locks(self._plan.hang_seconds)

    async def _demote(self, _: str) -> None:
        await self._databases.be_read_only(self._plan.hang_seconds)

    async def _answer_html(self, _: str) -> None:
        """The org's console is not among the paths that answer so."""
        await self._tell_org("POST", "/_sim/faults", {"html_503": True, "times": None, "match": "^(?!/_sim)"})
        await asyncio.sleep(self._plan.hang_seconds)
        await self._tell_org("DELETE", "/_sim/faults")

    async def _jump(self, _: str) -> None:
        await self._tell_org("POST", "/_sim/clock", {"seconds": self._plan.jump_seconds})

    async def _tell_org(self, method: str, path: str, body: object = None) -> None:
        """Repeated while the org is away."""
        url = f"{self._stack.environment['ORG_URL']}{path}"
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                try:
                    (await http.request(method, url, json=body)).raise_for_status()
                    return
                except httpx.TransportError:
                    await asyncio.sleep(POLL_SECONDS)

    async def _spread_poison(self, _: str) -> None:
        await self._poison.spread()

    async def _join(self, service: str) -> None:
        self._second = Instance(self._stack, service)
        await self._second.start()

    async def _leave(self, _: str) -> None:
        if self._second is not None:
            await self._second.stop()

    async def _vanish(self, _: str) -> None:
        if self._second is not None:
            await self._second.kill()
