"""`create_app`: a service from its settings, routers, handlers and tasks."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

from fastapi import APIRouter, FastAPI
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY
from sqlalchemy import text

from kit import operations
from kit.auth import TokenVerifier
from kit.consumer import Consumer, Handlers
from kit.db import Database
from kit.dead_letters import measure_dead_letters
from kit.errors import install_problem_handlers
from kit.housekeeping import prune
from kit.kafka import new_consumer, start_producer
from kit.lag import GroupLag
from kit.migrations import check_schema
from kit.outbox import Relay
from kit.pace import pause
from kit.resources import Resources
from kit.settings import ServiceSettings
from kit.telemetry import configure_logging, configure_tracing
from kit.watchdog import Watchdog
from kit.web import BodyLimit, document_problems

log = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 25
# Whoever asks how we are gives up after three seconds.
_MEASURE_SECONDS = 2


class Runtime:
    """Everything of a running service that is not a request: database, relay, consumer, tasks."""

    def __init__(self, settings: ServiceSettings, handlers: Handlers) -> None:
        self.settings = settings
        self.resources = Resources()
        self.resources.put(settings)
        self.resources.put(self)
        self.database = Database(settings, self.resources)
        self.watchdog = Watchdog()
        self.verifier = TokenVerifier(settings)
        self.relay = Relay(self.database, settings.service, lambda: start_producer(settings), self.watchdog)
        self.database.on_events = self.relay.wake
        self.consumer = (
            Consumer(settings, self.database, handlers, lambda: new_consumer(settings), self.watchdog)
            if handlers
            else None
        )
        self.lag = (
            GroupLag(settings.service, self.consumer.topics, lambda: new_consumer(settings)) if self.consumer else None
        )
        self.started = False
        self.stopping = False

    async def unready(self) -> list[str]:
        """Why no work should be sent here; empty when ready."""
        reasons = []
        if not self.started or self.stopping:
            reasons.append("stopping" if self.stopping else "starting")
        if not self.relay.connected:
            reasons.append("the producer has no connection to the broker")
        if self.consumer is not None and not self.consumer.assigned:
            reasons.append("the consumer has not joined its group")
        try:
            async with asyncio.timeout(_MEASURE_SECONDS), self.database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            reasons.append(f"the database does not answer: {type(error).__name__}")
        return reasons + self.watchdog.complaints()

    async def measure(self) -> tuple[bool, bool, bool]:
        """Bring the gauges up to date that nobody sets on the way; whether those of the outbox, of the dead letters and
        of the lag are."""
        return await asyncio.gather(
            _measured("outbox", self.relay.measure()),
            _measured("dead letters", measure_dead_letters(self.database, self.settings.service)),
            self._measure_lag(),
        )

    async def _measure_lag(self) -> bool:
        if self.lag is None:
            return True
        measured = await _measured("lag", self.lag.measure())
        if not measured:
            await _measured("lag", self.lag.close())
        return measured

    async def close(self) -> None:
        """Give everything back that is not a loop's own."""
        if self.lag is not None:
            await self.lag.close()
        await self.database.close()

    async def status(self) -> dict[str, Any]:
        """Readiness, lag, outbox and dead letters in plain words and numbers; null is what nobody can tell now."""
        (outbox, letters, lag), unready = await asyncio.gather(self.measure(), self.unready())
        service = self.settings.service
        return {
            "service": service,
            "ready": not unready,
            "reasons": unready,
            "lag": _total("consumer_lag_events", service) if lag else None,
            "outbox_events": _total("outbox_events", service) if outbox else None,
            "outbox_oldest_age_seconds": _total("outbox_oldest_age_seconds", service) if outbox else None,
            "dead_letters": _total("dead_letters_waiting", service) if letters else None,
            "last_error": self.consumer.last_error if self.consumer else "",
        }


async def _measured(what: str, measurement: Awaitable[None]) -> bool:
    try:
        await asyncio.wait_for(measurement, _MEASURE_SECONDS)
    except Exception as error:
        log.warning("the %s could not be measured: %s", what, error)
        return False
    return True


Task = Callable[[Runtime, asyncio.Event], Awaitable[None]]


def _total(metric: str, service: str) -> float:
    return sum(
        sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == metric and sample.labels.get("service") == service
    )


