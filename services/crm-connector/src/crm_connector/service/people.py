"""Telling the services of the CRM's users."""

from collections.abc import Sequence

from kit.database.people import PersonRecord, people_of
from kit.database.unit_of_work import UnitOfWork
from kit.ids import identity_digest

from crm_connector.domain.people import CrmPerson
from crm_connector.messages import person_observed


async def publish_people(uow: UnitOfWork, found: Sequence[CrmPerson], number: int) -> None:
    """Publish those that differ from what is known here, which follows from the same events: what was published and has
    not come back yet is published again, and changes nothing."""
    known = await people_of(uow, [each.person_id for each in found])
    for each in found:
        digests = {claim: identity_digest(uow.tenant_id, name) for claim, name in each.names.items()}
        record = known.get(each.person_id)
        if record is None or _differs(each, digests, record):
            uow.publish(person_observed(each, digests), sequence=number)


def _differs(found: CrmPerson, digests: dict[str, str], known: PersonRecord) -> bool:
    names = tuple(digests.get(claim, "") for claim in ("federation_id", "username", "email"))
    return (found.active, found.manager_id, *names) != (
        known.active, known.manager_id, known.federation_id, known.username, known.email,
    )  # fmt: skip
