"""Every query of the service. Rows come and go as the values of `records.py`."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.database.sets import among, among_rows
from sqlalchemy import Select, func, insert, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from scoring.domain.submission import AssessmentVersion
from scoring.models import assessment, opportunity, score, scoring_profile
from scoring.records import (
    AssessmentRecord,
    NewProfile,
    OwnerRecord,
    ProfileRecord,
    ProfileWithDefinition,
    ScoreRecord,
    ScoreSummary,
)

_SCORED = """
    SELECT DISTINCT submission_id
    FROM score
    WHERE tenant_id = $1 AND submission_id = ANY($2)
"""
_OWNED = bulk.replace(opportunity, "owner_id", "observed_no", newer="observed_no")
_PROFILE = columns(scoring_profile, ProfileRecord)
_SCORE = columns(score, ScoreRecord)


class ScoringRepository:
    """Row-level security limits every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    # Assessments

    async def upsert_assessments(self, found: Sequence[AssessmentRecord]) -> None:
        """Add published versions. Of a known version only the retirement is taken over, from a later revision."""
        conflict = bulk.replace(assessment, "retired", "revision", newer="revision")
        await bulk.insert(self._session, assessment, self._tenant_id, found, conflict=conflict)

    async def definition(self, key: str, version: int) -> dict[str, Any] | None:
        return (
            await self._session.execute(
                select(assessment.c.definition).where(
                    assessment.c.assessment_key == key, assessment.c.version == version
                )
            )
        ).scalar()

    # Owners

    def keep_owners(self, found: Sequence[OwnerRecord]) -> None:
        """Keep the newest owner of each opportunity, with the commit."""
        bulk.defer(self._session, opportunity, found, conflict=_OWNED)

    async def owner_of(self, opportunity_id: str) -> str | None:
        """The owner of an opportunity; None while it is not known."""
        statement = select(opportunity.c.owner_id).where(opportunity.c.opportunity_id == opportunity_id)
        return (await self._session.execute(statement)).scalar()

    # Profiles

    async def add_profile(self, profile: NewProfile) -> None:
        await self._session.execute(insert(scoring_profile).values(tenant_id=self._tenant_id, **asdict(profile)))

    async def profile(self, profile_id: UUID, *, for_update: bool = False) -> ProfileRecord | None:
        statement = select(*_PROFILE).where(scoring_profile.c.profile_id == profile_id)
        return await record(self._session, statement.with_for_update() if for_update else statement, ProfileRecord)

    async def profiles(
        self, assessment_key: str | None, assessment_version: int | None, after: UUID | None, limit: int
    ) -> list[ProfileRecord]:
        """Profiles in the order they were created."""
        table = scoring_profile
        statement = select(*_PROFILE).order_by(table.c.profile_id).limit(limit)
        if assessment_key is not None:
            statement = statement.where(table.c.assessment_key == assessment_key)
        if assessment_version is not None:
            statement = statement.where(table.c.assessment_version == assessment_version)
        if after is not None:
            statement = statement.where(table.c.profile_id > after)
        return await records(self._session, statement, ProfileRecord)

    async def change_profile(self, profile_id: UUID, **values: Any) -> ProfileRecord:
        """Set the values and count the revision up; the row as it is then."""
        table = scoring_profile
        statement = (
            update(table)
            .where(table.c.profile_id == profile_id)
            .values(**values, revision=table.c.revision + 1, updated_at=func.now())
            .returning(*_PROFILE)
        )
        (changed,) = await records(self._session, statement, ProfileRecord)
        return changed

    async def last_version(self, of: AssessmentVersion) -> int:
        """Number of the newest published profile, 0 when there is none."""
        table = scoring_profile
        statement = select(func.coalesce(func.max(table.c.version), 0)).where(
            table.c.assessment_key == of[0], table.c.assessment_version == of[1]
        )
        return (await self._session.execute(statement)).scalar_one()

    async def profiles_in_force(self, of: Collection[AssessmentVersion]) -> dict[AssessmentVersion, tuple[UUID, int]]:
        """Id and version of the newest published profile of each assessment version that has one."""
        table = scoring_profile
        statement = (
            select(table.c.assessment_key, table.c.assessment_version, table.c.profile_id, table.c.version)
            .ext(distinct_on(table.c.assessment_key, table.c.assessment_version))
            .where(among_rows((table.c.assessment_key, table.c.assessment_version), of), table.c.version.is_not(None))
            .order_by(table.c.assessment_key, table.c.assessment_version, table.c.version.desc())
        )
        found = (await self._session.execute(statement)).all()
        return {(row.assessment_key, row.assessment_version): (row.profile_id, row.version) for row in found}

    async def profiles_with_definitions(self, profile_ids: Collection[UUID]) -> list[ProfileWithDefinition]:
        """Points and definition of each profile: all that scoring needs of it."""
        table = scoring_profile
        statement: Select[*tuple[Any, ...]] = (
            select(
                table.c.profile_id,
                table.c.assessment_key,
                table.c.assessment_version,
                table.c.points,
                table.c.reachable_min,
                table.c.reachable_max,
                assessment.c.definition,
            )
            .join(
                assessment,
                (assessment.c.tenant_id == table.c.tenant_id)
                & (assessment.c.assessment_key == table.c.assessment_key)
                & (assessment.c.version == table.c.assessment_version),
            )
            .where(among(table.c.profile_id, profile_ids))
        )
        return await records(self._session, statement, ProfileWithDefinition)

    async def lock(self, of: Collection[AssessmentVersion], *, shared: bool) -> None:
        """Keep publishing a profile and parking submissions of the same assessment version apart until commit.

        Parkers share the lock, a publisher has it alone; so a submission is either parked before the publisher
        looks, or its parker sees the profile. Taken in one order, so that two transactions cannot wait for each
        other.
        """
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        for key, version in sorted(of):
            name = f"{self._tenant_id}\n{key}\n{version}".encode()
            number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), signed=True)
            await self._session.execute(text(f"SELECT {function}(:number)"), {"number": number})

    # Scores

    async def scored(self, submission_ids: Collection[UUID]) -> set[UUID]:
        """Those of the submissions that have a score."""
        driver = await bulk.driver_of(self._session)
        return {row[0] for row in await driver.fetch(_SCORED, self._tenant_id, list(submission_ids))}

    def add_scores(self, found: Sequence[ScoreRecord]) -> None:
        """Write them with the commit."""
        bulk.defer(self._session, score, found)

    async def newest_score(self, submission_id: UUID) -> ScoreRecord | None:
        statement = (
            select(*_SCORE)
            .where(score.c.submission_id == submission_id)
            .order_by(score.c.scored_at.desc(), score.c.score_id)
            .limit(1)
        )
        return await record(self._session, statement, ScoreRecord)

    async def scores(self, opportunity_id: str, after: tuple[datetime, UUID] | None, limit: int) -> list[ScoreSummary]:
        """Scores of an opportunity, newest first, without their parts: many of these are too much for one answer."""
        order = (score.c.scored_at, score.c.score_id)
        statement = select(*columns(score, ScoreSummary)).where(score.c.opportunity_id == opportunity_id)
        if after is not None:
            statement = statement.where(tuple_(*order) < after)
        newest_first = statement.order_by(*(column.desc() for column in order)).limit(limit)
        return await records(self._session, newest_first, ScoreSummary)
