"""The connection to the CRM: its state, its place in the stream of changes, imports, and the CRM's stages."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.database.tables import dead_letter
from sqlalchemy import Update, delete, func, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.crm import UnreadChange
from crm_connector.domain.holds import Hold
from crm_connector.domain.stages import CrmStage
from crm_connector.models import change_seen, connection, crm_stage, import_run, pipeline, write_hold
from crm_connector.records import ConnectionRecord, ImportRecord

# Imports that are looked at to know what was read.
_RECENT = 20
_RUNNING = text("state = 'RUNNING'")
# The code of a change that could not be read, among the dead letters.
UNREADABLE = "change_unreadable"
_UNREAD = UUID("0d9f6a52-4a3c-4b1f-8d0e-5b7c2b1f6a90")
_IMPORT = columns(import_run, ImportRecord)


class ConnectionRepository:
    """The connection of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def get(self) -> ConnectionRecord:
        """The connection; a blank one before the connector first ran for this tenant."""
        chosen = select(*columns(connection, ConnectionRecord)).where(connection.c.tenant_id == self._tenant_id)
        return await record(self._session, chosen, ConnectionRecord) or ConnectionRecord()

    async def note(self, now: datetime, **changes: Any) -> None:
        """Change some of the connection's columns."""
        first = asdict(ConnectionRecord(**changes))
        statement = insert(connection).values(tenant_id=self._tenant_id, updated_at=now, **first)
        changed = statement.on_conflict_do_update(index_elements=["tenant_id"], set_={"updated_at": now, **changes})
        await self._session.execute(changed)

    async def unseen(self, change_ids: Iterable[str]) -> set[str]:
        """Those of the changes that were not applied before; from now on they count as applied."""
        rows = [{"change_id": change_id} for change_id in sorted(set(change_ids))]
        fresh = await bulk.insert(
            self._session, change_seen, self._tenant_id, rows, conflict="DO NOTHING", returning="change_id"
        )
        return set(fresh)

    async def forget_changes(self, before: datetime) -> None:
        """Drop what the CRM can no longer replay."""
        c = change_seen.c
        await self._session.execute(delete(change_seen).where(c.tenant_id == self._tenant_id, c.created_at < before))

    async def start_import(self, import_id: UUID, requested_by: str) -> ImportRecord:
        """The running import, which is a new one when there was none. An import that is just ending is waited for."""
        statement = insert(import_run).values(
            tenant_id=self._tenant_id,
            import_id=import_id,
            state="RUNNING",
            requested_by=requested_by,
            object_types=[],
            fields_key="",
            last_id="",
            read_count=0,
            published_count=0,
            last_error="",
        )
        # An update to the same state locks the row and returns it: an import that is read afterwards might have ended.
        running = statement.on_conflict_do_update(
            index_elements=["tenant_id"], index_where=_RUNNING, set_={"state": import_run.c.state}
        )
        (run,) = await records(self._session, running.returning(*_IMPORT), ImportRecord)
        return run

    async def running_import(self) -> ImportRecord | None:
        """The import to go on with."""
        statement = select(*_IMPORT).where(import_run.c.tenant_id == self._tenant_id, _RUNNING)
        return await record(self._session, statement, ImportRecord)

    async def get_import(self, import_id: UUID) -> ImportRecord | None:
        """One import."""
        i = import_run.c
        statement = select(*_IMPORT).where(i.tenant_id == self._tenant_id, i.import_id == import_id)
        return await record(self._session, statement, ImportRecord)

    async def was_imported(self) -> bool:
        """Whether an import was ever completed."""
        i = import_run.c
        statement = select(i.import_id).where(i.tenant_id == self._tenant_id, i.state == "COMPLETED").limit(1)
        return (await self._session.execute(statement)).first() is not None

    async def followed_since(self) -> dict[str, datetime]:
        """Since when the records of each type are followed: what is younger was created under our eyes. That is since
        its first pipeline was published, or since the first import of all began, whichever came later. Of the
        publication it is the whole second: a CRM keeps no more of when a record was made."""
        i, p = import_run.c, pipeline.c
        read = func.jsonb_array_elements_text(i.object_types).table_valued("value", name="read")
        imports = select(read.c.value, func.min(i.created_at)).select_from(import_run).join(read, true())
        begun = await self._session.execute(imports.where(i.tenant_id == self._tenant_id).group_by(read.c.value))
        first_read = {object_type: at for object_type, at in begun}
        if not first_read:
            return {}
        pipelines = select(p.object_type, func.min(p.published_at)).where(p.tenant_id == self._tenant_id)
        found = await self._session.execute(pipelines.group_by(p.object_type))
        published = {each: at.replace(microsecond=0) for each, at in found if at is not None}
        first = min(first_read.values())
        # A change may come before the import of its type has begun.
        since = {each: max(first, at) for each, at in published.items()}
        return since | {each: min(at, since.get(each, at)) for each, at in first_read.items()}

    async def imported_types(self, fields_key: str) -> set[str]:
        """Types of records of which all were read, or are being read, as they are read now."""
        i = import_run.c
        statement = select(i.object_types, i.fields_key).where(i.tenant_id == self._tenant_id, i.fields_key != "")
        newest_first = await self._session.execute(statement.order_by(i.created_at.desc()).limit(_RECENT))
        found: set[str] = set()
        for object_types, key in newest_first:
            if key != fields_key:
                break
            found |= set(object_types)
        return found

    async def begin_import(self, run: ImportRecord, object_types: Sequence[str], fields_key: str) -> None:
        """Note what an import reads."""
        what = {"object_types": list(object_types), "fields_key": fields_key}
        await self._session.execute(self._import(run.import_id).values(**what))

    async def advance_import(self, import_id: UUID, last_id: str, read: int, published: int, now: datetime) -> None:
        """Note that an import has read and published that many more, up to that opportunity."""
        i = import_run.c
        counts = {"read_count": i.read_count + read, "published_count": i.published_count + published}
        await self._session.execute(self._import(import_id).values(updated_at=now, last_id=last_id, **counts))

    async def note_import_fault(self, import_id: UUID, words: str, now: datetime) -> None:
        """Note what interrupted an import."""
        await self._session.execute(self._import(import_id).values(updated_at=now, last_error=words))

    async def complete_import(self, import_id: UUID, now: datetime) -> None:
        """End an import that has read everything."""
        done = self._import(import_id).values(updated_at=now, state="COMPLETED", finished_at=now, last_error="")
        await self._session.execute(done)

    def _import(self, import_id: UUID) -> Update:
        i = import_run.c
        return update(import_run).where(i.tenant_id == self._tenant_id, i.import_id == import_id)

    async def stages(self) -> list[CrmStage]:
        """The CRM's stages in their order."""
        s = crm_stage.c
        chosen = select(*columns(crm_stage, CrmStage)).where(s.tenant_id == self._tenant_id)
        return await records(self._session, chosen.order_by(s.object_type.desc(), s.sort_order, s.name), CrmStage)

    async def holds(self) -> list[Hold]:
        """What of the writes is held back, that of the whole CRM first."""
        h = write_hold.c
        chosen = select(*columns(write_hold, Hold)).where(h.tenant_id == self._tenant_id)
        return await records(self._session, chosen.order_by(h.subject), Hold)

    async def replace_holds(self, holds: Sequence[Hold]) -> None:
        """Make these what is held back."""
        await self._session.execute(delete(write_hold).where(write_hold.c.tenant_id == self._tenant_id))
        await bulk.insert(self._session, write_hold, self._tenant_id, holds)

    async def set_aside(self, unread: Sequence[UnreadChange]) -> None:
        """Keep changes that could not be read among the dead letters; the same change again adds nothing."""
        if not unread:
            return
        rows = [_dead_letter(self._tenant_id, change) for change in unread]
        await bulk.insert(self._session, dead_letter, self._tenant_id, rows, conflict="DO NOTHING")

    async def replace_stages(self, stages: Sequence[CrmStage]) -> None:
        """Make these the CRM's stages."""
        await self._session.execute(delete(crm_stage).where(crm_stage.c.tenant_id == self._tenant_id))
        await bulk.insert(self._session, crm_stage, self._tenant_id, stages)


def _dead_letter(tenant_id: str, change: UnreadChange) -> dict[str, Any]:
    place = change.position.hex()
    return {
        "dead_letter_id": uuid5(_UNREAD, f"{tenant_id}/{change.topic}/{place}"),
        "topic": change.topic,
        "partition": 0,
        "offset": int.from_bytes(change.position[-7:], "big"),
        "key": place,
        "value": change.payload,
        "headers": {"schema_id": change.schema_id.replace("\x00", "\ufffd")},
        "code": UNREADABLE,
        "detail": change.reason.replace("\x00", "\ufffd")[:500],
        "attempts": 1,
        # The record is read instead, so nothing waits for it.
        "holds": False,
    }
