"""What a person does with parked writes: send them again after the cause was repaired, or give them up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.ids import utc_now
from kit.operators import audit

from crm_connector.domain.intents import IntentState, Move
from crm_connector.errors import IntentNotFound, IntentNotParked
from crm_connector.records import IntentRecord, ParkedFilter, QueuedWrite
from crm_connector.repository.intents import IntentRepository
from crm_connector.repository.listing import IntentList
from crm_connector.signals import Signals

# What the audit calls each.
_DEEDS = {Move.RETRY: "retried", Move.DISCARD: "discarded"}


@dataclass(frozen=True, slots=True)
class Done:
    """How many writes were moved, and whether more of them may wait for the next request."""

    count: int
    more: bool


async def move_one(uow: UnitOfWork, caller: Principal, wanted: UUID, move: Move) -> IntentRecord:
    """Retry or discard a parked write. IntentNotFound, IntentNotParked."""
    intents, listed = IntentRepository(uow.session, uow.tenant_id), IntentList(uow.session, uow.tenant_id)
    found = await listed.get(wanted)
    if found is None:
        raise IntentNotFound(f"There is no write intent {wanted}.")
    parked = await intents.take([wanted], IntentState.PARKED)
    if not parked:
        raise IntentNotParked(f"The write intent is {found.state}, and only a PARKED one waits for a person.")
    await _move(uow, intents, parked, move)
    await audit.record(uow, caller, f"write-intent.{_DEEDS[move]}", str(wanted), opportunity_id=found.opportunity_id)
    # So that it is read as it is now.
    await uow.flush()
    after = await listed.get(wanted)
    assert after is not None
    return after


async def move_many(uow: UnitOfWork, caller: Principal, of: ParkedFilter, limit: int, move: Move) -> Done:
    """Retry or discard the first so many of these parked writes."""
    intents = IntentRepository(uow.session, uow.tenant_id)
    parked = await intents.take_parked(of, limit)
    await _move(uow, intents, parked, move)
    detail = {"code": of.code, "reason": of.reason, "since": _text(of.parked_since), "before": _text(of.parked_before)}
    action = f"write-intents.{_DEEDS[move]}"
    await audit.record(uow, caller, action, of.opportunity_id or "*", count=len(parked), **detail)
    return Done(len(parked), len(parked) == limit)


async def _move(uow: UnitOfWork, intents: IntentRepository, parked: Sequence[QueuedWrite], move: Move) -> None:
    now = utc_now()
    if move is Move.RETRY:
        moved = [write.moved(move, code="", reason="", left_out={}, attempts=0, due_at=now) for write in parked]
    else:
        moved = [write.moved(move) for write in parked]
    await intents.keep(moved, now)
    uow.after_commit(uow.resources.get(Signals).writes.set)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
