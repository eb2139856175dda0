"""Queries of what was recommended."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, Text, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY

from recommender import models as t
from recommender.repository.base import Row, TenantRepository


class RecommendationRepository(TenantRepository):
    """Recommendations, kept for ever, and their numbers."""

    async def number_recommendations(self, made: Mapping[str, int]) -> dict[str, int]:
        """Reserve so many numbers for each deal; the last number of each before that."""
        c = t.opportunity.c
        wanted = (
            func.unnest(literal(list(made), ARRAY(Text)), literal(list(made.values()), ARRAY(Integer)))
            .table_valued("opportunity_id", "made", name="wanted")
            .render_derived()
        )
        statement = (
            update(t.opportunity)
            .values(recommendation_no=c.recommendation_no + wanted.c.made)
            .where(self._own(t.opportunity), c.opportunity_id == wanted.c.opportunity_id)
            .returning(c.opportunity_id, c.recommendation_no)
        )
        return {deal: last - made[deal] for deal, last in await self._session.execute(statement)}

    async def save_recommendations(self, recommendations: Sequence[Row]) -> None:
        """Keep these for ever."""
        await self._upsert(t.recommendation, recommendations, update_only=(), with_commit=True)

    async def latest_recommendation(self, opportunity_id: str) -> Row | None:
        """The newest of a deal."""
        c = t.recommendation.c
        statement = self._told().where(c.opportunity_id == opportunity_id)
        found = await self._rows(statement.order_by(c.recommendation_no.desc()).limit(1))
        return found[0] if found else None

    async def recommendations(self, before: tuple[Any, UUID] | None, limit: int) -> list[Row]:
        """Newest first, from behind the (time, id) given."""
        c = t.recommendation.c
        statement = self._told().order_by(c.recommended_at.desc(), c.recommendation_id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(c.recommended_at, c.recommendation_id) < before)
        return await self._rows(statement)

    def _told(self) -> Select[Any]:
        """Recommendations beside where the deal stands now and what the rules decided on the same evidence."""
        deal, decided, score = t.opportunity, t.decision, t.submission
        same_deal = (deal.c.tenant_id == t.recommendation.c.tenant_id) & (
            deal.c.opportunity_id == t.recommendation.c.opportunity_id
        )
        same_submission = [
            (table.c.tenant_id == t.recommendation.c.tenant_id)
            & (table.c.submission_id == t.recommendation.c.submission_id)
            for table in (decided, score)
        ]
        return (
            select(
                t.recommendation,
                deal.c.current_stage,
                deal.c.claimed_stage,
                deal.c.crm_deleted,
                decided.c.outcome.label("engine_outcome"),
                decided.c.stage_key.label("engine_stage"),
                score.c.captured_at,
            )
            .join(deal, same_deal)
            .outerjoin(decided, same_submission[0])
            .join(score, same_submission[1])
            .where(self._own(t.recommendation))
        )
