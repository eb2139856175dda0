"""Carries write intents to the CRM: several calls at a time over different opportunities, one at a time per
opportunity, and never a repetition before it is known that the first attempt did nothing."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from kit.database.unit_of_work import Database
from kit.delivery.pace import PATIENT, pause
from kit.ids import utc_now

from crm_connector.crm import Crm, CrmFault
from crm_connector.domain.breaker import Breaker
from crm_connector.domain.intents import Verdict, WriteResult, resolve
from crm_connector.domain.observation import CrmOpportunity
from crm_connector.repository.intents import IntentRepository, Sent
from crm_connector.service.outbound import Answered, Prepared, prepare, settle_answers
from crm_connector.signals import Signals
from crm_connector.telemetry import CALL_SECONDS, WRITES
from crm_connector.waiting import first_of

log = logging.getLogger(__name__)

# Calls at a time.
CALLS = 4
# Longer than the longest call; an intent that is SENT beyond it was left by somebody.
LEASE = timedelta(minutes=2)


class Sender:
    """The one sender of a tenant; whoever runs it holds the tenant's leadership."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._breaker = Breaker(time.monotonic)
        self.calls: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until told to stop, then wait for the calls that are out."""
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
        """Start one call if there is anything to do and room for it; how many intents were found."""
        for call in [call for call in self.calls if call.done()]:
            self.calls.discard(call)
            call.result()
        if self._breaker.is_open or len(self.calls) >= (1 if self._breaker.doubtful else CALLS):
            return 0
        limit = self._crm.writes_at_once
        async with self._database.unit_of_work(self._tenant_id) as uow:
            intents = IntentRepository(uow.session, self._tenant_id)
            left = await intents.sent_due(utc_now(), limit)
            if left:
                await intents.postpone([item.intent["intent_id"] for item in left], utc_now() + LEASE)
                ready, due = [], len(left)
            else:
                ready, due = await prepare(uow, self._crm, utc_now(), limit, LEASE)
        if left:
            self._start(self._resolve(left))
        elif ready:
            self._start(self._send(ready))
        return due

    def _start(self, call: Any) -> None:
        task = asyncio.create_task(call)
        self.calls.add(task)
        task.add_done_callback(lambda _: self._signals.writes.set())

    async def _send(self, ready: Sequence[Prepared]) -> None:
        with CALL_SECONDS.time():
            results = await self._crm.write([item.write for item in ready])
        self._judge(results)
        conflicts = [i.intent for i, r in zip(ready, results, strict=True) if r.verdict is Verdict.CONFLICT]
        proven = await self._own_late_writes(conflicts) if conflicts else {}
        answers = [
            Answered(
                item.intent,
                proven.get(result.write_id, result),
                item.write.stage.target if item.write.stage else "",
            )
            for item, result in zip(ready, results, strict=True)
        ]
        await self._settle(answers)

    async def _own_late_writes(self, conflicts: Sequence[Mapping[str, Any]]) -> dict[str, WriteResult]:
        """Conflicts that are none: an earlier attempt, taken for failed, was carried out after all. What cannot be
        read now stays unknown and is found out later."""
        async with self._database.unit_of_work(self._tenant_id) as uow:
            attempts = await IntentRepository(uow.session, self._tenant_id).attempts_of(
                intent["intent_id"] for intent in conflicts
            )
        try:
            standing = await self._read([intent["opportunity_id"] for intent in conflicts])
        except CrmFault as fault:
            return {i["write_id"]: _unknown(i["write_id"], fault) for i in conflicts}
        proven: dict[str, WriteResult] = {}
        for intent in conflicts:
            record = standing.get(intent["opportunity_id"])
            if record and resolve(attempts[intent["intent_id"]], record.write_id) is Verdict.CONFIRMED:
                proven[intent["write_id"]] = WriteResult(record.write_id, Verdict.CONFIRMED)
        return proven

    async def _resolve(self, left: Sequence[Sent]) -> None:
        """Find out by reading what became of writes whose reply was lost."""
        try:
            standing = await self._read([item.intent["opportunity_id"] for item in left])
        except CrmFault as fault:
            self._breaker.failed()
            results = [_unknown(item.intent["write_id"], fault) for item in left]
        else:
            self._breaker.succeeded()
            results = [_resolved(item, standing.get(item.intent["opportunity_id"])) for item in left]
        stage_field = self._crm.fact_fields.get("stage", "stage")
        answers = [
            Answered(item.intent, result, item.attempts.get(result.write_id, {}).get(stage_field, ""))
            for item, result in zip(left, results, strict=True)
        ]
        await self._settle(answers)

    async def _read(self, opportunity_ids: list[str]) -> dict[str, CrmOpportunity]:
        return {record.opportunity_id: record for record in await self._crm.read(opportunity_ids)}

    async def _settle(self, answers: Sequence[Answered]) -> None:
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await settle_answers(uow, answers, utc_now())
        for answer in answers:
            WRITES.labels(answer.result.verdict.value).inc()

    def _judge(self, results: Sequence[WriteResult]) -> None:
        silent = [result for result in results if not result.answered]
        if not silent:
            self._breaker.succeeded()
            return
        log.warning("the CRM did not answer: %s", silent[0].reason)
        self._breaker.failed()
        self._breaker.trip(max(result.not_before for result in silent).total_seconds())

    async def _pause(self, stop: asyncio.Event) -> None:
        patience = min(self._poll_seconds, self._breaker.remaining or self._poll_seconds)
        await first_of(stop, self._signals.writes, seconds=patience)


def _unknown(write_id: str, fault: CrmFault) -> WriteResult:
    return WriteResult(write_id, Verdict.UNKNOWN, type(fault).__name__, str(fault))


def _resolved(item: Sent, record: CrmOpportunity | None) -> WriteResult:
    standing = record.write_id if record else ""
    verdict = resolve(item.attempts, standing)
    return WriteResult(standing if verdict is Verdict.CONFIRMED else item.intent["write_id"], verdict)
