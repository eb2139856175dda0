"""Queries of what was recommended."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns
from kit.http.ownership import Owners
from sqlalchemy import Select, select, tuple_

from recommender import models as t
from recommender.records import RecommendationInPlace, RecommendationRecord
from recommender.repository.base import TenantRepository

_NUMBER = """
    UPDATE opportunity
    SET recommendation_no = recommendation_no + made.count, latest_recommendation = made.latest
    FROM unnest($2::varchar[], $3::bigint[], $4::uuid[]) AS made (opportunity_id, count, latest)
    WHERE opportunity.tenant_id = $1 AND opportunity.opportunity_id = made.opportunity_id
    RETURNING opportunity.opportunity_id, opportunity.recommendation_no - made.count
"""


class RecommendationRepository(TenantRepository):
    """Recommendations, kept for ever, and their numbers."""

    async def number_recommendations(self, made: Mapping[str, Sequence[UUID]]) -> dict[str, int]:
        """Reserve a number for each recommendation of an opportunity and make the last one its latest. Returns each
        opportunity's last number before these."""
        driver = await bulk.driver_of(self._session)
        counts, latest = [len(ids) for ids in made.values()], [ids[-1] for ids in made.values()]
        return dict(await driver.fetch(_NUMBER, self._tenant_id, list(made), counts, latest))

    async def save_recommendations(self, recommendations: Sequence[RecommendationRecord]) -> None:
        """Keep these for ever."""
        await self._upsert(t.recommendation, recommendations, update_only=(), with_commit=True)

    async def latest_recommendation(self, opportunity_id: str) -> RecommendationInPlace | None:
        """The newest of an opportunity."""
        statement = self._told().where(
            t.opportunity.c.opportunity_id == opportunity_id,
            t.recommendation.c.recommendation_id == t.opportunity.c.latest_recommendation,
        )
        found = await self._records(statement, RecommendationInPlace)
        return found[0] if found else None

    async def recommendations(
        self, owners: Owners, before: tuple[Any, UUID] | None, limit: int
    ) -> list[RecommendationInPlace]:
        """Those of these owners' opportunities, newest first, from behind the (time, id) given."""
        c = t.recommendation.c
        statement = self._told().where(owners.condition(t.opportunity.c.owner_id))
        statement = statement.order_by(c.recommended_at.desc(), c.recommendation_id.desc()).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(c.recommended_at, c.recommendation_id) < before)
        return await self._records(statement, RecommendationInPlace)

    def _told(self) -> Select[Any]:
        """Recommendations beside the opportunity's present stage and what the rules decided on the same evidence."""
        opportunity, decided, score = t.opportunity, t.decision, t.submission
        same_opportunity = (opportunity.c.tenant_id == t.recommendation.c.tenant_id) & (
            opportunity.c.opportunity_id == t.recommendation.c.opportunity_id
        )
        same_submission = [
            (table.c.tenant_id == t.recommendation.c.tenant_id)
            & (table.c.submission_id == t.recommendation.c.submission_id)
            for table in (decided, score)
        ]
        return (
            select(
                *columns(t.recommendation, RecommendationRecord),
                opportunity.c.owner_id,
                opportunity.c.current_stage,
                opportunity.c.claimed_stage,
                opportunity.c.crm_deleted,
                decided.c.outcome.label("engine_outcome"),
                decided.c.stage_key.label("engine_stage"),
                score.c.captured_at,
            )
            .join(opportunity, same_opportunity)
            .outerjoin(decided, same_submission[0])
            .join(score, same_submission[1])
            .where(self._own(t.recommendation))
        )
