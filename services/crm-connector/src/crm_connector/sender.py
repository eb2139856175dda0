"""Carries writes to the CRM: several calls at a time over different opportunities, one at a time per opportunity, and
never a repetition before it is known that the first attempt did nothing."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import Database
from kit.delivery.pace import PATIENT, pause
from kit.ids import utc_now

from crm_connector.crm import Crm, CrmFault
from crm_connector.domain.breaker import Breaker
from crm_connector.domain.intents import Reply, Verdict, resolve
from crm_connector.domain.observation import CrmOpportunity
from crm_connector.records import Attempt, QueuedWrite
from crm_connector.repository.intents import IntentRepository
from crm_connector.service.outbound import Prepared, prepare
from crm_connector.service.settling import Replied, settle_replies
from crm_connector.signals import Signals
from crm_connector.telemetry import CALL_SECONDS, WRITES
from crm_connector.waiting import first_of

log = logging.getLogger(__name__)

# Calls at a time.
CALLS = 4
# Longer than the longest call: the sender of a write that is SENT beyond it is gone.
LEASE = timedelta(minutes=2)
Attempts = Mapping[UUID, Mapping[str, Attempt]]


class Sender:
    """The one sender of a tenant, in the instance that leads it."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._breaker = Breaker(time.monotonic)
        self.calls: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then wait for the calls that are out."""
        async with self._database.unit_of_work(self._tenant_id) as uow:
            abandoned = await IntentRepository(uow.session, self._tenant_id).abandon_sent(utc_now())
        if abandoned:
            log.info("finding out about %d writes that were left on their way", abandoned)
        loop = asyncio.get_running_loop()
        try:
            while not stop.is_set():
                self._signals.writes.clear()
                began = loop.time()
                found = await self._round()
                if found < self._crm.writes_at_once:
                    await pause(stop, PATIENT.rest_after(loop.time() - began))
                if not found:
                    await self._pause(stop)
        finally:
            await asyncio.gather(*self.calls, return_exceptions=True)

    async def _round(self) -> int:
        """Start one call if there is anything to do and room for it; how many writes were found."""
        for call in [call for call in self.calls if call.done()]:
            self.calls.discard(call)
            call.result()
        if self._breaker.is_open or len(self.calls) >= (1 if self._breaker.doubtful else CALLS):
            return 0
        limit = self._crm.writes_at_once
        async with self._database.unit_of_work(self._tenant_id) as uow:
            intents = IntentRepository(uow.session, self._tenant_id)
            overdue = await intents.overdue(utc_now(), limit)
            if overdue:
                await intents.postpone([write.intent_id for write in overdue], utc_now() + LEASE)
                ready, due = [], len(overdue)
            else:
                ready, due = await prepare(uow, self._crm, utc_now(), limit, LEASE)
        if overdue:
            self._start(self._resolve(overdue))
        elif ready:
            self._start(self._send(ready))
        return due

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self.calls.add(task)
        task.add_done_callback(lambda _: self._signals.writes.set())

    async def _send(self, ready: Sequence[Prepared]) -> None:
        with CALL_SECONDS.time():
            replies = await self._crm.write([item.write for item in ready])
        self._judge(replies)
        conflicts = [i.queued for i, r in zip(ready, replies, strict=True) if r.verdict is Verdict.CONFLICT]
        better = await self._own_late_writes(conflicts) if conflicts else {}
        await self._settle(
            [
                Replied(
                    item.queued,
                    better.get(reply.write_id, reply),
                    item.write.stage.target if item.write.stage else "",
                )
                for item, reply in zip(ready, replies, strict=True)
            ]
        )

    async def _own_late_writes(self, conflicts: Sequence[QueuedWrite]) -> dict[str, Reply]:
        """Better replies to conflicts that are none: an earlier attempt, taken for failed, was carried out after all.
        What cannot be read now stays unknown and is found out later."""
        attempts = await self._attempts_of(conflicts)
        try:
            held = await self._read(conflicts)
        except CrmFault as fault:
            return {write.write_id: _unknown(write, fault) for write in conflicts}
        replies = {write.write_id: _resolved(write, attempts, held) for write in conflicts}
        return {write_id: reply for write_id, reply in replies.items() if reply.verdict is Verdict.CONFIRMED}

    async def _resolve(self, overdue: Sequence[QueuedWrite]) -> None:
        """Find out by reading what became of writes whose reply was lost."""
        attempts = await self._attempts_of(overdue)
        try:
            held = await self._read(overdue)
        except CrmFault as fault:
            self._breaker.failed()
            replies = [_unknown(write, fault) for write in overdue]
        else:
            self._breaker.succeeded()
            replies = [_resolved(write, attempts, held) for write in overdue]
        await self._settle(
            [
                Replied(write, reply, self._stage_of(attempts[write.intent_id].get(reply.write_id)))
                for write, reply in zip(overdue, replies, strict=True)
            ]
        )

    def _stage_of(self, attempt: Attempt | None) -> str:
        stage = attempt.sent.get(self._crm.fact_fields.get("stage", "stage")) if attempt else None
        return stage if isinstance(stage, str) else ""

    async def _attempts_of(self, writes: Sequence[QueuedWrite]) -> Attempts:
        async with self._database.unit_of_work(self._tenant_id) as uow:
            return await IntentRepository(uow.session, self._tenant_id).attempts_of(write.intent_id for write in writes)

    async def _read(self, writes: Sequence[QueuedWrite]) -> dict[str, CrmOpportunity]:
        records = await self._crm.read([write.opportunity_id for write in writes])
        return {record.opportunity_id: record for record in records}

    async def _settle(self, replies: Sequence[Replied]) -> None:
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await settle_replies(uow, replies, utc_now())
        for each in replies:
            WRITES.labels(each.reply.verdict.value).inc()

    def _judge(self, replies: Sequence[Reply]) -> None:
        silent = [reply for reply in replies if not reply.came]
        if not silent:
            self._breaker.succeeded()
            return
        log.warning("the CRM did not reply: %s", silent[0].reason)
        self._breaker.failed()
        self._breaker.trip(max(reply.not_before for reply in silent).total_seconds())

    async def _pause(self, stop: asyncio.Event) -> None:
        patience = min(self._poll_seconds, self._breaker.remaining or self._poll_seconds)
        await first_of(stop, self._signals.writes, seconds=patience)


def _unknown(write: QueuedWrite, fault: CrmFault) -> Reply:
    return Reply(write.write_id, Verdict.UNKNOWN, type(fault).__name__, str(fault))


def _resolved(write: QueuedWrite, attempts: Attempts, held: Mapping[str, CrmOpportunity]) -> Reply:
    record = held.get(write.opportunity_id)
    write_id = record.write_id if record else ""
    verdict = resolve(attempts[write.intent_id], write_id)
    return Reply(write_id if verdict is Verdict.CONFIRMED else write.write_id, verdict)
