"""The connection to the CRM: its state, its place in the stream of changes, imports, and the CRM's stages."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.stages import CrmStage
from crm_connector.models import change_seen, connection, crm_stage, import_run

_RUNNING = text("state = 'RUNNING'")


class ConnectionRepository:
    """The connection of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def get(self) -> dict[str, Any] | None:
        """The connection; None before the connector first ran for this tenant."""
        statement = select(connection).where(connection.c.tenant_id == self._tenant_id)
        row = (await self._session.execute(statement)).mappings().one_or_none()
        return dict(row) if row else None

    async def note(self, now: datetime, **columns: Any) -> None:
        """Change some of the connection's columns."""
        blank = {"adapter": "", "org_id": "", "state": "", "last_error": "", "schema_id": ""}
        given = {"updated_at": now, **columns}
        statement = insert(connection).values(tenant_id=self._tenant_id, **{**blank, **given})
        await self._session.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=given))

    async def unseen(self, change_ids: Iterable[str]) -> set[str]:
        """Those of the changes that were not applied before; from now on they count as applied."""
        rows = [{"tenant_id": self._tenant_id, "change_id": change_id} for change_id in sorted(set(change_ids))]
        if not rows:
            return set()
        statement = insert(change_seen).values(rows).on_conflict_do_nothing()
        return set((await self._session.execute(statement.returning(change_seen.c.change_id))).scalars())

    async def forget_changes(self, before: datetime) -> None:
        """Drop what the CRM can no longer replay."""
        statement = delete(change_seen).where(
            change_seen.c.tenant_id == self._tenant_id, change_seen.c.created_at < before
        )
        await self._session.execute(statement)

    async def start_import(self, import_id: UUID, requested_by: str) -> dict[str, Any]:
        """The running import, which is a new one when there was none. One that ends meanwhile is waited for."""
        statement = insert(import_run).values(
            tenant_id=self._tenant_id,
            import_id=import_id,
            state="RUNNING",
            requested_by=requested_by,
            last_id="",
            read_count=0,
            published_count=0,
            last_error="",
        )
        # Writing what stands there changes nothing, but locks the row and returns it: asked for afterwards, it might
        # have ended.
        running = statement.on_conflict_do_update(
            index_elements=["tenant_id"], index_where=_RUNNING, set_={"state": import_run.c.state}
        )
        return dict((await self._session.execute(running.returning(import_run))).mappings().one())

    async def running_import(self) -> dict[str, Any] | None:
        """The import to go on with."""
        statement = select(import_run).where(import_run.c.tenant_id == self._tenant_id, _RUNNING)
        row = (await self._session.execute(statement)).mappings().one_or_none()
        return dict(row) if row else None

    async def get_import(self, import_id: UUID) -> dict[str, Any] | None:
        """One import."""
        i = import_run.c
        statement = select(import_run).where(i.tenant_id == self._tenant_id, i.import_id == import_id)
        row = (await self._session.execute(statement)).mappings().one_or_none()
        return dict(row) if row else None

    async def was_imported(self) -> bool:
        """Whether an import was ever completed."""
        i = import_run.c
        statement = select(i.import_id).where(i.tenant_id == self._tenant_id, i.state == "COMPLETED").limit(1)
        return (await self._session.execute(statement)).first() is not None

    async def update_import(self, import_id: UUID, now: datetime, **columns: Any) -> None:
        """Change some of an import's columns."""
        i = import_run.c
        await self._session.execute(
            update(import_run)
            .where(i.tenant_id == self._tenant_id, i.import_id == import_id)
            .values(updated_at=now, **columns)
        )

    async def stages(self) -> list[CrmStage]:
        """The CRM's stages in their order."""
        s = crm_stage.c
        columns = select(s.name, s.label, s.sort_order, s.is_active, s.is_closed, s.is_won)
        statement = columns.where(s.tenant_id == self._tenant_id).order_by(s.sort_order, s.name)
        return [CrmStage(*row) for row in await self._session.execute(statement)]

    async def replace_stages(self, stages: Sequence[CrmStage]) -> None:
        """Make these the CRM's stages."""
        await self._session.execute(delete(crm_stage).where(crm_stage.c.tenant_id == self._tenant_id))
        rows = [
            {
                "tenant_id": self._tenant_id,
                "name": stage.name,
                "label": stage.label,
                "sort_order": stage.sort_order,
                "is_active": stage.is_active,
                "is_closed": stage.is_closed,
                "is_won": stage.is_won,
            }
            for stage in stages
        ]
        if rows:
            await self._session.execute(insert(crm_stage), rows)
