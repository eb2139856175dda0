"""The funnel and the optimism gap. Deleted opportunities count nowhere."""

from datetime import datetime, timedelta
from typing import Literal

from kit.database.rows import records
from sqlalchemy import and_, case, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models import opportunity
from stage_engine.records import Conversion, OwnerTotal, StageTotal

_VALUE = func.coalesce(func.sum(opportunity.c.amount), 0)
_AHEAD = opportunity.c.stage_rank > opportunity.c.earned_rank
_CONVERSIONS = text("""
    WITH entry AS (
        SELECT opportunity_id, to_stage, min(to_rank) AS rank, min(revision) AS revision, min(changed_at) AS entered_at
        FROM transition
        WHERE pipeline_key = :pipeline_key
        GROUP BY opportunity_id, to_stage
        HAVING min(changed_at) >= :since AND min(changed_at) < :until
    ),
    progress AS (
        SELECT
            entry.opportunity_id,
            entry.to_stage,
            bool_or(later.from_stage = entry.to_stage AND jsonb_array_length(later.skipped) = 0) AS directly
        FROM entry
        JOIN transition AS later ON later.opportunity_id = entry.opportunity_id
        WHERE later.revision > entry.revision
            AND later.changed_at <= entry.entered_at + :horizon
            AND later.to_rank > entry.rank
            AND later.to_category IN ('open', 'won')
        GROUP BY entry.opportunity_id, entry.to_stage
    )
    SELECT
        entry.to_stage AS stage_key,
        count(*) AS entered,
        count(*) FILTER (
            WHERE progress.directly IS NULL
                AND opportunity.category = 'open'
                AND NOT opportunity.deleted
                AND entry.entered_at + :horizon > :now
        ) AS censored,
        count(progress.directly) AS reached,
        count(*) FILTER (WHERE progress.directly) AS reached_next
    FROM entry
    JOIN opportunity USING (opportunity_id)
    LEFT JOIN progress USING (opportunity_id, to_stage)
    GROUP BY entry.to_stage
""")


class KpiRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def stage_totals(
        self, pipeline_key: str, stage: Literal["stage_key", "earned_stage"]
    ) -> dict[str, StageTotal]:
        """Opportunities and their value by claimed or earned stage; those without a stage are left out."""
        column = opportunity.c[stage]
        statement = (
            select(column.label("stage_key"), func.count().label("opportunities"), _VALUE.label("amount"))
            .where(opportunity.c.pipeline_key == pipeline_key, ~opportunity.c.deleted, opportunity.c.stage_key != "")
            .group_by(column)
        )
        return {each.stage_key: each for each in await records(self._session, statement, StageTotal)}

    async def conversions(
        self, pipeline_key: str, since: datetime, until: datetime, horizon: timedelta, now: datetime
    ) -> dict[str, Conversion]:
        """For each stage the opportunities that entered it first within [since, until), and what became of them within
        the horizon: reached any later stage or a win, or did so by the very next stage in order.

        An opportunity that is still open, has not got further and is younger than the horizon is censored: it is too
        early to judge it. One that comes back counts once.
        """
        given = {"pipeline_key": pipeline_key, "since": since, "until": until, "horizon": horizon, "now": now}
        found = await records(self._session, _CONVERSIONS.bindparams(**given), Conversion)
        return {each.stage_key: each for each in found}

    async def owner_totals(self, pipeline_key: str | None) -> list[OwnerTotal]:
        """For each owner the value of open opportunities, and of those that claim more than they earned."""
        gap = case((_AHEAD, opportunity.c.stage_rank - opportunity.c.earned_rank), else_=0)
        statement = (
            select(
                opportunity.c.owner_id,
                func.count().label("open_opportunities"),
                _VALUE.label("open_amount"),
                func.count().filter(_AHEAD).label("ahead_opportunities"),
                func.coalesce(func.sum(opportunity.c.amount).filter(_AHEAD), 0).label("ahead_amount"),
                func.sum(gap).label("rank_gap"),
            )
            .where(and_(opportunity.c.category == "open", ~opportunity.c.deleted, opportunity.c.stage_key != ""))
            .group_by(opportunity.c.owner_id)
            .order_by(opportunity.c.owner_id)
        )
        if pipeline_key is not None:
            statement = statement.where(opportunity.c.pipeline_key == pipeline_key)
        return await records(self._session, statement, OwnerTotal)
