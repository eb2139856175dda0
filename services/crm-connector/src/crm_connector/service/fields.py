"""The mapping of fields: which fields of the CRM become which facts."""

import logging
from collections.abc import Iterable

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now
from kit.operators import audit

from crm_connector.crm import Crm, CrmFault
from crm_connector.domain.fields import CrmField, FieldMapping, named_wrongly, not_there, object_of
from crm_connector.errors import CrmNotReached, FieldMappingInvalid
from crm_connector.opening import Link
from crm_connector.records import FieldMappingRecord
from crm_connector.repository.fields import FieldMappingRepository
from crm_connector.settings import Settings
from crm_connector.signals import Signals

log = logging.getLogger(__name__)


async def read_fields(uow: UnitOfWork) -> FieldMappingRecord:
    """The mapping in force; of revision 0 while no person set one."""
    found = await FieldMappingRepository(uow.session, uow.tenant_id).get()
    default = _crm(uow).default_fields
    return found or FieldMappingRecord(0, False, default.facts, default.contact_roles)


async def replace_fields(uow: UnitOfWork, caller: Principal, wanted: FieldMapping, revision: int) -> None:
    """Set the mapping. All records are read again with it, a page at a time. FieldMappingInvalid,
    PreconditionFailedProblem."""
    wrong = named_wrongly(wanted)
    fields = None if wrong else await _fields(uow, {object_of(name) for name in wanted.facts})
    wrong = wrong or not_there(wanted, fields or {}) if fields is not None else wrong
    if wrong:
        raise FieldMappingInvalid(wrong)
    repository = FieldMappingRepository(uow.session, uow.tenant_id)
    held = await repository.get(lock=True)
    actual = held.revision if held else 0
    check_revision(revision, actual)
    record = FieldMappingRecord(actual + 1, fields is not None, wanted.facts, wanted.contact_roles)
    if not await repository.put(record, utc_now()):
        check_revision(revision, actual + 1)
    await audit.record(uow, caller, "field-mapping.replaced", uow.tenant_id, facts=sorted(wanted.facts))
    uow.after_commit(uow.resources.get(Signals).attention.set)


async def candidates(uow: UnitOfWork, object_type: str) -> list[CrmField]:
    """The fields of the object that may be read. CrmNotReached."""
    found = await _fields(uow, {object_type})
    if found is None:
        raise CrmNotReached("The CRM cannot be asked for its fields now: look at GET /v1/connection, and try again.")
    return found[object_type]


async def _fields(uow: UnitOfWork, object_types: Iterable[str]) -> dict[str, list[CrmField]] | None:
    """The CRM's fields of these objects; None when it cannot be asked."""
    settings = uow.resources.get(Settings)
    if settings.salesforce_tenant != uow.tenant_id or settings.crm_adapter == "recording":
        return None
    try:
        return {each: await _crm(uow).fields(each) for each in sorted(object_types)}
    except CrmFault as fault:
        log.warning("the fields of the CRM cannot be read: %s", fault)
        return None


def _crm(uow: UnitOfWork) -> Crm:
    return uow.resources.get(Link).crm(uow.resources.get(Settings))
