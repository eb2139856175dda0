"""What decisions ask to be done in the CRM: queued, and settled."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kit.database.unit_of_work import UnitOfWork
from kit.events import Received
from kit.ids import utc_now

from crm_connector.domain.actions import Settled
from crm_connector.messages import ActionRequested, action_settled, read_action
from crm_connector.repository.actions import ActionRepository
from crm_connector.service.settling import storable
from crm_connector.signals import Signals

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def accept_actions(uow: UnitOfWork, events: Sequence[Received[ActionRequested]]) -> None:
    """Queue what a CRM carries out. Other kinds are for other programs."""
    now = utc_now()
    found = [action for event in events if (action := read_action(event, now)) is not None]
    if found:
        ActionRepository(uow.session, uow.tenant_id).add(found)
        uow.after_commit(uow.resources.get(Signals).actions.set)


async def settle_actions(uow: UnitOfWork, found: Sequence[Settled], now: datetime) -> None:
    """Take these out of the queue, and publish what became of those that were in it."""
    done = await ActionRepository(uow.session, uow.tenant_id).remove([each.action.action_id for each in found])
    # An action is settled once, so it has no version to count: the time orders those of a record.
    sequence = (now - _EPOCH) // timedelta(microseconds=1)
    for place, each in enumerate(found):
        if each.action.action_id in done:
            readable = replace(each, code=storable(each.code), words=storable(each.words))
            uow.publish(action_settled(readable, now), sequence=sequence + place)
