"""Everything of a running service that is not a request: database, relay, consumer, and what is known of them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from kit import telemetry
from kit.database.resources import Resources
from kit.database.unit_of_work import Database
from kit.database.waiting import Waiting, measure_waiting
from kit.delivery.batch import Batches, Handlers
from kit.delivery.consumer import Consumer
from kit.delivery.dead_letters import measure_dead_letters
from kit.delivery.housekeeping import Housekeeping
from kit.delivery.kafka import new_consumer, start_producer, why_unreachable
from kit.delivery.lag import GroupLag
from kit.delivery.outbox import Relay
from kit.delivery.pace import Pace
from kit.health import Watchdog, in_words
from kit.http.auth import TokenVerifier
from kit.settings import ServiceSettings

log = logging.getLogger(__name__)

# Probes time out after 3 s.
_MEASURE_SECONDS = 2


class Runtime:
    """The parts of one service, and how they are."""

    def __init__(self, settings: ServiceSettings, handlers: Handlers, waiting: Sequence[Waiting], pace: Pace) -> None:
        self.settings = settings
        self.resources = Resources()
        self.resources.put(settings)
        self.resources.put(self)
        self.database = Database(settings, self.resources)
        self.watchdog = Watchdog()
        self.verifier = TokenVerifier(settings)
        self.relay = Relay(self.database, settings.service, lambda: start_producer(settings), self.watchdog)
        self.database.on_events = self.relay.wake
        self.housekeeping = Housekeeping(self.database)
        self.consumer = self.lag = None
        if handlers:
            batches = Batches(settings, self.database, handlers)
            self.consumer = Consumer(settings, batches, lambda: new_consumer(settings), self.watchdog, pace)
            self.lag = GroupLag(settings.service, self.consumer.topics, lambda: new_consumer(settings))
        self._waiting = waiting
        # What the start waits for, in words; empty once everything runs.
        self.waits_for = "its first look at the database"
        self.stopping = False
        telemetry.SERVICE_INFO.labels(settings.service, _version_of(settings.service)).set(1)

    @property
    def started(self) -> bool:
        """Whether requests are answered and events handled."""
        return not self.waits_for

    async def unready(self) -> list[str]:
        """Why no work should be sent here; empty when ready."""
        if self.stopping:
            return ["stopping"]
        if self.waits_for:
            return [f"starting: waiting for {self.waits_for}"]
        broker, database = await asyncio.gather(self._broker_faults(), self._database_faults())
        return broker + database + self.watchdog.complaints()

    async def _broker_faults(self) -> list[str]:
        consumer_waits = self.consumer is not None and not self.consumer.assigned
        if self.relay.connected and not consumer_waits:
            return []
        why = await why_unreachable(self.settings)
        if why:
            return [f"the broker cannot be reached: {why}"]
        faults = [] if self.relay.connected else ["the producer has no connection to the broker"]
        return faults + (["the consumer has not joined its group"] if consumer_waits else [])

    async def _database_faults(self) -> list[str]:
        try:
            async with asyncio.timeout(_MEASURE_SECONDS), self.database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            return [f"the database does not answer: {in_words(error)}"]
        return []

    async def measure(self) -> None:
        """Bring the gauges up to date that are not set on the way."""
        service = self.settings.service
        telemetry.SERVICE_CLOCK.labels(service).set(time.time())
        telemetry.ISSUER_KEYS_AGE.labels(service).set(self.verifier.keys_age_seconds)
        telemetry.HOUSEKEEPING_AGE.labels(service).set(self.housekeeping.age_seconds)
        pool = self.database.engine.pool
        assert isinstance(pool, QueuePool)
        telemetry.CONNECTIONS_IN_USE.labels(service).set(pool.checkedout())
        telemetry.CONNECTIONS_LIMIT.labels(service).set(pool.size())
        if self.waits_for:
            telemetry.SERVICE_READY.labels(service).set(0)
            return
        waiting = measure_waiting(self.database, service, self._waiting)
        *_, unready = await asyncio.gather(
            self._measured(self.relay.measure(), telemetry.OUTBOX_DEPTH, telemetry.OUTBOX_AGE),
            self._measured(measure_dead_letters(self.database, service), telemetry.DEAD_LETTERS_WAITING),
            self._measured(waiting, telemetry.WAITING_ITEMS, telemetry.WAITING_AGE),
            self._measure_lag(),
            self.unready(),
        )
        telemetry.SERVICE_READY.labels(service).set(not unready)

    async def _measured(self, measurement: Awaitable[None], *gauges: Gauge) -> bool:
        """Let the measurement set its gauges. When it fails their series vanish: an old value would pass for a new."""
        try:
            await asyncio.wait_for(measurement, _MEASURE_SECONDS)
        except Exception as error:
            for gauge in gauges:
                gauge.remove_by_labels({"service": self.settings.service})
            log.warning("%s could not be measured: %s", ", ".join(map(str, gauges)), in_words(error))
            return False
        return True

    async def _measure_lag(self) -> None:
        if self.lag is not None and not await self._measured(self.lag.measure(), telemetry.CONSUMER_LAG):
            await self._measured(self.lag.close())

    async def close(self) -> None:
        """Give everything back that is not a loop's own."""
        if self.lag is not None:
            await self.lag.close()
        await self.database.close()

    async def status(self) -> dict[str, Any]:
        """Readiness, lag, outbox and dead letters in plain words and numbers; null is what cannot be measured now."""
        _, unready = await asyncio.gather(self.measure(), self.unready())
        service = self.settings.service
        return {
            "service": service,
            "ready": not unready,
            "reasons": unready,
            "lag": _total(telemetry.CONSUMER_LAG, service),
            "outbox_events": _total(telemetry.OUTBOX_DEPTH, service),
            "outbox_oldest_age_seconds": _total(telemetry.OUTBOX_AGE, service),
            "dead_letters": _total(telemetry.DEAD_LETTERS_WAITING, service),
            "last_error": self.consumer.last_error if self.consumer else "",
        }


def _total(gauge: Gauge, service: str) -> float | None:
    samples = [sample for family in gauge.collect() for sample in family.samples]
    values = [sample.value for sample in samples if sample.labels["service"] == service]
    return sum(values) if values else None


def _version_of(service: str) -> str:
    try:
        return version(f"stagecraft-{service}")
    except PackageNotFoundError:
        return "unknown"
