"""What the sender holds back, kept so that people see it and the next instance goes on with it."""

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from kit.database.unit_of_work import Database
from kit.ids import utc_now

from crm_connector.crm import Crm, CrmFault
from crm_connector.domain.holds import Hold, Holds, Refusal, Scope
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.observation import OPPORTUNITY
from crm_connector.domain.writes import CrmWrite
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.intents import IntentRepository
from crm_connector.telemetry import WRITES_HELD

log = logging.getLogger(__name__)

# Calls in a row without a reply after which it is the CRM, and not the call.
_SILENT_CALLS = 3
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_SILENCE = timedelta(minutes=5)


class Holding:
    """The holds of one tenant's writes."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._silent = 0
        self._holds = Holds(utc_now)

    async def load(self) -> None:
        """Go on with what another instance held back."""
        async with self._database.unit_of_work(self._tenant_id) as uow:
            held = await ConnectionRepository(uow.session, self._tenant_id).holds()
        self._holds = Holds(utc_now, held)
        WRITES_HELD.set(len(held))

    @property
    def doubtful(self) -> bool:
        """Whether one call at a time, with few writes, has to find out whether the CRM takes them."""
        return self._silent > 0 or self._holds.probing

    @property
    def stops_all(self) -> bool:
        """Whether no write may go now."""
        return self._holds.blocks(())

    def stopped(self, unfit: Collection[str]) -> list[str]:
        """The types of subjects whose writes may not go now; `unfit` are objects that lack something."""
        objects = self._crm.subject_objects.items()
        return [object_type for object_type, name in objects if name in unfit or self._holds.blocks([name])]

    def stops_evidence(self, unfit: Collection[str]) -> bool:
        """Whether no write with evidence may go now."""
        objects = self._crm.evidence_objects
        return any(each in unfit for each in objects) or self._holds.blocks(objects)

    @property
    def probing(self) -> bool:
        """Whether something is held back whose pause is over."""
        return self._holds.probing

    async def forget(self) -> None:
        """Hold nothing back."""
        before = self._holds.all
        self._holds = Holds(utc_now)
        await self._keep(before)

    async def try_now(self) -> None:
        """Let everything be tried at once."""
        self._holds.try_now()
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await IntentRepository(uow.session, self._tenant_id).hasten(utc_now())

    async def judge(self, writes: Sequence[CrmWrite], replies: Sequence[Reply]) -> None:
        """Learn from the replies of one call what to hold back, and what no longer."""
        before = self._holds.all
        silent = [reply for reply in replies if not reply.came and reply.refusal is None]
        for write, reply in zip(writes, replies, strict=True):
            if reply.refusal is not None:
                self._holds.refused(reply.refusal, max(reply.not_before, _FIRST_PAUSE))
            elif reply.came and reply.verdict in (Verdict.CONFIRMED, Verdict.CONFLICT):
                self._holds.taken(self._touched(write))
            elif reply.came and reply.verdict is Verdict.REFUSED:
                self._holds.taken(())
        self._silent = self._silent + 1 if silent else 0
        if self._silent >= _SILENT_CALLS:
            refusal = Refusal(Scope.ORG, "", (), silent[0].code, silent[0].reason)
            self._holds.refused(refusal, _FIRST_PAUSE, _LONGEST_SILENCE)
        if silent:
            log.warning("the CRM did not reply: %s", silent[0].reason)
        await self._keep(before)

    async def reached(self) -> None:
        """Reading what became of writes went well."""
        before = self._holds.all
        if self._silent >= _SILENT_CALLS:
            self._holds.taken(())
        self._silent = 0
        await self._keep(before)

    async def unreachable(self, fault: CrmFault) -> None:
        """Reading what became of writes failed."""
        before = self._holds.all
        self._silent += 1
        if self._silent >= _SILENT_CALLS:
            refusal = Refusal(Scope.ORG, "", (), type(fault).__name__, str(fault))
            self._holds.refused(refusal, _FIRST_PAUSE, _LONGEST_SILENCE)
        await self._keep(before)

    def _touched(self, write: CrmWrite) -> Sequence[str]:
        subject = self._crm.subject_objects.get(write.object_type, "")
        assessed = write.evidence is not None and write.object_type == OPPORTUNITY
        return (subject, *(self._crm.evidence_objects if assessed else ()))

    async def _keep(self, before: Sequence[Hold]) -> None:
        held = self._holds.all
        if held == before:
            return
        WRITES_HELD.set(len(held))
        for hold in held:
            log.warning("writes of %s are held back: %s: %s", hold.subject or "everything", hold.code, hold.reason)
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await ConnectionRepository(uow.session, self._tenant_id).replace_holds(held)
            over = {hold.code for hold in before} - {hold.code for hold in held}
            if over:
                await IntentRepository(uow.session, self._tenant_id).hasten(utc_now(), over)
