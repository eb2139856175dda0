"""Which facts the one receiver of a tenant reads, of which records. It follows the mapping of fields, the pipelines and
what the CRM shows; where one of them changes, the records concerned are read again."""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from kit.database.unit_of_work import Database, UnitOfWork
from kit.ids import utc_now, uuid7

from crm_connector.crm import Adopted, Crm
from crm_connector.records import ImportRecord
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.repository.fields import FieldMappingRepository
from crm_connector.service.maps import load_maps

log = logging.getLogger(__name__)


class FieldsInUse:
    """Carries the mapping of fields out."""

    def __init__(self, database: Database, tenant_id: str, crm: Crm) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._crm = crm
        self._adopted = Adopted()
        self._in_use: tuple[int, Sequence[str]] = (-1, ())

    async def adopt(self) -> None:
        """Read from now on what is mapped, as far as the CRM has it. Facts that it lacks are noted, and unknown."""
        async with self._unit_of_work() as uow:
            found = await FieldMappingRepository(uow.session, self._tenant_id).get()
            object_types = (await load_maps(uow, ())).object_types
        mapping = found.mapping if found else self._crm.default_fields
        self._adopted = adopted = await self._crm.adopt(mapping, object_types)
        if adopted.unavailable:
            log.warning("the CRM does not show the fields of some facts: %s", ", ".join(adopted.unavailable))
        self._in_use = (found.revision if found else 0, object_types)
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            noted = {"fields_key": adopted.key, "facts_unavailable": adopted.unavailable}
            await connection.note(utc_now(), fields_revision=self._in_use[0], **noted)

    async def adopt_if_changed(self) -> bool:
        """Adopt the mapping and the pipelines if others are in force now; whether they were."""
        async with self._unit_of_work() as uow:
            found = await FieldMappingRepository(uow.session, self._tenant_id).get()
            object_types = (await load_maps(uow, ())).object_types
        changed = self._in_use != (found.revision if found else 0, object_types)
        if changed:
            await self.adopt()
        return changed

    async def import_what_is_missing(self) -> None:
        """Start an import of what was never read as it is read now, once there was a first one."""
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            if not self._adopted.key or not await connection.was_imported():
                return
            if set(self._adopted.object_types) - await connection.imported_types(self._adopted.key):
                await connection.start_import(uuid7(), "crm-connector")

    async def begin(self, run: ImportRecord) -> ImportRecord:
        """The import with what it reads: what was not read before, else all that is followed."""
        if run.object_types:
            return run
        adopted = self._adopted
        async with self._unit_of_work() as uow:
            connection = ConnectionRepository(uow.session, self._tenant_id)
            known = await connection.imported_types(adopted.key)
            object_types = tuple(each for each in adopted.object_types if each not in known) or adopted.object_types
            await connection.begin_import(run, object_types, adopted.key)
        return replace(run, object_types=object_types, fields_key=adopted.key)

    def _unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return self._database.unit_of_work(self._tenant_id)
