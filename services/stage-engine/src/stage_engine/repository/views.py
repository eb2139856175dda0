"""What people look at: deals, decisions, the funnel, the optimism gap. `owner_id` None means whoever the owner is."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from kit.database.rows import rows
from sqlalchemy import ColumnElement, Float, and_, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models import decision, opportunity, transition

Row = dict[str, Any]

_IS_OPEN = and_(opportunity.c.category == "open", ~opportunity.c.deleted)
_VALUE = func.coalesce(func.sum(opportunity.c.amount), 0)
_AHEAD = opportunity.c.stage_rank > opportunity.c.earned_rank


class ViewRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def opportunity(self, opportunity_id: str, owner_id: str | None) -> Row | None:
        statement = select(opportunity).where(opportunity.c.opportunity_id == opportunity_id, *_owned(owner_id))
        found = await rows(self._session, statement)
        return found[0] if found else None

    async def opportunities(self, stage: str | None, owner_id: str | None, after: str, limit: int) -> list[Row]:
        statement = select(opportunity).where(opportunity.c.opportunity_id > after, *_owned(owner_id))
        if stage is not None:
            statement = statement.where(opportunity.c.stage_key == stage)
        return await rows(self._session, statement.order_by(opportunity.c.opportunity_id).limit(limit))

    async def decisions(self, opportunity_id: str, after: int, limit: int) -> list[Row]:
        statement = (
            select(decision)
            .where(decision.c.opportunity_id == opportunity_id, decision.c.decision_no > after)
            .order_by(decision.c.decision_no)
            .limit(limit)
        )
        return await rows(self._session, statement)

    async def decision(self, decision_id: UUID, owner_id: str | None) -> Row | None:
        statement = select(decision).where(decision.c.decision_id == decision_id)
        if owner_id is not None:
            own = select(opportunity.c.opportunity_id).where(*_owned(owner_id))
            statement = statement.where(decision.c.opportunity_id.in_(own))
        found = await rows(self._session, statement)
        return found[0] if found else None

    async def decision_near(self, place: float) -> UUID | None:
        """The decision at this place between the oldest, 0, and the newest, 1: ids are ordered by time."""
        ids = decision.c.decision_id
        oldest = (await self._session.execute(select(ids).order_by(ids).limit(1))).scalar()
        newest = (await self._session.execute(select(ids).order_by(ids.desc()).limit(1))).scalar()
        if oldest is None or newest is None:
            return None
        # In whole numbers: a float would not hold all digits of an id.
        wanted = UUID(int=oldest.int + ((newest.int - oldest.int) * int(place * 2**32) >> 32))
        statement = select(ids).where(ids >= wanted).order_by(ids).limit(1)
        return (await self._session.execute(statement)).scalar()

    async def stage_totals(self, pipeline_key: str, stage: str) -> dict[str, Row]:
        """Deals and their value by `stage_key` or `earned_stage`; deleted and unplaced deals are none."""
        column = opportunity.c[stage]
        statement = (
            select(column.label("stage_key"), func.count().label("deals"), _VALUE.label("amount"))
            .where(opportunity.c.pipeline_key == pipeline_key, ~opportunity.c.deleted, opportunity.c.stage_key != "")
            .group_by(column)
        )
        return {row["stage_key"]: row for row in await rows(self._session, statement)}

    async def conversions(
        self, pipeline_key: str, since: datetime, until: datetime, horizon: timedelta, now: datetime
    ) -> dict[str, Row]:
        """For each stage the deals that entered it first within [since, until), and what became of them within the
        horizon: reached any later stage or a win, or did so by the very next stage entered in order.

        A deal that is still open, has not got further and is younger than the horizon is censored: nobody can tell
        yet. A deal that comes back counts once.
        """
        entry = (
            select(
                transition.c.opportunity_id,
                transition.c.to_stage,
                func.min(transition.c.to_rank).label("rank"),
                func.min(transition.c.revision).label("revision"),
                func.min(transition.c.changed_at).label("entered_at"),
            )
            .where(transition.c.pipeline_key == pipeline_key)
            .group_by(transition.c.opportunity_id, transition.c.to_stage)
            .subquery()
        )
        later = transition.alias()
        progress = and_(
            later.c.opportunity_id == entry.c.opportunity_id,
            later.c.revision > entry.c.revision,
            later.c.changed_at <= entry.c.entered_at + horizon,
            later.c.to_rank > entry.c.rank,
            later.c.to_category.in_(("open", "won")),
        )
        reached = select(later.c.revision).where(progress).correlate(entry).exists()
        strictly = (
            select(later.c.revision)
            .where(
                progress,
                later.c.from_stage == entry.c.to_stage,
                func.jsonb_array_length(later.c.skipped) == 0,
            )
            .correlate(entry)
            .exists()
        )
        each = (
            select(
                entry.c.to_stage.label("stage_key"),
                reached.label("reached"),
                strictly.label("strictly"),
                and_(
                    opportunity.c.category == "open", ~opportunity.c.deleted, entry.c.entered_at + horizon > now
                ).label("young"),
            )
            .join(opportunity, opportunity.c.opportunity_id == entry.c.opportunity_id)
            .where(entry.c.entered_at >= since, entry.c.entered_at < until)
            .subquery()
        )
        censored = and_(each.c.young, ~each.c.reached)
        statement = select(
            each.c.stage_key,
            func.count().label("entered"),
            func.count().filter(censored).label("censored"),
            func.count().filter(each.c.reached).label("reached"),
            func.count().filter(each.c.strictly).label("strictly"),
        ).group_by(each.c.stage_key)
        return {row["stage_key"]: row for row in await rows(self._session, statement)}

    async def optimism(self, pipeline_key: str | None) -> list[Row]:
        """For each owner the value of open deals, and of those that claim more than they earned."""
        gap = case((_AHEAD, opportunity.c.stage_rank - opportunity.c.earned_rank), else_=0)
        statement = (
            select(
                opportunity.c.owner_id,
                func.count().label("open_deals"),
                _VALUE.label("open_amount"),
                func.count().filter(_AHEAD).label("ahead_deals"),
                func.coalesce(func.sum(opportunity.c.amount).filter(_AHEAD), 0).label("ahead_amount"),
                cast(func.sum(gap), Float).label("rank_gap"),
            )
            .where(_IS_OPEN, opportunity.c.stage_key != "")
            .group_by(opportunity.c.owner_id)
            .order_by(opportunity.c.owner_id)
        )
        if pipeline_key is not None:
            statement = statement.where(opportunity.c.pipeline_key == pipeline_key)
        return await rows(self._session, statement)


def _owned(owner_id: str | None) -> list[ColumnElement[bool]]:
    return [] if owner_id is None else [opportunity.c.owner_id == owner_id]
