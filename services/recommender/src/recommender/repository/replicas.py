"""Queries of what other services published."""

from collections.abc import Collection, Sequence

from kit.database.sets import among
from sqlalchemy import ColumnElement, select

from recommender import models as t
from recommender.domain.bands import Banding
from recommender.facts import (
    EngineDecision,
    Observation,
    PublishedAssessment,
    PublishedPipeline,
    PublishedProfile,
)
from recommender.records import BandsRecord, ObservationRecord, ProfileRecord
from recommender.repository.base import TenantRepository


class ReplicaRepository(TenantRepository):
    """Pipelines, assessments, profiles, claims of the CRM and decisions of the stage engine."""

    async def save_pipelines(self, pipelines: Sequence[PublishedPipeline]) -> None:
        """Keep each pipeline's newest version."""
        await self._upsert(t.pipeline, pipelines, newer="version")

    async def save_assessments(self, assessments: Sequence[PublishedAssessment]) -> None:
        """Keep each assessment's newest title."""
        await self._upsert(t.assessment, assessments, newer="revision")

    async def save_profiles(self, profiles: Sequence[PublishedProfile]) -> None:
        """Keep the bands of new profiles."""
        await self._upsert(
            t.scoring_profile,
            [
                ProfileRecord(
                    p.profile_id,
                    p.assessment_key,
                    p.assessment_version,
                    p.version,
                    tuple(map(str, p.banding.edges)),
                    tuple(p.banding.names),
                )
                for p in profiles
            ],
        )

    async def save_observations(self, observations: Sequence[Observation]) -> None:
        """Keep the newest claim of the CRM about each opportunity."""
        await self._upsert(
            t.opportunity,
            [
                ObservationRecord(o.opportunity_id, o.claimed_stage, o.owner_id, o.crm_deleted, o.observed_sequence)
                for o in observations
            ],
            newer="observed_sequence",
            update_only=("claimed_stage", "owner_id", "crm_deleted", "observed_sequence"),
        )

    async def owners(self, opportunity_ids: Collection[str]) -> dict[str, str | None]:
        """The owners of the known ones among these, None where the CRM does not say."""
        c = t.opportunity.c
        statement = select(c.opportunity_id, c.owner_id)
        found = await self._session.execute(
            statement.where(self._own(t.opportunity), among(c.opportunity_id, opportunity_ids))
        )
        return {opportunity_id: owner_id for opportunity_id, owner_id in found}

    async def save_decisions(self, decisions: Sequence[EngineDecision]) -> None:
        """Keep the latest decision on each submission."""
        await self._upsert(t.decision, decisions, newer="decision_no", with_commit=True)

    async def pipelines(self, keys: Collection[str]) -> dict[str, PublishedPipeline]:
        """The known ones among these, by key."""
        return {p.pipeline_key: p for p in await self._pipelines(among(t.pipeline.c.pipeline_key, keys))}

    async def all_pipelines(self) -> list[PublishedPipeline]:
        """All of the tenant, the default one first."""
        return await self._pipelines()

    async def bandings(self, profile_ids: Collection[str]) -> dict[str, Banding]:
        """Bands of the known profiles among these, by profile id."""
        c = t.scoring_profile.c
        statement = select(c.profile_id, c.band_edges, c.band_names)
        statement = statement.where(self._own(t.scoring_profile), among(c.profile_id, profile_ids))
        return {found.profile_id: _banding(found) for found in await self._records(statement, BandsRecord)}

    async def newest_banding(self, assessment_key: str) -> Banding | None:
        """Bands of the assessment's newest profile."""
        c = t.scoring_profile.c
        statement = (
            select(c.profile_id, c.band_edges, c.band_names)
            .where(self._own(t.scoring_profile), c.assessment_key == assessment_key)
            .order_by(c.assessment_version.desc(), c.version.desc())
            .limit(1)
        )
        found = await self._records(statement, BandsRecord)
        return _banding(found[0]) if found else None

    async def assessment_titles(self) -> dict[str, str]:
        """Titles by assessment key."""
        c = t.assessment.c
        found = await self._session.execute(select(c.assessment_key, c.title).where(self._own(t.assessment)))
        return {key: title for key, title in found}

    async def _pipelines(self, *conditions: ColumnElement[bool]) -> list[PublishedPipeline]:
        c = t.pipeline.c
        statement = select(c.pipeline_key, c.version, c.name, c.is_default, c.stages)
        statement = statement.where(self._own(t.pipeline), *conditions).order_by(c.is_default.desc(), c.pipeline_key)
        return await self._records(statement, PublishedPipeline)


def _banding(found: BandsRecord) -> Banding:
    return Banding(found.band_edges, found.band_names)
