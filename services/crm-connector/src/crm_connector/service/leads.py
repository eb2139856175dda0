"""Intake of leads: taken in once, created in the CRM, and observed there like any other record."""

from collections.abc import Sequence
from datetime import datetime

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.ids import identity_digest, utc_now, uuid7
from kit.observability.telemetry import current_traceparent
from kit.operators import audit

from crm_connector.domain.actions import Settled, Settlement
from crm_connector.domain.leads import LeadState, NewLead
from crm_connector.errors import LeadKeyUsed
from crm_connector.records import LeadRecord, SettledLead
from crm_connector.repository.actions import ActionRepository
from crm_connector.repository.leads import LeadRepository
from crm_connector.service.settling import storable
from crm_connector.signals import Signals

_STATES = {
    Settlement.DONE: LeadState.CREATED,
    Settlement.REFUSED: LeadState.REFUSED,
    Settlement.EXPIRED: LeadState.EXPIRED,
}


async def take_in(uow: UnitOfWork, caller: Principal, key: str, lead: NewLead) -> tuple[LeadRecord, bool]:
    """The lead, and whether it is new. The same key, or the same e-mail address, is the same lead. LeadKeyUsed when
    the key came with other content before."""
    now = utc_now()
    wanted = LeadRecord(
        lead_id=uuid7(),
        key=key,
        content=lead.digest(),
        person=identity_digest(uow.tenant_id, lead.email) if lead.email else "",
        state=LeadState.ACCEPTED,
        record_id="",
        code="",
        words="",
        created_by=caller.subject,
        created_at=now,
        settled_at=None,
    )
    found = await LeadRepository(uow.session, uow.tenant_id).take(wanted)
    if found.lead_id != wanted.lead_id:
        if found.key == key and found.content != wanted.content:
            raise LeadKeyUsed(key)
        return found, False
    action = lead.action(found.lead_id, current_traceparent(), now)
    ActionRepository(uow.session, uow.tenant_id).add([action])
    await audit.record(uow, caller, "lead.taken_in", str(found.lead_id))
    uow.after_commit(uow.resources.get(Signals).actions.set)
    return found, True


async def settle_leads(uow: UnitOfWork, found: Sequence[Settled], now: datetime) -> None:
    """Note what became of these."""
    rows = [
        SettledLead(s.action.action_id, _STATES[s.settlement], s.record_id, storable(s.code), storable(s.words), now)
        for s in found
    ]
    if rows:
        await LeadRepository(uow.session, uow.tenant_id).settle(rows)
