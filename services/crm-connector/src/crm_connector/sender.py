"""Carries writes to the CRM: several calls at a time over different opportunities, one at a time per opportunity, and
never a repetition before it is known that the first attempt did nothing."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import Database
from kit.delivery.batch import passes_by_itself
from kit.delivery.pace import PATIENT, backoff, pause
from kit.ids import utc_now

from crm_connector.crm import Crm, CrmFault
from crm_connector.domain.intents import IN_LINE, Reply, Verdict, resolve
from crm_connector.domain.observation import CrmRecord
from crm_connector.holding import Holding
from crm_connector.records import Attempt, QueuedWrite
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.listing import IntentList
from crm_connector.repository.settled import SettledRepository
from crm_connector.service.outbound import Prepared, prepare
from crm_connector.service.settling import Replied, settle_replies
from crm_connector.signals import Signals
from crm_connector.telemetry import CALL_SECONDS, LOOP_FAILURES, WRITES
from crm_connector.waiting import first_of

log = logging.getLogger(__name__)

# Calls at a time.
CALLS = 4
# Longer than the longest call: the sender of a write that is SENT beyond it is gone.
LEASE = timedelta(minutes=6)
# Writes in a call that is to find out whether the CRM takes writes again: enough to tell one of them from all.
PROBE = 5
_LONGEST_PAUSE_SECONDS = 300.0
Attempts = Mapping[UUID, Mapping[str, Attempt]]


class Sender:
    """The one sender of a tenant, in the instance that leads it."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._holds = Holding(database, tenant_id, crm)
        self._failures = 0
        self.calls: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then wait for the calls that are out. No fault ends this task."""
        begun = False
        loop = asyncio.get_running_loop()
        try:
            while not stop.is_set():
                self._signals.writes.clear()
                began = loop.time()
                try:
                    if not begun:
                        await self._begin()
                        begun = True
                    found = await self._round()
                except Exception as fault:
                    self._failed(fault)
                    await first_of(stop, seconds=backoff(self._failures, first=1, most=_LONGEST_PAUSE_SECONDS))
                    continue
                if found < self._crm.writes_at_once:
                    await pause(stop, PATIENT.rest_after(loop.time() - began))
                if not found:
                    await first_of(stop, self._signals.writes, seconds=self._poll_seconds)
        finally:
            await asyncio.gather(*self.calls, return_exceptions=True)

    def _failed(self, fault: BaseException) -> None:
        self._failures += 1
        LOOP_FAILURES.labels("sender").inc()
        log.error("the sender failed", exc_info=fault)

    async def _begin(self) -> None:
        await self._holds.load()
        async with self._database.unit_of_work(self._tenant_id) as uow:
            abandoned = await IntentRepository(uow.session, self._tenant_id).abandon_sent(utc_now())
        if abandoned:
            log.info("finding out about %d writes that were left on their way", abandoned)

    async def _round(self) -> int:
        """Start one call if there is anything to do and room for it; how many writes were found."""
        for call in [call for call in self.calls if call.done()]:
            self.calls.discard(call)
            error = call.exception()
            if error is not None:
                raise error
        if self._signals.resume.is_set():
            self._signals.resume.clear()
            await self._holds.try_now()
        if self._holds.stops_all or len(self.calls) >= (1 if self._holds.doubtful else CALLS):
            return 0
        limit = min(self._crm.writes_at_once, PROBE) if self._holds.doubtful else self._crm.writes_at_once
        bare, held = self._holds.stops_evidence(self._signals.unfit), self._holds.stopped(self._signals.unfit)
        async with self._database.unit_of_work(self._tenant_id) as uow:
            intents = IntentRepository(uow.session, self._tenant_id)
            overdue = await intents.overdue(utc_now(), limit)
            if overdue:
                await intents.postpone([write.intent_id for write in overdue], utc_now() + LEASE)
                ready, due = [], len(overdue)
            else:
                ready, due = await prepare(uow, self._crm, utc_now(), limit, LEASE, bare=bare, held=held)
                if len(ready) < due:
                    # A stage may have no counterpart because the CRM's stages changed.
                    await ConnectionRepository(uow.session, self._tenant_id).note(utc_now(), stages_wanted_at=utc_now())
            idle = not overdue and not due and self._holds.probing
            idle = idle and not (await IntentList(uow.session, self._tenant_id).backlog(*IN_LINE)).count
        if idle:
            # Nothing waits, so nothing is held back.
            await self._holds.forget()
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
        await self._holds.judge([item.write for item in ready], replies)
        self._failures = 0
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
            await self._holds.unreachable(fault)
            replies = [_unknown(write, fault) for write in overdue]
        else:
            await self._holds.reached()
            replies = [_resolved(write, attempts, held) for write in overdue]
        await self._settle(
            [
                Replied(write, reply, self._stage_of(attempts[write.intent_id].get(reply.write_id)))
                for write, reply in zip(overdue, replies, strict=True)
            ]
        )

    def _stage_of(self, attempt: Attempt | None) -> str:
        return attempt.stage if attempt else ""

    async def _attempts_of(self, writes: Sequence[QueuedWrite]) -> Attempts:
        async with self._database.unit_of_work(self._tenant_id) as uow:
            return await SettledRepository(uow.session, self._tenant_id).attempts_of(
                write.intent_id for write in writes
            )

    async def _read(self, writes: Sequence[QueuedWrite]) -> dict[str, CrmRecord]:
        records = await self._crm.read([write.opportunity_id for write in writes])
        return {record.record_id: record for record in records}

    async def _settle(self, replies: Sequence[Replied]) -> None:
        """Settle them all; where one cannot be settled, the others all the same."""
        try:
            await self._settle_together(replies)
        except Exception as failure:
            if passes_by_itself(failure):
                raise
            log.exception("replies to %d writes cannot be settled together", len(replies))
            for each in replies:
                await self._settle_alone(each)

    async def _settle_alone(self, replied: Replied) -> None:
        try:
            await self._settle_together([replied])
        except Exception as failure:
            if passes_by_itself(failure):
                raise
            log.exception("the reply to write intent %s cannot be settled", replied.queued.intent_id)
            words = f"The CRM's reply could not be taken in: {type(failure).__name__}."
            refused = Reply(replied.reply.write_id, Verdict.REFUSED, "UNREADABLE_REPLY", words)
            await self._settle_together([replace(replied, reply=refused)])

    async def _settle_together(self, replies: Sequence[Replied]) -> None:
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await settle_replies(uow, replies, utc_now())
        for each in replies:
            WRITES.labels(each.reply.verdict.value).inc()


def _unknown(write: QueuedWrite, fault: CrmFault) -> Reply:
    return Reply(write.write_id, Verdict.UNKNOWN, type(fault).__name__, str(fault))


def _resolved(write: QueuedWrite, attempts: Attempts, held: Mapping[str, CrmRecord]) -> Reply:
    record = held.get(write.opportunity_id)
    write_id = record.write_id if record else ""
    verdict = resolve(attempts[write.intent_id], write_id)
    return Reply(write_id if verdict is Verdict.CONFIRMED else write.write_id, verdict)
