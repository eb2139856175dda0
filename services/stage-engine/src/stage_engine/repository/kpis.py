"""The funnel and the optimism gap. Deleted opportunities count nowhere."""

from datetime import datetime
from typing import Literal

from kit.database.rows import records
from kit.http.ownership import Owners
from sqlalchemy import case, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.conversion import End, Watched
from stage_engine.models.opportunities import opportunity, transition
from stage_engine.records.figures import OwnerTotal, StageTotal

_VALUE = func.coalesce(func.sum(opportunity.c.amount), 0)
_AHEAD = opportunity.c.stage_rank > opportunity.c.earned_rank
# A migration is no progress, nor is coming from another pipeline; who left for one is counted there. A win that was
# left again is none. Of what follows an entry the first step on counts, or else the end.
_ENTRIES = text("""
    WITH entry AS (
        SELECT opportunity_id, to_stage, min(to_rank) AS rank, min(revision) AS revision, min(changed_at) AS entered_at
        FROM transition
        WHERE pipeline_key = :pipeline_key AND kind <> 'migrate' AND kind <> 'reassign'
        GROUP BY opportunity_id, to_stage
        HAVING min(changed_at) >= :since AND min(changed_at) < :until
    ),
    progress AS (
        SELECT DISTINCT ON (entry.opportunity_id, entry.to_stage)
            entry.opportunity_id,
            entry.to_stage,
            later.changed_at AS at,
            later.from_stage = entry.to_stage AND jsonb_array_length(later.skipped) = 0 AS directly
        FROM entry
        JOIN transition AS later ON later.opportunity_id = entry.opportunity_id
        LEFT JOIN transition AS following
            ON following.opportunity_id = later.opportunity_id AND following.revision = later.revision + 1
        WHERE later.kind <> 'migrate'
            AND later.pipeline_key = :pipeline_key
            AND later.revision > entry.revision
            AND later.to_rank > entry.rank
            AND (later.to_category = 'open' OR later.to_category = 'won' AND following.revision IS NULL)
        ORDER BY entry.opportunity_id, entry.to_stage, later.revision
    ),
    watched AS (
        SELECT
            entry.to_stage AS stage_key,
            coalesce(progress.at, CASE WHEN opportunity.category <> 'open' THEN newest.changed_at ELSE :now END)
                - entry.entered_at AS duration,
            CASE
                WHEN progress.directly THEN 'next'
                WHEN NOT progress.directly THEN 'later'
                WHEN opportunity.category <> 'open' THEN 'ended'
                ELSE 'open'
            END AS ending
        FROM entry
        JOIN opportunity ON opportunity.opportunity_id = entry.opportunity_id
        JOIN transition AS newest
            ON newest.opportunity_id = entry.opportunity_id AND newest.revision = opportunity.revision
        LEFT JOIN progress ON progress.opportunity_id = entry.opportunity_id AND progress.to_stage = entry.to_stage
        WHERE NOT opportunity.deleted AND opportunity.pipeline_key = :pipeline_key
    )
    SELECT
        stage_key,
        least(floor(extract(epoch FROM duration) / 86400), :horizon_days)::integer AS day,
        ending,
        count(*) AS entries
    FROM watched
    GROUP BY 1, 2, 3
""")


class KpiRepository:
    """Totals are of the opportunities of these owners. Row-level security confines every statement to the transaction's
    tenant."""

    def __init__(self, session: AsyncSession, owners: Owners) -> None:
        self._session = session
        self._seen = owners.condition(opportunity.c.owner_id)

    async def stage_totals(self, pipeline_key: str, stage: Literal["stage_key", "earned_stage"]) -> list[StageTotal]:
        """Opportunities and their value by claimed or earned stage and currency; those without a stage are left out."""
        column = opportunity.c[stage]
        statement = (
            select(
                column.label("stage_key"),
                opportunity.c.currency,
                func.count().label("opportunities"),
                _VALUE.label("amount"),
            )
            .where(
                opportunity.c.pipeline_key == pipeline_key,
                ~opportunity.c.deleted,
                opportunity.c.stage_key != "",
                self._seen,
            )
            .group_by(column, opportunity.c.currency)
            .order_by(column, opportunity.c.currency)
        )
        return await records(self._session, statement, StageTotal)

    async def entries(
        self, pipeline_key: str, since: datetime, until: datetime, horizon_days: int, now: datetime
    ) -> dict[str, list[Watched]]:
        """For each stage the opportunities that entered it first within [since, until), by how long they were watched
        until they got on, ended or are still open. One that comes back counts once."""
        given = {
            "pipeline_key": pipeline_key, "since": since, "until": until, "horizon_days": horizon_days, "now": now
        }  # fmt: skip
        found: dict[str, list[Watched]] = {}
        for row in await self._session.execute(_ENTRIES.bindparams(**given)):
            found.setdefault(row.stage_key, []).append(Watched(row.day, End(row.ending), row.entries))
        return found

    async def reassigned(self, pipeline_key: str, since: datetime, until: datetime) -> int:
        """How many came from other pipelines within [since, until)."""
        of = transition.c
        entered = of.pipeline_key == pipeline_key, of.changed_at >= since, of.changed_at < until
        statement = select(func.count()).where(of.kind == "reassign", *entered)
        return (await self._session.execute(statement)).scalar_one()

    async def owner_totals(self, object_type: str, pipeline_key: str | None) -> list[OwnerTotal]:
        """For each owner and currency the value of open opportunities, and of those ahead of what they earned."""
        gap = case((_AHEAD, opportunity.c.stage_rank - opportunity.c.earned_rank), else_=0)
        statement = (
            select(
                opportunity.c.owner_id,
                opportunity.c.currency,
                func.count().label("open_opportunities"),
                _VALUE.label("open_amount"),
                func.count().filter(_AHEAD).label("ahead_opportunities"),
                func.coalesce(func.sum(opportunity.c.amount).filter(_AHEAD), 0).label("ahead_amount"),
                func.sum(gap).label("rank_gap"),
            )
            .where(
                opportunity.c.object_type == object_type,
                opportunity.c.category == "open",
                ~opportunity.c.deleted,
                opportunity.c.stage_key != "",
                self._seen,
            )
            .group_by(opportunity.c.owner_id, opportunity.c.currency)
            .order_by(opportunity.c.owner_id, opportunity.c.currency)
        )
        if pipeline_key is not None:
            statement = statement.where(opportunity.c.pipeline_key == pipeline_key)
        return await records(self._session, statement, OwnerTotal)
