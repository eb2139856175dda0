"""What decisions ask to be done in the CRM: queued, and settled."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from crm_connector.domain.actions import ActionKind, Settled, Settlement
from crm_connector.domain.observation import CrmChange
from crm_connector.messages import ActionRequested, StageDecided, action_settled, owner_actions, read_action
from crm_connector.repository.actions import ActionRepository
from crm_connector.service.inbound import apply_shown
from crm_connector.service.leads import settle_leads
from crm_connector.service.settling import storable
from crm_connector.signals import Signals

_ANOTHER = "Another owner was chosen before the CRM showed this one."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def accept_actions(uow: UnitOfWork, events: Sequence[Received[ActionRequested]]) -> None:
    """Queue what a CRM carries out. Other kinds are for other programs."""
    now = utc_now()
    found = [action for event in events if (action := read_action(event, now)) is not None]
    if found:
        ActionRepository(uow.session, uow.tenant_id).add(found)
        uow.after_commit(uow.resources.get(Signals).actions.set)


async def accept_owners(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    """Queue the owners that decisions chose. Only the newest of a record is shown in the CRM: those before are over."""
    now = utc_now()
    found = [each for event in events for each in owner_actions(event, now)]
    if not found:
        return
    await uow.flush()
    actions = ActionRepository(uow.session, uow.tenant_id)
    newest = {each.opportunity_id: each for each in found}
    waiting = await actions.of_kind(ActionKind.OWNER, newest)
    over = [*waiting, *(each for each in found if newest[each.opportunity_id] is not each)]
    actions.add(found)
    await uow.flush()
    await settle_actions(uow, [Settled(each, Settlement.EXPIRED, "", _ANOTHER) for each in over], now)
    uow.after_commit(uow.resources.get(Signals).actions.set)


async def settle_actions(uow: UnitOfWork, found: Sequence[Settled], now: datetime) -> None:
    """Take these out of the queue, and publish what became of those that were in it."""
    done = await ActionRepository(uow.session, uow.tenant_id).remove([each.action.action_id for each in found])
    # An action is settled once, so it has no version to count: the time orders those of a record.
    sequence = (now - _EPOCH) // timedelta(microseconds=1)
    shown: list[CrmChange] = []
    leads: list[Settled] = []
    for place, each in enumerate({each.action.action_id: each for each in found}.values()):
        if each.action.action_id in done:
            shown += [each.change] if each.change else []
            if each.action.kind is ActionKind.LEAD:
                leads.append(each)
                continue
            readable = replace(each, code=storable(each.code), words=storable(each.words))
            uow.publish(action_settled(readable, now), sequence=sequence + place)
    await settle_leads(uow, leads, now)
    if shown:
        await apply_shown(uow, shown, now)
