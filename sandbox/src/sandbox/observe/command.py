"""What `make observe` does, from the start to Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

import uvicorn

from sandbox.observe.app import Observed, page_app
from sandbox.observe.prometheus import Prometheus, PrometheusUnavailable, find_prometheus, rule_files, targets_of
from sandbox.observe.query import NoPrometheus
from sandbox.stack import Stack, StackError
from sandbox.stack.run_dir import Phase

HOST = "127.0.0.1"
SCRAPE_SECONDS = 5.0
GRACE_SECONDS = 2
Say = Callable[[str], None]


class AlreadyObserved(StackError):
    """Another `make observe` runs for the same stack."""


class PageServer(uvicorn.Server):
    """uvicorn that leaves signals to the command, which has more than a page to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Observation:
    """The page, the receiver of spans and Prometheus beside the stack in a run directory.

    Everything that is started here is stopped again, and the stack is left as it was found: it goes on without sending
    spans, or ends if it did not run before.
    """

    def __init__(self, stack: Stack, say: Say) -> None:
        self._stack = stack
        self._say = say
        self._lock: TextIO | None = None
        self._port = 0
        self._observed = Observed(
            prometheus=NoPrometheus("Prometheus starts as soon as the services run."),
            logs=stack.run.logs,
            scrape_seconds=SCRAPE_SECONDS,
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, then serve until a signal stops it. Raises StackError."""
        self._claim()
        async with AsyncExitStack() as started:
            await self._serve_page(started)
            starting = asyncio.create_task(self._start(started))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
            self._say("stopping")
            for task in (starting, stopping):
                task.cancel()
            await asyncio.wait([starting, stopping])

    def _claim(self) -> None:
        self._lock = (self._stack.run.root / "observe.lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            raise AlreadyObserved(f"`make observe` runs already: {self._lock.read().strip()}") from None
        (self._port,) = self._stack.run.ports("observe")
        self._lock.truncate(0)
        self._lock.write(self.url)
        self._lock.flush()

    async def _serve_page(self, started: AsyncExitStack) -> None:
        config = uvicorn.Config(
            page_app(self._observed),
            host=HOST,
            port=self._port,
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = PageServer(config)
        serving = asyncio.create_task(server.serve())

        async def end() -> None:
            server.should_exit = True
            await serving

        started.push_async_callback(end)
        while not server.started and not serving.done():  # noqa: ASYNC110 - the server raises no event
            await asyncio.sleep(0.01)
        if serving.done():
            raise StackError(f"the page cannot listen on {HOST}:{self._port}")

    async def _start(self, started: AsyncExitStack) -> None:
        found = self._stack.status()
        runs = found.services and found.phase in (Phase.STARTING, Phase.READY)
        if runs:
            await asyncio.to_thread(self._stack.up)
            self._say("restarting the five services, so that they send their traces here; this takes some seconds")
            started.push_async_callback(self._leave_running)
            await asyncio.to_thread(self._stack.trace_to, self.url)
        else:
            self._say("nothing runs in this run directory, so the stack starts now and ends with this command")
            self._stack.run.write_trace_endpoint(self.url)
            started.push_async_callback(self._take_down)
            await asyncio.to_thread(self._stack.up, os.getpid())
        await self._start_prometheus(started)
        self._print_addresses()

    async def _start_prometheus(self, started: AsyncExitStack) -> None:
        try:
            find_prometheus()
        except PrometheusUnavailable as absent:
            self._observed.prometheus = NoPrometheus(str(absent))
            self._say(f"without dashboards: {absent}")
            return
        (port,) = self._stack.run.ports("prometheus")
        prometheus = Prometheus(
            self._stack.run.root / "prometheus",
            targets_of(self._stack.environment),
            rules=rule_files(),
            scrape_seconds=SCRAPE_SECONDS,
            evaluation_seconds=SCRAPE_SECONDS,
            port=port,
        )
        await started.enter_async_context(prometheus)
        self._observed.prometheus = prometheus.client

    async def _leave_running(self) -> None:
        self._say("restarting the services without traces; the stack goes on")
        await asyncio.to_thread(self._stack.trace_to, "")

    async def _take_down(self) -> None:
        self._say("stopping the stack; its data stay")
        self._stack.run.write_trace_endpoint("")
        await asyncio.to_thread(self._stack.down)

    def _print_addresses(self) -> None:
        client = self._observed.prometheus
        shown = {
            "dashboards": self.url,
            "alerts": f"{self.url}/alerts",
            "traces": f"{self.url}/traces",
            "Prometheus": "not installed" if isinstance(client, NoPrometheus) else client.url,
        }
        for name, address in shown.items():
            self._say(f"  {name:11} {address}")
        self._say("Ctrl-C stops what was started here")


async def observe(run_dir: Path, say: Say) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises StackError."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Observation(Stack(run_dir, report=say), say).run(stop)
