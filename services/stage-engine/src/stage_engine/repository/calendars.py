"""Business hours: every revision of them, and which are in force for whom."""

from collections.abc import Collection

from kit.database.people import DEPTH
from kit.database.rows import record, records
from pydantic import TypeAdapter
from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.calendar import Calendar
from stage_engine.models.work import calendar
from stage_engine.records.work import CalendarRecord, OwnersCalendar

_CALENDAR = TypeAdapter(Calendar)
# A person's own go first, then those of the nearest team, then those of all.
_IN_FORCE = text("""
    WITH RECURSIVE chain (owner_id, person_id, depth) AS (
        SELECT owner_id, owner_id, 0
        FROM unnest(CAST(:owner_ids AS varchar[])) AS owner_id
        UNION ALL
        SELECT chain.owner_id, person.manager_id, chain.depth + 1
        FROM chain
        JOIN person ON person.tenant_id = :tenant_id AND person.person_id = chain.person_id
        WHERE person.manager_id <> '' AND chain.depth < :depth
    ),
    scope AS (
        SELECT owner_id, 'person:' || owner_id AS scope, -1 AS depth FROM chain WHERE depth = 0
        UNION ALL
        SELECT owner_id, 'team:' || person_id, depth FROM chain
        UNION ALL
        SELECT owner_id, 'tenant', :depth + 1 FROM chain WHERE depth = 0
    )
    SELECT DISTINCT ON (owner_id) owner_id, calendar.scope, calendar.revision, calendar.calendar
    FROM scope
    JOIN calendar ON calendar.tenant_id = :tenant_id AND calendar.scope = scope.scope
    ORDER BY owner_id, depth, calendar.revision DESC
""")


class CalendarRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def newest(self, scope: str) -> CalendarRecord | None:
        """The calendar of a scope as it is now."""
        statement = _of(scope).order_by(calendar.c.revision.desc()).limit(1)
        return await record(self._session, statement, CalendarRecord)

    async def at(self, scope: str, revision: int) -> CalendarRecord | None:
        """The calendar of a scope as it was at a revision."""
        return await record(self._session, _of(scope).where(calendar.c.revision == revision), CalendarRecord)

    async def in_force(self, owner_ids: Collection[str]) -> list[OwnersCalendar]:
        """The calendars of those owners for whom there is one."""
        given = {"owner_ids": sorted(owner_ids), "tenant_id": self._tenant_id, "depth": DEPTH}
        statement = _IN_FORCE.bindparams(**given).columns(calendar=JSONB)
        return await records(self._session, statement, OwnersCalendar)

    async def add(self, scope: str, revision: int, added: Calendar, by: str) -> None:
        """Append a revision."""
        document = _CALENDAR.dump_python(added, mode="json")
        row = insert(calendar).values(
            tenant_id=self._tenant_id, scope=scope, revision=revision, calendar=document, changed_by=by
        )
        await self._session.execute(row)


def _of(scope: str):
    return select(calendar.c.scope, calendar.c.revision, calendar.c.calendar).where(calendar.c.scope == scope)
