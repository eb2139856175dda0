"""Activities and their totals: set-based, for whole batches. The subjects are locked."""

from collections.abc import Collection, Sequence
from datetime import datetime

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from stage_engine.domain.activities import Activity, Change, Key, Total
from stage_engine.models.work import activity, activity_total

_REPLACE = bulk.replace(
    activity, *(name for name in bulk.column_names(Activity) if name not in ("subject_id", "activity_id"))
)
_HELD = """
    SELECT activity.subject_id, activity.activity_id, kind, done, withdrawn, inbound, occurred_at, committed_at,
           person_id
    FROM unnest($2::varchar[], $3::varchar[]) AS given (subject_id, activity_id)
    JOIN activity USING (subject_id, activity_id)
    WHERE activity.tenant_id = $1
"""
_SINCE = """
    SELECT subject_id, activity_id, kind, done, withdrawn, inbound, occurred_at, committed_at, person_id
    FROM activity
    WHERE tenant_id = $1 AND subject_id = ANY($2) AND done AND NOT withdrawn AND occurred_at >= $3
"""
_BEGUN = """
    SELECT subject_id, activity_id
    FROM activity
    WHERE tenant_id = $1 AND kind = 'meeting' AND NOT done AND NOT withdrawn AND occurred_at <= $2
    ORDER BY occurred_at
    LIMIT $3
"""
_TENANTS = text("""
    SELECT DISTINCT tenant_id
    FROM activity
    WHERE kind = 'meeting' AND NOT done AND NOT withdrawn AND occurred_at <= :now
""")
# Each last moment is the end of an index: nothing is counted anew, however many activities there are.
_ADD = """
    INSERT INTO activity_total (tenant_id, subject_id, kind, count, last_at, last_inbound_at, observed_at, changes)
    SELECT $1::varchar, subject_id, kind, count,
           (SELECT max(a.occurred_at) FROM activity a
            WHERE a.tenant_id = $1 AND a.subject_id = given.subject_id AND a.kind = given.kind
              AND a.done AND NOT a.withdrawn),
           (SELECT max(a.occurred_at) FROM activity a
            WHERE a.tenant_id = $1 AND a.subject_id = given.subject_id AND a.kind = given.kind
              AND a.done AND NOT a.withdrawn AND a.inbound),
           observed_at, changes
    FROM unnest($2::varchar[], $3::varchar[], $4::bigint[], $5::timestamptz[], $6::bigint[])
         AS given (subject_id, kind, count, observed_at, changes)
    ON CONFLICT (tenant_id, subject_id, kind) DO UPDATE SET
        count = activity_total.count + excluded.count,
        last_at = excluded.last_at,
        last_inbound_at = excluded.last_inbound_at,
        observed_at = greatest(activity_total.observed_at, excluded.observed_at),
        changes = activity_total.changes + excluded.changes
"""


async def tenants_with_meetings(relay: AsyncConnection, now: datetime) -> list[str]:
    """Tenants with meetings that have begun and do not count yet; seen with the relay's role."""
    return list((await relay.execute(_TENANTS, {"now": now})).scalars())


class ActivityRepository:
    """The activities of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def held(self, keys: Collection[Key]) -> dict[Key, Activity]:
        """These activities as they were last heard of."""
        driver = await bulk.driver_of(self._session)
        subjects, ids = zip(*keys, strict=True) if keys else ((), ())
        found = [Activity(*row) for row in await driver.fetch(_HELD, self._tenant_id, subjects, ids)]
        return {each.key: each for each in found}

    async def counting(self, subject_ids: Collection[str], since: datetime) -> list[Activity]:
        """All that count of these subjects and took place since then."""
        driver = await bulk.driver_of(self._session)
        return [Activity(*row) for row in await driver.fetch(_SINCE, self._tenant_id, list(subject_ids), since)]

    async def begun(self, now: datetime, limit: int) -> list[Key]:
        """Meetings that were planned and have begun, the earliest first."""
        driver = await bulk.driver_of(self._session)
        return [(row[0], row[1]) for row in await driver.fetch(_BEGUN, self._tenant_id, now, limit)]

    async def keep(self, activities: Sequence[Activity], changes: Sequence[Change]) -> None:
        """Keep the states, and what they change in the totals."""
        await bulk.insert(self._session, activity, self._tenant_id, activities, conflict=_REPLACE)
        given = [(c.subject_id, c.kind, c.count, c.observed_at, c.changes) for c in changes]
        driver = await bulk.driver_of(self._session)
        await driver.execute(_ADD, self._tenant_id, *zip(*given, strict=True))

    async def totals(self, subject_ids: Collection[str]) -> dict[str, list[Total]]:
        """All totals of these subjects."""
        t = activity_total.c
        statement = select(*columns(activity_total, Total)).where(
            t.tenant_id == self._tenant_id, among(t.subject_id, subject_ids)
        )
        found: dict[str, list[Total]] = {}
        for each in await records(self._session, statement.order_by(t.subject_id, t.kind), Total):
            found.setdefault(each.subject_id, []).append(each)
        return found
