"""Keeps processes running: start in order, wait for health, restart after a crash, stop in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import psutil

from sandbox.stack.errors import ProcessStartFailed

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
STEADY_SECONDS = 30.0
ORPHAN_SECONDS = 20.0
LOG_LINES = 25


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process: how to start it, how to see that it is ready, how to stop it.

    `environment` is laid over the supervisor's own. `ready` answers whether the process serves now; an
    OSError from it counts as "not yet".
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 20.0
    ready_seconds: float = 120.0


class ProcessState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    # What only an onlooker sees: the process ended and the supervisor has not noticed, or a signal holds it.
    GONE = "gone"
    SUSPENDED = "suspended"


@dataclass
class ProcessStatus:
    """What `status` shows of a process. `pid_created` tells it from a later one with the same pid."""

    name: str
    state: ProcessState
    since: str
    pid: int | None = None
    pid_created: float | None = None
    restarts: int = 0
    last_exit: int | None = None


class Supervised:
    """One process under supervision, from its first start until `stop`."""

    def __init__(self, spec: ProcessSpec, log: Path, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.status = ProcessStatus(spec.name, ProcessState.STARTING, _now())
        self._log = log
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start and wait until ready. Raises ProcessStartFailed, with nothing left running."""
        await self._launch()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.spec.name}")

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await self._end()
        self._set(ProcessState.STOPPED)

    async def replace(self, spec: ProcessSpec) -> None:
        """Stop, and start as `spec` says. Raises ProcessStartFailed."""
        await self.stop()
        self.spec = spec
        self._set(ProcessState.STARTING)
        await self.start()

    async def _launch(self) -> None:
        try:
            await self._spawn()
            await self._wait_until_ready()
        except BaseException:
            await self._end(at_once=True)
            raise
        self._set(ProcessState.READY)

    async def _spawn(self) -> None:
        with self._log.open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.spec.command,
                    env={**os.environ, **self.spec.environment},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A terminal's Ctrl-C must reach the supervisor only, which stops the rest in order.
                    start_new_session=True,
                )
            except OSError as problem:
                raise ProcessStartFailed(self.spec.name, f"cannot be started: {problem}", "") from problem
        self._process = process
        self.status.pid = process.pid
        try:
            self.status.pid_created = psutil.Process(process.pid).create_time()
        except psutil.NoSuchProcess:
            self.status.pid_created = None
        self._changed()

    async def _wait_until_ready(self) -> None:
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        try:
            async with asyncio.timeout(self.spec.ready_seconds):
                while not ended.done():
                    if await _is_ready(self.spec) and not ended.done():
                        return
                    await asyncio.wait([ended], timeout=POLL_SECONDS)
        except TimeoutError:
            reason = f"was not ready within {self.spec.ready_seconds:.0f} s"
            raise ProcessStartFailed(self.spec.name, reason, self._last_lines()) from None
        finally:
            ended.cancel()
            await asyncio.wait([ended])
        self.status.last_exit = self._process.returncode
        reason = f"ended with exit code {self._process.returncode} before it was ready"
        raise ProcessStartFailed(self.spec.name, reason, self._last_lines())

    async def _watch(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            assert self._process is not None
            self.status.last_exit = await self._process.wait()
            if clock() - started > STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            logger.warning("%s ended with exit code %s", self.spec.name, self.status.last_exit)
            backoff = await self._restart(backoff)

    async def _restart(self, backoff: float) -> float:
        """Start again until it stays up; returns the back-off to use if it crashes soon after."""
        while True:
            self.status.restarts += 1
            self._set(ProcessState.RESTARTING)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            try:
                await self._launch()
            except ProcessStartFailed as problem:
                logger.warning("%s", str(problem).splitlines()[0])
            else:
                logger.info("%s is ready again", self.spec.name)
                return backoff

    async def _end(self, *, at_once: bool = False) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGKILL if at_once else self.spec.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self.spec.stop_seconds)
            except TimeoutError:
                logger.warning("%s did not stop within %.0f s", self.spec.name, self.spec.stop_seconds)
                _signal_group(process.pid, signal.SIGKILL)
                await process.wait()
        self.status.pid = self.status.pid_created = None

    def _set(self, state: ProcessState) -> None:
        self.status.state = state
        self.status.since = _now()
        self._changed()

    def _last_lines(self) -> str:
        return last_lines(self._log)


class Supervisor:
    """Runs processes and reports every change of their state to `changed`.

    Logs are `<logs>/<name>.log`; the log of the run before is kept as `<name>.log.1`.
    """

    def __init__(self, logs: Path, changed: Callable[[list[ProcessStatus]], None]) -> None:
        self._logs = logs
        self._changed = changed
        self._supervised: list[Supervised] = []
        logs.mkdir(parents=True, exist_ok=True)

    def statuses(self) -> list[ProcessStatus]:
        return [supervised.status for supervised in self._supervised]

    async def start(self, *specs: ProcessSpec) -> None:
        """Start all of them side by side and wait until each is ready; the first failure is raised."""
        await _all(*(self._add(spec).start() for spec in specs))

    async def replace(self, *specs: ProcessSpec) -> None:
        """Stop the processes of these names and start them anew, side by side; the first failure is raised."""
        running = {supervised.spec.name: supervised for supervised in self._supervised}
        await _all(*(running[spec.name].replace(spec) for spec in specs))

    def _add(self, spec: ProcessSpec) -> Supervised:
        log = self._logs / f"{spec.name}.log"
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        supervised = Supervised(spec, log, lambda: self._changed(self.statuses()))
        self._supervised.append(supervised)
        return supervised

    async def stop(self) -> None:
        """Stop what was started last first, so that nothing loses what it depends on."""
        for supervised in reversed(self._supervised):
            await supervised.stop()


def find_process(status: ProcessStatus) -> psutil.Process | None:
    """The process of that status while it lives, never a later one with its pid."""
    try:
        process = psutil.Process(status.pid) if status.pid else None
        same = process is not None and process.create_time() == status.pid_created
        return process if same else None
    except psutil.NoSuchProcess:
        return None


def as_it_is(status: ProcessStatus) -> ProcessStatus:
    """The status with the state that the process has now, whatever was written of it."""
    if status.state is not ProcessState.READY:
        return status
    process = find_process(status)
    try:
        if process is None or process.status() == psutil.STATUS_ZOMBIE:
            return replace(status, state=ProcessState.GONE)
        held = process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return replace(status, state=ProcessState.GONE)
    return replace(status, state=ProcessState.SUSPENDED) if held else status


def end_orphans(statuses: Sequence[ProcessStatus]) -> None:
    """End processes that outlived their supervisor."""
    left = [process for status in statuses if (process := find_process(status)) is not None]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(left, timeout=ORPHAN_SECONDS)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def last_lines(log: Path, count: int = LOG_LINES) -> str:
    """The end of a log, indented for printing below a message; empty when there is none."""
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"  {line}" for line in lines)


async def _all(*starts: Coroutine[None, None, None]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except BaseExceptionGroup as problems:
        raise problems.exceptions[0] from None


async def _is_ready(spec: ProcessSpec) -> bool:
    try:
        return await spec.ready()
    except OSError:
        return False


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Children of a killed process must not outlive it; a graceful stop is the process's own affair."""
    try:
        if number == signal.SIGKILL:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
