"""Who changed what: an append-only entry in the transaction of the change."""

from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database.tables import audit
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.ids import uuid7
from kit.observability.telemetry import current_traceparent, trace_id_of


async def record(uow: UnitOfWork, caller: Principal, action: str, subject: str, **detail: Any) -> None:
    """Note that the caller did this, e.g. `record(uow, caller, "pipeline.published", key, version=3)`.

    `detail` is JSON without personal data."""
    await uow.session.execute(
        insert(audit).values(
            tenant_id=uow.tenant_id,
            audit_id=uuid7(),
            actor=caller.subject,
            action=action,
            subject=subject,
            detail=detail,
            trace_id=trace_id_of(current_traceparent()),
        )
    )


async def list_entries(session: AsyncSession, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Entries of the tenant in the order they were made."""
    statement = select(audit).order_by(audit.c.audit_id).limit(limit)
    if after is not None:
        statement = statement.where(audit.c.audit_id > after)
    return [dict(row) for row in (await session.execute(statement)).mappings()]
