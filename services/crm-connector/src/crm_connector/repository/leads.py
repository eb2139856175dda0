"""Leads that were handed in."""

from collections.abc import Sequence
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, record
from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.leads import LeadState
from crm_connector.models import lead_intake
from crm_connector.records import LeadRecord, SettledLead

_LEAD = columns(lead_intake, LeadRecord)
_of = lead_intake.c
# What the CRM has not got, and will not get, is no reason against another try.
_bars_others = (_of.state != LeadState.REFUSED) & (_of.state != LeadState.EXPIRED)


class LeadRepository:
    """The leads of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def take(self, lead: LeadRecord) -> LeadRecord:
        """The lead, or the one that was handed in before with its key or its e-mail address."""
        values = {name: getattr(lead, name) for name in lead.__dataclass_fields__}
        row = insert(lead_intake).values(tenant_id=self._tenant_id, **values).on_conflict_do_nothing()
        person = (_of.person == lead.person) & (_of.person != "") & _bars_others
        same = or_(_of.key == lead.key, person)
        statement = select(*_LEAD).where(_of.tenant_id == self._tenant_id, same)
        while True:
            await self._session.execute(row)
            found = await record(self._session, statement.order_by(_of.key != lead.key).limit(1), LeadRecord)
            if found is not None:
                return found
            # The lead of this person, which was in the way, has failed in between.

    async def one(self, lead_id: UUID) -> LeadRecord | None:
        """The lead."""
        statement = select(*_LEAD).where(_of.tenant_id == self._tenant_id, _of.lead_id == lead_id)
        return await record(self._session, statement, LeadRecord)

    async def settle(self, found: Sequence[SettledLead]) -> None:
        """Note what became of these."""
        await bulk.update(self._session, lead_intake, self._tenant_id, "lead_id", found)
