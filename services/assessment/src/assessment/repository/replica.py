"""What other services' events leave here: one bulk statement per kind, safe to repeat and in any order."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, case, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.models import (
    opportunity,
    pipeline_version,
    stage_change,
    stage_decision,
    stage_recommendation,
    submission_score,
)

Values = Sequence[dict[str, Any]]

_CRM_COLUMNS = ("owner_id", "amount", "close_date", "crm_stage", "deleted", "observed_no")
_STAGE_COLUMNS = ("pipeline_key", "stage_key", "stage_category", "visit_no", "cycle_no", "revision")


class ReplicaRepository:
    """The replicas of one tenant. Callers pass at most one row per opportunity where the newest state is kept."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def observe(self, values: Values) -> None:
        """The CRM's side of opportunities; an observation older than the one held changes nothing."""
        statement = insert(opportunity)
        new = statement.excluded
        updates = {name: new[name] for name in _CRM_COLUMNS}
        await self._execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "opportunity_id"],
                set_={**updates, "updated_at": func.now()},
                where=new.observed_no > opportunity.c.observed_no,
            ),
            [{"revision": 0, **row} for row in values],
        )

    async def change_stages(self, changes: Values, newest: Values) -> None:
        """Keep every change as a fact, and of each opportunity the stage by its highest revision."""
        await self._facts(stage_change, changes)
        statement = insert(opportunity)
        new = statement.excluded
        pinned = case(
            (
                new.pipeline_key == opportunity.c.pipeline_key,
                func.greatest(new.pipeline_version, opportunity.c.pipeline_version),
            ),
            else_=new.pipeline_version,
        )
        updates = {name: new[name] for name in _STAGE_COLUMNS}
        await self._execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "opportunity_id"],
                set_={**updates, "pipeline_version": pinned, "updated_at": func.now()},
                where=new.revision > opportunity.c.revision,
            ),
            [{"observed_no": -1, "deleted": False, **row} for row in newest],
        )

    async def publish_pipelines(self, values: Values) -> None:
        """Keep published pipeline versions."""
        await self._facts(pipeline_version, values)

    async def score(self, values: Values) -> None:
        """Keep scores."""
        await self._facts(submission_score, values)

    async def decide(self, values: Values) -> None:
        """Keep decisions."""
        await self._facts(stage_decision, values)

    async def recommend(self, values: Values) -> None:
        """The newest recommendation per opportunity."""
        statement = insert(stage_recommendation)
        new = statement.excluded
        kept = {"tenant_id", "opportunity_id", "updated_at"}
        updates = {column.name: new[column.name] for column in stage_recommendation.c if column.name not in kept}
        await self._execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "opportunity_id"],
                set_={**updates, "updated_at": func.now()},
                where=new.recommended_at > stage_recommendation.c.recommended_at,
            ),
            values,
        )

    async def _facts(self, table: Table, values: Values) -> None:
        await self._execute(insert(table).on_conflict_do_nothing(), values)

    async def _execute(self, statement: Any, values: Values) -> None:
        if values:
            await self._session.execute(statement, [{"tenant_id": self._tenant_id, **row} for row in values])
