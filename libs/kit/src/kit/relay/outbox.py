"""The relay: moves committed events from the outbox table to Kafka, at least once and in order.

Events are independent of each other but for their line: one key of a topic, or all of a partner's topic. So an event
that cannot be sent holds up its line, and nothing else (see kit.relay.refusals).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from kit.contracts.events import PARTNER_TOPICS
from kit.database.unit_of_work import Database
from kit.delivery.pace import RELAY, backoff, pause
from kit.observability.health import Watchdog
from kit.observability.telemetry import EVENTS_RELAYED, OUTBOX_AGE, OUTBOX_DEPTH, RELAY_FAILURES
from kit.relay import quarantine
from kit.relay.lease import LeaseLost, held
from kit.relay.link import REPLY_SECONDS, Link
from kit.relay.refusals import ATTEMPTS, Holds, Line, Refusal, Verdict, judge
from kit.relay.sending import OutboxRow, Outcome, send

log = logging.getLogger(__name__)

BATCH = 500
# A few large events make a batch as well: they are held in memory.
BATCH_BYTES = 8 * 1024 * 1024
POLL_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10
# Events tried one by one in a round at most: what else waits must not wait for them.
_SINGLY = 100
# No cursor that skips ahead: positions are taken before commit, so it would pass by a row that commits late.
_TAKE = f"""
    SELECT position, topic, key, value, headers, blocked FROM (
        SELECT
            position, topic, key, value, headers::text AS headers, {quarantine.BLOCKED} AS blocked,
            sum(octet_length(value)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(value) AS before
        FROM outbox AS o
        WHERE o.topic <> ALL($3::text[]) AND (o.topic || ' ' || o.key) <> ALL($4::text[])
        ORDER BY position
        LIMIT $1
    ) AS first_ones
    WHERE before < $2
    ORDER BY position
"""  # noqa: S608 - no parameter reaches the text
# By position: it names an event for ever. A row's place in the table is another one after VACUUM FULL.
_DELETE = f"DELETE FROM outbox WHERE position = ANY($1::bigint[]) AND {held(2)}"  # noqa: S608
_STATE = text("SELECT count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0) FROM outbox")


class Relay:
    """Sends what the outbox holds. Any number of instances may run: one at a time leads, by a lease, so events of one
    line leave in order; the others tell it of theirs, and take over when it goes, fails or falls silent. A crash after
    the acknowledgement sends a batch again under the same ids, which every inbox recognises."""

    def __init__(
        self,
        database: Database,
        service: str,
        new_producer: Callable[[], Awaitable[AIOKafkaProducer]],
        watchdog: Watchdog,
    ) -> None:
        self._database = database
        self._service = service
        self._watchdog = watchdog
        self._wake = asyncio.Event()
        self._link = Link(database, new_producer, self.wake)
        self._holds = Holds()
        self._full = False
        self._sent = 0

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._link.has_producer

    @property
    def may_send(self) -> bool:
        """Whether no other instance can lead at this moment."""
        return self._link.may_send

    def wake(self) -> None:
        """Look now: an event was committed, or the relay has to stop."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop`, then once more until the outbox is empty."""
        failures, loop = 0, asyncio.get_running_loop()
        try:
            while not stop.is_set():
                self._watchdog.beat("relay")
                began = loop.time()
                try:
                    self._wake.clear()
                    await self.round()
                    failures = 0
                except Exception as error:
                    failures += 1
                    self._note_failure(error)
                    await self._link.close()
                # Neither of these is woken by commits: under load that would be no pause at all.
                if failures:
                    await pause(stop, backoff(failures, 2 * POLL_SECONDS, _LONGEST_PAUSE_SECONDS))
                elif not self._full:
                    await pause(stop, RELAY.rest_after(loop.time() - began))
                    await pause(self._wake, POLL_SECONDS)
            while not failures and await self.round() and self._full:
                pass
        finally:
            await self.close()

    async def round(self) -> int:
        """Send one batch; the number of events sent, 0 also when another instance leads. Events that are refused wait,
        or are quarantined, with their line. An error is raised when broker or database cannot be reached, and when the
        lead is lost."""
        await self._link.producer()
        self._full = False
        if not await self._link.leads():
            return 0
        rows = await self._take()
        if any(row.blocked for row in rows):
            await self._set_rest_aside([row for row in rows if row.blocked])
            rows = [row for row in rows if not row.blocked]
        outcome = await self._send(rows)
        sent = len(outcome.sent)
        if outcome.failed:
            sent += await self._look_into(outcome)
        EVENTS_RELAYED.labels(self._service).inc(sent)
        return sent

    async def _take(self) -> list[OutboxRow]:
        lines = self._holds.lines
        topics = [line.topic for line in lines if line.key is None]
        keys = [f"{line.topic} {line.key}" for line in lines if line.key is not None]
        connection = await self._link.connection()
        found = await connection.fetch(_TAKE, BATCH, BATCH_BYTES, topics, keys, timeout=REPLY_SECONDS)
        rows = [OutboxRow(*row) for row in found]
        self._full = len(rows) == BATCH or sum(len(row.value) for row in rows) >= BATCH_BYTES
        return rows

    async def _set_rest_aside(self, blocked: Sequence[OutboxRow]) -> None:
        connection = await self._link.connection()
        for whole_topic in (True, False):
            behind = [row.position for row in blocked if self._is_partners(row.topic) is whole_topic]
            if behind:
                await quarantine.set_rest_aside(connection, self._link.lease, behind, whole_topic=whole_topic)

    async def _send(self, rows: Sequence[OutboxRow]) -> Outcome:
        """Send the events, and delete those that were acknowledged. LeaseLost when another may lead by now."""
        if not rows:
            return Outcome()
        producer, connection, lease = await self._link.producer(), await self._link.connection(), self._link.lease
        if not await lease.hold(connection):
            raise LeaseLost("too little of the lease is left to send")
        topics = {row.topic for row in rows}
        slow = frozenset(t for t in topics if self._is_partners(t) or self._holds.tried_before(Line(t, None)))
        outcome = await send(producer, rows, slow)
        if outcome.sent:
            self._sent += len(outcome.sent)
            positions = [row.position for row in outcome.sent]
            deleted = await connection.execute(_DELETE, positions, *lease.key, timeout=REPLY_SECONDS)
            if deleted == "DELETE 0":
                raise LeaseLost("another instance may have sent the same events")
            if self._holds.any:
                self._holds.settled({Line(row.topic, key) for row in outcome.sent for key in (None, row.key)})
        return outcome

    async def _look_into(self, outcome: Outcome) -> int:
        """Find out which of the events that failed are at fault: the broker refuses a whole batch for one of them. How
        many were sent after all."""
        sent, decided = 0, set[Line]()
        waiting: list[tuple[Line, OutboxRow, Refusal]] = []
        for number, (row, error) in enumerate(outcome.failed):
            if number >= _SINGLY or decided & {Line(row.topic, None), Line(row.topic, row.key)}:
                continue
            refusal = self._judge(row, error)
            if refusal.of_event:
                self._watchdog.beat("relay")
                await self._link.renewed_producer()
                single = await self._send([row])
                sent += len(single.sent)
                if single.sent:
                    continue
                refusal = self._judge(row, single.failed[0][1])
            line = Line(row.topic, None if refusal.of_topic else row.key)
            decided.add(line)
            if refusal.verdict is Verdict.PERMANENT:
                await self._quarantine(row, line, refusal)
            else:
                waiting.append((line, row, refusal))
        for line, row, refusal in waiting:
            faults = self._holds.failed(line, self._sent)
            if refusal.verdict is Verdict.UNCLEAR and faults >= ATTEMPTS:
                await self._quarantine(row, line, refusal)
        self._note_failure(outcome.failed[0][1])
        await self._link.renewed_producer()
        return sent

    async def _quarantine(self, row: OutboxRow, line: Line, refusal: Refusal) -> None:
        log.error("event %d on %s is quarantined with its line: %s", row.position, row.topic, refusal.detail)
        connection, whole = await self._link.connection(), refusal.of_topic
        await quarantine.set_aside(
            connection, self._link.lease, row.position, refusal.code, refusal.detail, whole_topic=whole
        )
        self._holds.settled({line})

    def _judge(self, row: OutboxRow, error: BaseException) -> Refusal:
        return judge(error, partner=self._is_partners(row.topic))

    def _is_partners(self, topic: str) -> bool:
        return topic.startswith(self._database.topic_prefix + PARTNER_TOPICS)

    def _note_failure(self, error: BaseException) -> None:
        RELAY_FAILURES.labels(self._service).inc()
        log.warning("relay failed: %s: %s", type(error).__name__, error)

    async def measure(self) -> None:
        """Set the gauges of depth and age."""
        async with self._database.as_relay() as connection:
            depth, age = (await connection.execute(_STATE)).one()
        OUTBOX_DEPTH.labels(self._service).set(depth)
        OUTBOX_AGE.labels(self._service).set(float(age))

    async def topic_exists(self, topic: str) -> bool:
        """Whether the broker knows the topic: an event for an unknown one cannot be sent."""
        producer = await self._link.producer()
        return topic in (await producer.client.fetch_all_metadata()).topics()

    async def close(self) -> None:
        """Let go of everything, and try every event anew the next time."""
        self._holds.clear()
        await self._link.close()
