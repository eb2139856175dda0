"""Leads that were handed in: which of them bar another try."""

from dataclasses import replace
from typing import Any

import pytest
from crm_connector.domain.leads import LeadState
from crm_connector.records import LeadRecord, SettledLead
from crm_connector.repository.leads import LeadRepository
from kit.ids import utc_now, uuid7

pytestmark = pytest.mark.stack


def handed_in(key: str) -> LeadRecord:
    return LeadRecord(uuid7(), key, "content", "ada", LeadState.ACCEPTED, "", "", "", "form", utc_now(), None)


@pytest.mark.parametrize("state", LeadState)
async def test_what_the_crm_will_not_get_bars_no_other_try(start_service: Any, tenant: str, state: LeadState) -> None:
    service = await start_service("crm_connector", salesforce_tenant="none")
    first, second = handed_in("first"), handed_in("second")
    async with service.database.unit_of_work(tenant) as uow:
        leads = LeadRepository(uow.session, tenant)
        assert (await leads.take(first)).lead_id == first.lead_id
        await leads.settle([SettledLead(first.lead_id, state, "", "", "", utc_now())])
    async with service.database.unit_of_work(tenant) as uow:
        found = await LeadRepository(uow.session, tenant).take(second)
        failed = state in (LeadState.REFUSED, LeadState.EXPIRED)
        assert found.lead_id == (second.lead_id if failed else first.lead_id)
        same = await LeadRepository(uow.session, tenant).take(replace(second, lead_id=uuid7(), key="first"))
        assert same.lead_id == first.lead_id
