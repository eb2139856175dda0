"""Everything of a running service that is not a request: database, relay, consumer, and what is known of them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prometheus_client import Gauge
from sqlalchemy.pool import QueuePool

from kit.aside.replay import measure_dead_letters
from kit.aside.retries import Retries
from kit.database.resources import Resources
from kit.database.unit_of_work import Database
from kit.database.waiting import Waiting, measure_waiting
from kit.delivery.batch import Batches, Handlers
from kit.delivery.consumer import Consumer
from kit.delivery.housekeeping import Housekeeping
from kit.delivery.kafka import EventProducer, new_consumer, start_producer, why_unreachable
from kit.delivery.lag import GroupLag
from kit.delivery.pace import Pace
from kit.fairness.fair_use import FairUse
from kit.http.auth import TokenVerifier
from kit.observability import telemetry
from kit.observability.health import Shared, Watchdog, in_words
from kit.offload import Offload
from kit.relay import quarantine
from kit.relay.outbox import Relay
from kit.settings import ServiceSettings

log = logging.getLogger(__name__)

# Probes time out after 3 s.
_MEASURE_SECONDS = 2
# With the relay's longest pause, shorter than the watchdog's patience.
_CONNECT_SECONDS = 8
# Work that has not moved for so long does not move.
_STILL_SECONDS = 60


class Runtime:
    """The parts of one service, and how they are."""

    def __init__(self, settings: ServiceSettings, handlers: Handlers, waiting: Sequence[Waiting], pace: Pace) -> None:
        self.settings = settings
        self.resources = Resources()
        self.resources.put(settings)
        self.resources.put(settings, ServiceSettings)
        self.resources.put(self)
        self.database = Database(settings, self.resources)
        self.watchdog = Watchdog()
        self.verifier = TokenVerifier(settings)
        self.relay = Relay(self.database, settings.service, self._new_producer, self.watchdog)
        self.database.on_events = self.relay.wake
        self.housekeeping = Housekeeping(self.database, settings.parked_days)
        self.fair_use = FairUse()
        self.consumer = self.lag = self.retries = None
        if handlers:
            batches = Batches(settings, self.database, handlers)
            batches.took = self.fair_use.note
            self.consumer = Consumer(settings, batches, lambda: new_consumer(settings), self.watchdog, pace)
            self.retries = Retries(self.database, batches)
            self.lag = GroupLag(settings.service, self.consumer.topics, lambda: new_consumer(settings))
        self._waiting = (*waiting, quarantine.WAITING)
        # What the start waits for, in words; empty once everything runs.
        self.waits_for = "its first look at the database"
        self.stopping = False
        self._measurement = Shared(self._measure_work)
        self._faults = Shared(self._look_for_faults)
        # What a person who looks at the probes should know besides, by topic. It makes nothing unready.
        self.notes: dict[str, str] = {}
        telemetry.SERVICE_INFO.labels(settings.service, _version_of(settings.service)).set(1)

    async def _new_producer(self) -> EventProducer:
        """A started producer. A broker may accept the connection and say nothing: then liveness is not to blame."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await start_producer(self.settings, lambda: self.relay.may_send)

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
        return await self._faults.get() + self.watchdog.complaints()

    async def _look_for_faults(self) -> list[str]:
        # A probe does not wait for it: what it finds counts for the next one.
        self._measurement.begin()
        broker, database = await asyncio.gather(self._broker_faults(), self._database_faults())
        return broker + database + self._standstills()

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
        """Write one row, which is more than to be answered: to a server that is being recovered, one that was demoted,
        or one with a full disk, that makes a difference."""
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                await self.database.write_probe()
        except Exception as error:
            return [f"the database cannot be written to: {in_words(error)}"]
        return []

    def _standstills(self) -> list[str]:
        """What has work and does not move, whatever the loops say."""
        service, found = self.settings.service, []
        oldest = _total(telemetry.OUTBOX_AGE, service) or 0
        if oldest > _STILL_SECONDS:
            found.append(f"the outbox does not move: its oldest event has waited for {oldest:.0f} s")
        if self.lag is None or self.consumer is None:
            return found
        # Another instance answers for its own partitions.
        stuck = [name for name in self.lag.stuck(_STILL_SECONDS) if name in self.consumer.owned]
        if stuck:
            found.append(f"no event was handled for {_STILL_SECONDS} s of {', '.join(stuck)}")
        return found

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
        unready, _ = await asyncio.gather(self.unready(), self._measurement.get())
        telemetry.SERVICE_READY.labels(service).set(not unready)

    async def _measure_work(self) -> None:
        service = self.settings.service
        waiting = measure_waiting(self.database, service, self._waiting)
        await asyncio.gather(
            self._measured(self.relay.measure(), telemetry.OUTBOX_DEPTH, telemetry.OUTBOX_AGE),
            self._measured(measure_dead_letters(self.database, service), telemetry.DEAD_LETTERS_WAITING),
            self._measured(waiting, telemetry.WAITING_ITEMS, telemetry.WAITING_AGE),
            self._measure_lag(),
        )

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
        await self._faults.end()
        await self._measurement.end()
        if self.lag is not None:
            await self.lag.close()
        await self.resources.get(Offload).close()
        await self.database.close()

    async def status(self, *, full: bool) -> dict[str, Any]:
        """Readiness, lag, outbox and dead letters in plain words and numbers; null is what cannot be measured now. The
        last error tells of tables and of what events hold only if it is `full`."""
        await self.measure()
        unready = await self.unready()
        service, error = self.settings.service, ""
        if self.consumer is not None:
            error = self.consumer.batches.last_error if full else self.consumer.batches.last_words
        return {
            "service": service,
            "ready": not unready,
            "reasons": unready,
            "lag": _total(telemetry.CONSUMER_LAG, service),
            "outbox_events": _total(telemetry.OUTBOX_DEPTH, service),
            "outbox_oldest_age_seconds": _total(telemetry.OUTBOX_AGE, service),
            "dead_letters": _total(telemetry.DEAD_LETTERS_WAITING, service),
            "last_error": error,
            "notes": self.notes,
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
