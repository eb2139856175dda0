"""Carries out in the CRM what decisions ask for: a few calls at a time, and none again before it is known that the
first attempt did nothing."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from random import random

from kit.database.unit_of_work import Database
from kit.delivery.pace import backoff
from kit.ids import utc_now

from crm_connector.crm import Crm, CrmFault
from crm_connector.domain.actions import ActionState, Carried, QueuedAction, Settled, after_reply, expired, sent
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.people import is_our_org
from crm_connector.repository.actions import ActionRepository
from crm_connector.service.acting import settle_actions
from crm_connector.signals import Signals
from crm_connector.telemetry import LOOP_FAILURES
from crm_connector.waiting import first_of

log = logging.getLogger(__name__)

# Actions at a time.
CALLS = 4
# Longer than the longest call: the carrier of an action that is SENT beyond it is gone.
LEASE = timedelta(minutes=6)
_LONGEST_PAUSE_SECONDS = 300.0
_FAILED = "The action could not be carried out by a fault of ours: see the log."


class Carrier:
    """The one carrier of a tenant, in the instance that leads it."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm, signals: Signals, poll_seconds: float) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._signals = signals
        self._poll_seconds = poll_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Carry out until `stop` is set, once the organisation is known to be ours. No fault ends this task."""
        begun, failures = False, 0
        while not stop.is_set():
            self._signals.actions.clear()
            found = 0
            try:
                if not begun and await is_our_org(self._database, self._tenant_id, self._crm):
                    await self.begin()
                    begun = True
                if begun:
                    found = await self.round()
                failures = 0
            except Exception as fault:
                failures += 1
                self._failed(fault)
                await first_of(stop, seconds=backoff(failures, first=1, most=_LONGEST_PAUSE_SECONDS))
                continue
            if not found:
                await first_of(stop, self._signals.actions, seconds=self._poll_seconds)

    def _failed(self, fault: Exception) -> None:
        if isinstance(fault, CrmFault):
            log.warning("the CRM carries out nothing now: %s", fault)
            return
        LOOP_FAILURES.labels("carrier").inc()
        log.error("actions are carried out later", exc_info=fault)

    async def begin(self) -> None:
        """Find out at once about actions that were left on their way: their carrier is gone."""
        async with self._database.unit_of_work(self._tenant_id) as uow:
            await ActionRepository(uow.session, self._tenant_id).abandon_sent(utc_now())

    async def round(self) -> int:
        """Some that are due; how many. That they are sent is committed before they are."""
        now = utc_now()
        async with self._database.unit_of_work(self._tenant_id) as uow:
            actions = ActionRepository(uow.session, self._tenant_id)
            due = await actions.due(now, CALLS)
            over = [settled for each in due if (settled := expired(each, now)) is not None]
            await settle_actions(uow, over, now)
            gone = {each.action.action_id for each in over}
            left = [each for each in due if each.action_id not in gone]
            await actions.keep([sent(each, now, LEASE) if _is_new(each) else _looked_at(each) for each in left])
        results = await asyncio.gather(*(self._one(each) for each in left))
        await self._settle(results)
        return len(due)

    async def _one(self, action: QueuedAction) -> QueuedAction | Settled:
        """A new one is carried out; of one that was sent before it is found out what became of it."""
        new = _is_new(action)
        action = sent(action, utc_now(), LEASE) if new else action
        try:
            carried = await (self._crm.carry_out(action) if new else self._crm.carried_out(action))
        except Exception as fault:
            # It holds up itself only, and may have been done: it stays unknown until it can be read.
            log.exception("the action %s fails by itself", action.action_id)
            carried = Carried(Reply(str(action.action_id), Verdict.UNKNOWN, type(fault).__name__, _FAILED))
        return after_reply(action, carried, utc_now(), random())  # noqa: S311

    async def _settle(self, results: Sequence[QueuedAction | Settled]) -> None:
        now = utc_now()
        async with self._database.unit_of_work(self._tenant_id) as uow:
            again = [each for each in results if isinstance(each, QueuedAction)]
            await ActionRepository(uow.session, self._tenant_id).keep(again)
            await settle_actions(uow, [each for each in results if isinstance(each, Settled)], now)


def _is_new(action: QueuedAction) -> bool:
    return action.state is ActionState.NEW


def _looked_at(action: QueuedAction) -> QueuedAction:
    return action.changed(due_at=utc_now() + LEASE)
