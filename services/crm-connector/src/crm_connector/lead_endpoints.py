"""The API: intake of leads."""

from typing import Annotated
from uuid import UUID

from kit.http.auth import Principal, requires
from kit.http.web import Uow, router

from crm_connector import lead_schemas as schemas
from crm_connector.endpoints import check_connected
from crm_connector.errors import LeadNotFound
from crm_connector.repository.leads import LeadRepository
from crm_connector.service.leads import take_in

router = router("crm-connector")


@router.post("/leads", status_code=202)
async def take_lead(
    uow: Uow, body: schemas.LeadBody, caller: Annotated[Principal, requires("leads:write")]
) -> schemas.LeadOut:
    """Hand in a lead. The CRM gets it next, and owns it from then on. A lead with the same key or the same e-mail
    address is the one that was handed in before: the reply says which. A key that came with other content is refused
    with 409."""
    check_connected(uow)
    found, is_new = await take_in(uow, caller, body.idempotency_key, body.lead())
    return schemas.LeadOut.model_validate(found).model_copy(update={"repeated": not is_new})


@router.get("/leads/{lead_id}", dependencies=[requires("leads:write")])
async def get_lead(uow: Uow, lead_id: UUID) -> schemas.LeadOut:
    """What became of a lead that was handed in: its id in the CRM, or why the CRM refused it."""
    found = await LeadRepository(uow.session, uow.tenant_id).one(lead_id)
    if found is None:
        raise LeadNotFound(f"There is no lead {lead_id}.")
    return schemas.LeadOut.model_validate(found)