def create_app(
    settings: ServiceSettings,
    *,
    description: str,
    routers: Sequence[APIRouter],
    handlers: Handlers | None = None,
    tasks: Sequence[Task] = (),
) -> FastAPI:
    """A service, complete with identity, problems, relay, consumer, health and metrics.

    `handlers` maps event classes to batch handlers. `tasks` run beside them until their event is set; one that
    fails is started again after a second.
    """
    provider = configure_tracing(settings)
    runtime = Runtime(settings, handlers or {})

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings)
        try:
            await check_schema(runtime.database.engine, settings.package)
            async with _running(runtime, tasks):
                yield
        finally:
            await runtime.close()
            await asyncio.to_thread(provider.shutdown)

    app = FastAPI(
        title=f"Stagecraft {settings.service}",
        version="1.0.0",
        description=description,
        lifespan=lifespan,
        telemetry=_telemetry(provider),
    )
    app.state.runtime = runtime
    app.state.database = runtime.database
    app.state.groups = {}
    app.state.verifier = runtime.verifier
    install_problem_handlers(app)
    app.add_middleware(BodyLimit)
    for router in (*routers, operations.api, operations.probes):
        app.include_router(router)
    app.openapi = lambda: document_problems(FastAPI.openapi(app))
    return app


def _telemetry(provider: TracerProvider) -> Any:
    probes = {"/livez", "/readyz", "/metrics", "/statusz"}
    return {
        "tracer_provider": provider,
        # Our metrics are Prometheus; spans inside a request cost as much as the request.
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: scope.get("path") in probes,
    }


@asynccontextmanager
async def _running(runtime: Runtime, tasks: Sequence[Task]) -> AsyncIterator[None]:
    """Run all loops. On the way out: readiness off; the consumer ends its batch and leaves the group; then the
    relay drains the outbox; then everything else ends. One supervisor, no task without an owner."""
    stop, stop_relay = asyncio.Event(), asyncio.Event()
    try:
        await runtime.verifier.refresh()
    except Exception as error:
        log.warning("starting without the issuer's keys: %s", error)
    work = [asyncio.create_task(_supervised(task, runtime, stop)) for task in tasks]
    work.append(asyncio.create_task(_ticking(runtime, stop)))
    work.append(asyncio.create_task(runtime.verifier.run(stop)))
    work.append(asyncio.create_task(prune(runtime.database, stop)))
    if runtime.consumer is not None:
        work.append(asyncio.create_task(runtime.consumer.run(stop)))
    relay = asyncio.create_task(runtime.relay.run(stop_relay))
    # What the start made stays: the collector need not look at it again, nor as often as it does by default.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    os.nice(runtime.settings.niceness)
    runtime.started = True
    try:
        with _announced(runtime):
            yield
    finally:
        runtime.stopping = True
        stop.set()
        await _finish(work)
        stop_relay.set()
        runtime.relay.wake()
        await _finish([relay])


@contextmanager
def _announced(runtime: Runtime) -> Iterator[None]:
    """On SIGTERM, say first that we are not ready, and let the server close its port only `drain_seconds` later:
    whoever balances the load has noticed by then, and no request meets a closed port."""
    stop_server = signal.getsignal(signal.SIGTERM)
    seconds = runtime.settings.drain_seconds
    if not (seconds and callable(stop_server) and threading.current_thread() is threading.main_thread()):
        yield
        return
    loop = asyncio.get_running_loop()

    def announce(number: int, frame: FrameType | None) -> None:
        runtime.stopping = True
        loop.call_soon_threadsafe(loop.call_later, seconds, stop_server, number, None)

    signal.signal(signal.SIGTERM, announce)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, stop_server)


async def _finish(work: list[asyncio.Task[None]]) -> None:
    _, late = await asyncio.wait(work, timeout=_SHUTDOWN_SECONDS)
    for task in late:
        log.warning("ended by force: %s", task.get_coro())
        task.cancel()
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("ended with %s: %s", type(outcome).__name__, outcome)


async def _supervised(task: Task, runtime: Runtime, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await task(runtime, stop)
            if not stop.is_set():
                return
        except Exception:
            log.exception("task %s failed and starts again", getattr(task, "__name__", task))
            await pause(stop, 1)


async def _ticking(runtime: Runtime, stop: asyncio.Event) -> None:
    while not stop.is_set():
        runtime.watchdog.beat("event loop")
        await pause(stop, 5)
