"""The mapping of fields that a person set."""

from datetime import datetime

from kit.database.rows import columns, record
from pydantic_core import to_jsonable_python
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.models import field_mapping
from crm_connector.records import FieldMappingRecord


class FieldMappingRepository:
    """The mapping of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def get(self, *, lock: bool = False) -> FieldMappingRecord | None:
        """The mapping; None while no person set one."""
        chosen = select(*columns(field_mapping, FieldMappingRecord))
        chosen = chosen.where(field_mapping.c.tenant_id == self._tenant_id)
        return await record(self._session, chosen.with_for_update() if lock else chosen, FieldMappingRecord)

    async def put(self, given: FieldMappingRecord, now: datetime) -> bool:
        """Make this the mapping, unless another request made one of this revision; whether it was."""
        values = {
            "revision": given.revision,
            "checked": given.checked,
            "facts": to_jsonable_python(given.facts),
            "contact_roles": to_jsonable_python(given.contact_roles),
            "updated_at": now,
        }
        statement = insert(field_mapping).values(tenant_id=self._tenant_id, **values)
        newer = field_mapping.c.revision < given.revision
        changed = statement.on_conflict_do_update(index_elements=["tenant_id"], set_=values, where=newer)
        return (await self._session.execute(changed.returning(field_mapping.c.revision))).first() is not None
