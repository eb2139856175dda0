"""`create_app`: a service from its settings, routers, handlers and tasks."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_swagger import patch_fastapi
from opentelemetry.sdk.trace import TracerProvider

from kit.database.waiting import Waiting
from kit.delivery.batch import Handlers
from kit.delivery.pace import PROMPT, Pace, backoff, pause
from kit.fairness.shares import Shares
from kit.http.bodies import BodyLimit
from kit.http.problems import install_problem_handlers
from kit.http.web import document_problems
from kit.observability.health import in_words
from kit.observability.telemetry import EVENT_LOOP_DELAY, PROBE_PATHS, configure_logging, configure_tracing
from kit.operators import dead_letters, operations, people, quarantine
from kit.operators.access import AccessLog
from kit.runtime import Runtime
from kit.schema.migrations import SchemaUnfit, check_schema
from kit.settings import ServiceSettings

__all__ = ["Runtime", "Task", "create_app"]

log = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 25
_START_SECONDS = 5
_SCHEMA_SECONDS = 5
_RETRY_SECONDS = 1
_TICK_SECONDS = 1
# A loop that failed starts again after a second, and later and later while it fails; one that ran for so long is well.
_RESTART_SECONDS = 1
_LONGEST_RESTART_SECONDS = 60
_WELL_SECONDS = 120


Task = Callable[[Runtime, asyncio.Event], Awaitable[None]]


def create_app(
    settings: ServiceSettings,
    *,
    description: str,
    routers: Sequence[APIRouter],
    handlers: Handlers | None = None,
    tasks: Sequence[Task] = (),
    waiting: Sequence[Waiting] = (),
    pace: Pace = PROMPT,
) -> FastAPI:
    """A service, complete with identity, problems, relay, consumer, health and metrics.

    `handlers` maps event classes to batch handlers. `tasks` run beside them until their event is set; one that
    fails is started again after a pause. `waiting` says which rows count as waiting work. `pace` says how
    promptly events are handled under load: a service that only keeps what others decided can be patient.
    """
    provider = configure_tracing(settings)
    runtime = Runtime(settings, handlers or {}, waiting, pace)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings)
        try:
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
        root_path=settings.root_path,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        openapi_url="/openapi.json" if settings.shows_docs else None,
        telemetry=_telemetry(provider),
    )
    app.state.runtime = runtime
    app.state.database = runtime.database
    app.state.verifier = runtime.verifier
    app.state.fair_use = runtime.fair_use
    # The consumer, the relay and the probes use the same pool.
    app.state.shares = Shares(settings.database_pool_size // 2)
    # Only where they are listed.
    app.state.people = people.People(settings, runtime.database, notes=people.api in routers)
    install_problem_handlers(app)
    if settings.shows_docs:
        # Its assets come from the package: a service has to show its documentation without the internet.
        patch_fastapi(app)
    app.add_middleware(BodyLimit)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",")],
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type", "if-match", "idempotency-key", "traceparent"],
            expose_headers=["etag", "location", "retry-after", "idempotent-replay"],
        )
    app.add_middleware(AccessLog, service=settings.service, waits_for=lambda: runtime.waits_for)
    for router in (*routers, dead_letters.api, quarantine.api, operations.api, operations.probes):
        app.include_router(router)
    app.openapi = lambda: document_problems(FastAPI.openapi(app))
    return app


def _telemetry(provider: TracerProvider) -> Any:
    return {
        "tracer_provider": provider,
        # Our metrics are Prometheus; spans inside a request cost as much as the request.
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "exclude": lambda scope: scope.get("path") in PROBE_PATHS,
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
    relay: list[asyncio.Task[None]] = []
    work: list[asyncio.Task[None]] = []

    def run(name: str, loop: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        work.append(asyncio.create_task(_supervised(name, loop, stop)))

    run("event loop", partial(_ticking, runtime))
    run("issuer's keys", runtime.verifier.run)

    async def start() -> None:
        await _schema_fits(runtime, stop)
        if stop.is_set():
            return
        for task in tasks:
            run(getattr(task, "__name__", str(task)), partial(task, runtime))
        run("housekeeping", runtime.housekeeping.run)
        if runtime.consumer is not None:
            run("consumer", runtime.consumer.run)
        if runtime.retries is not None:
            run("retries", runtime.retries.run)
        relay.append(asyncio.create_task(_supervised("relay", runtime.relay.run, stop_relay)))
        runtime.waits_for = ""

    starting = asyncio.create_task(start())
    # Mostly it takes milliseconds. Where it does not, the port opens all the same, and says what is waited for.
    await asyncio.wait([starting], timeout=_START_SECONDS)
    # What the start made stays: the collector need not look at it again, nor as often as it does by default.
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    os.nice(runtime.settings.niceness)
    try:
        with _announced(runtime):
            yield
    finally:
        runtime.stopping = True
        stop.set()
        await _finish([starting])
        await _finish(work)
        stop_relay.set()
        runtime.relay.wake()
        await _finish(relay)


async def _schema_fits(runtime: Runtime, stop: asyncio.Event) -> None:
    """Wait until the database answers with a schema for this code. Each new reason is logged once."""
    database, service, said = runtime.database, runtime.settings.service, ""
    while not stop.is_set():
        try:
            async with asyncio.timeout(_SCHEMA_SECONDS):
                await check_schema(database.engine, runtime.settings.package)
            if said:
                log.info("the wait is over")
            return
        except SchemaUnfit as unfit:
            runtime.waits_for = str(unfit)
        except Exception as error:
            runtime.waits_for = f"the database: {in_words(error)}"
        if runtime.waits_for != said:
            said = runtime.waits_for
            log.warning("%s is not ready: it waits for %s", service, said)
        await pause(stop, _RETRY_SECONDS)


@contextmanager
def _announced(runtime: Runtime) -> Iterator[None]:
    """On SIGTERM, say first that we are not ready, and let the server close its port only `drain_seconds` later:
    the load balancer has noticed by then, and no request meets a closed port."""
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
    if not work:
        return
    _, late = await asyncio.wait(work, timeout=_SHUTDOWN_SECONDS)
    for task in late:
        log.warning("ended by force: %s", task.get_coro())
        task.cancel()
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("ended with %s: %s", type(outcome).__name__, outcome)


async def _supervised(
    name: str,
    run: Callable[[asyncio.Event], Awaitable[None]],
    stop: asyncio.Event,
    rest: Callable[[asyncio.Event, float], Awaitable[Any]] = pause,
) -> None:
    """Run a loop until `stop`, or until it ends by itself. One that fails starts again after a `rest`, also one that a
    client's own cancellation ended: a cancellation of ours is obeyed."""
    failures, loop, own, asked = 0, asyncio.get_running_loop(), asyncio.current_task(), 0
    while not stop.is_set():
        began = loop.time()
        try:
            await run(stop)
            return
        except (Exception, asyncio.CancelledError) as fault:
            # Not zero after a failure: the TaskGroup of Python 3.11 counts its own request to end and never takes it
            # back. Only a further one comes from outside.
            asked, before = own.cancelling() if own else 0, asked
            if isinstance(fault, asyncio.CancelledError) and asked > before:
                raise
            failures = 1 if loop.time() - began > _WELL_SECONDS else failures + 1
            log.exception("the %s failed and starts again", name)
            await rest(stop, backoff(failures, _RESTART_SECONDS, _LONGEST_RESTART_SECONDS))


async def _ticking(runtime: Runtime, stop: asyncio.Event) -> None:
    loop, delay = asyncio.get_running_loop(), EVENT_LOOP_DELAY.labels(runtime.settings.service)
    while not stop.is_set():
        runtime.watchdog.beat("event loop")
        expected = loop.time() + _TICK_SECONDS
        await pause(stop, _TICK_SECONDS)
        delay.observe(max(0.0, loop.time() - expected))
