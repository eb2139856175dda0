"""Opportunities with a timer that is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

# From tenant to tenant along the index, however many timers each has.
TENANTS = text("""
    WITH RECURSIVE tenant (tenant_id, due_at) AS (
        (
            SELECT tenant_id, due_at
            FROM opportunity
            WHERE due_at IS NOT NULL
            ORDER BY tenant_id, due_at
            LIMIT 1
        )
        UNION ALL
        SELECT following.tenant_id, following.due_at
        FROM tenant
        CROSS JOIN LATERAL (
            SELECT tenant_id, due_at
            FROM opportunity
            WHERE due_at IS NOT NULL AND opportunity.tenant_id > tenant.tenant_id
            ORDER BY tenant_id, due_at
            LIMIT 1
        ) AS following
    )
    SELECT tenant_id, due_at FROM tenant WHERE due_at <= :now ORDER BY due_at
""")
# What another instance has locked is skipped: it decides on that one.
CLAIM = text("""
    SELECT opportunity_id
    FROM opportunity
    WHERE tenant_id = :tenant_id AND due_at <= :now
    ORDER BY due_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
""")
_POSTPONE = text("UPDATE opportunity SET due_at = :until WHERE opportunity_id = :opportunity_id AND due_at < :until")


@dataclass(frozen=True, slots=True)
class DueTenant:
    """A tenant with timers that are due, the first of them since `due_at`."""

    tenant_id: str
    due_at: datetime


async def due_tenants(relay: AsyncConnection, now: datetime) -> Sequence[DueTenant]:
    """All of them, by how long the first has waited; seen with the relay's role."""
    return [DueTenant(*row) for row in await relay.execute(TENANTS, {"now": now})]


class TimerRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def claim(self, now: datetime, limit: int) -> list[str]:
        """Opportunities whose first timer is due, the longest first, locked until the transaction ends."""
        given = {"tenant_id": self._tenant_id, "now": now, "limit": limit}
        return list((await self._session.execute(CLAIM, given)).scalars())

    async def postpone(self, opportunity_id: str, until: datetime) -> None:
        """Look at its timers again at another time. Its next decision sets the right one."""
        await self._session.execute(_POSTPONE, {"opportunity_id": opportunity_id, "until": until})
