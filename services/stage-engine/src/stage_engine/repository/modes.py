"""The history of what was switched without a new version."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from kit.database.rows import columns, records
from kit.database.sets import among
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.modes import Switching
from stage_engine.models.opportunities import transition
from stage_engine.models.pipelines import mode_switching, pipeline

# Of the history: the newest word on the breaker of a pipeline, where that is open.
BREAKER_IS_OPEN = """
    switch = 'breaker_open' AND NOT EXISTS (
        SELECT 1 FROM mode_switching AS later
        WHERE (later.tenant_id, later.pipeline_key) = (mode_switching.tenant_id, mode_switching.pipeline_key)
            AND later.rule_id = '@breaker' AND later.revision > mode_switching.revision
    )
"""


class ModeRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def add(self, key: str, switched: Switching) -> None:
        """Append to the history; decisions from now on name its revision."""
        row = insert(mode_switching).values(tenant_id=self._tenant_id, pipeline_key=key, **asdict(switched))
        await self._session.execute(row)
        of_key = update(pipeline).where(pipeline.c.pipeline_key == key)
        await self._session.execute(of_key.values(modes_revision=switched.revision))

    async def history(self, key: str, until: int) -> list[Switching]:
        """The history of a pipeline up to a revision."""
        statement = (
            select(*columns(mode_switching, Switching))
            .where(mode_switching.c.pipeline_key == key, mode_switching.c.revision <= until)
            .order_by(mode_switching.c.revision)
        )
        return await records(self._session, statement, Switching)

    async def moved_by_rules(self, key: str, since: datetime, until: datetime) -> int:
        """How many subjects of a pipeline rules moved in a time."""
        of = transition.c
        statement = select(func.count()).where(
            of.pipeline_key == key, of.cause == text("'rule'"), of.changed_at >= since, of.changed_at < until
        )
        return (await self._session.execute(statement)).scalar_one()

    async def revisions(self, keys: Collection[str]) -> dict[str, int]:
        """The revision in force in each of these pipelines."""
        statement = select(pipeline.c.pipeline_key, pipeline.c.modes_revision).where(
            among(pipeline.c.pipeline_key, keys)
        )
        return {row.pipeline_key: row.modes_revision for row in await self._session.execute(statement)}
