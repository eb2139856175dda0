"""Queries behind "what now?": opportunities, their stages, attempts and history."""

from collections.abc import Collection
from datetime import UTC, datetime

from kit.database.rows import columns, record, records
from kit.database.sets import among, among_rows
from sqlalchemy import exists, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.delivery import Available, Opportunity, Pipeline
from assessment.models import assessment_version, held_submission, pipeline_version, scoring_profile, submission
from assessment.records import PipelineRecord, TimelineRecord

TimelineKey = tuple[datetime, str, str]

_BEFORE_ALL: TimelineKey = (datetime.min.replace(tzinfo=UTC), "", "")

# A migrated opportunity is pinned to a newer version before it moves: its decisions name that version first.
# Decisions on a submission are found by it: an index of them by opportunity would be written for this alone.
_OPPORTUNITIES = """
    SELECT
        opportunity.opportunity_id,
        opportunity.deleted,
        opportunity.owner_id,
        opportunity.amount,
        opportunity.pipeline_key,
        greatest(
            opportunity.pipeline_version,
            (
                SELECT max(stage_decision.pipeline_version)
                FROM submission
                JOIN stage_decision
                    ON stage_decision.tenant_id = submission.tenant_id
                    AND stage_decision.submission_id = submission.submission_id
                WHERE submission.tenant_id = opportunity.tenant_id
                AND submission.opportunity_id = opportunity.opportunity_id
                AND stage_decision.pipeline_key = opportunity.pipeline_key
            ),
            (
                SELECT max(stage_decision.pipeline_version)
                FROM stage_decision
                WHERE stage_decision.tenant_id = opportunity.tenant_id
                AND stage_decision.opportunity_id = opportunity.opportunity_id
                AND stage_decision.submission_id IS NULL
                AND stage_decision.pipeline_key = opportunity.pipeline_key
            )
        ) AS pipeline_version,
        opportunity.stage_key,
        opportunity.stage_category,
        opportunity.visit_no,
        opportunity.recommended_stage,
        opportunity.abstention_code,
        opportunity.probability,
        opportunity.support,
        opportunity.recommended_at,
        opportunity.waiting
    FROM opportunity
    WHERE opportunity.tenant_id = :tenant_id
"""
_ONE_OPPORTUNITY = text(f"""
    {_OPPORTUNITIES}
    AND opportunity.opportunity_id = :opportunity_id
""")
_OPEN_OPPORTUNITIES = text(f"""
    {_OPPORTUNITIES}
    AND opportunity.owner_id = :owner_id
    AND opportunity.opportunity_id > :after
    AND opportunity.stage_category = 'open'
    AND NOT opportunity.deleted
    ORDER BY opportunity.opportunity_id
    LIMIT :limit
""")
# Numbers become text in the detail: as numbers of JSON they would lose digits.
_TIMELINE = text("""
    WITH submitted AS (
        SELECT *
        FROM submission
        WHERE tenant_id = :tenant_id
        AND opportunity_id = :opportunity_id
        AND (entitled OR submitted_by = :owner_id)
    ),
    decided AS (
        SELECT stage_decision.*
        FROM submitted
        JOIN stage_decision
            ON stage_decision.tenant_id = submitted.tenant_id
            AND stage_decision.submission_id = submitted.submission_id
        UNION ALL
        SELECT *
        FROM stage_decision
        WHERE tenant_id = :tenant_id
        AND opportunity_id = :opportunity_id
        AND submission_id IS NULL
    ),
    happened (at, kind, id, detail) AS (
        SELECT
            received_at,
            'submission',
            submission_id::varchar,
            jsonb_build_object(
                'assessment_key', assessment_key,
                'assessment_version', assessment_version,
                'attempt_no', attempt_no,
                'submitted_by', submitted_by,
                'channel', channel,
                'captured_at', captured_at,
                'stage_key', stage_key,
                'visit_no', visit_no,
                'warnings', warnings
            )
        FROM submitted
        UNION ALL
        SELECT
            submission_score.scored_at,
            'score',
            submission_score.score_id::varchar,
            jsonb_build_object(
                'submission_id', submission_score.submission_id,
                'score', submission_score.score::varchar,
                'scale', submission_score.scale,
                'percent', submission_score.percent::varchar,
                'raw_points', submission_score.raw_points::varchar,
                'reachable_max', submission_score.reachable_max::varchar,
                'complete', submission_score.complete,
                'profile_version', submission_score.profile_version
            )
        FROM submitted
        JOIN submission_score
            ON submission_score.tenant_id = submitted.tenant_id
            AND submission_score.submission_id = submitted.submission_id
        UNION ALL
        SELECT
            decided_at,
            'decision',
            decision_id::varchar,
            jsonb_build_object(
                'submission_id', submission_id,
                'input_kind', input_kind,
                'outcome', outcome,
                'from_stage', from_stage,
                'to_stage', to_stage,
                'proposed_stage', proposed_stage,
                'reasons', reasons,
                'actor', actor
            )
        FROM decided
        UNION ALL
        SELECT
            changed_at,
            'stage_change',
            transition_id::varchar,
            jsonb_build_object(
                'revision', revision,
                'kind', kind,
                'from_stage', from_stage,
                'to_stage', to_stage,
                'visit_no', visit_no,
                'cause', cause,
                'submission_id', submission_id,
                'actor', actor
            )
        FROM stage_change
        WHERE tenant_id = :tenant_id
        AND opportunity_id = :opportunity_id
    )
    SELECT at, kind, id, detail
    FROM happened
    WHERE (at, kind, id) > (:at, :kind, :id)
    ORDER BY at, kind, id
    LIMIT :limit
""")


class DeliveryRepository:
    """Reads of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def opportunity(self, opportunity_id: str) -> Opportunity | None:
        """One opportunity, of any owner."""
        given = {"tenant_id": self._tenant_id, "opportunity_id": opportunity_id}
        return await record(self._session, _ONE_OPPORTUNITY.bindparams(**given), Opportunity)

    async def answered_by(self, opportunity_id: str, person_id: str) -> bool:
        """Whether this person has handed in answers for it, held or not."""
        s, h = submission.c, held_submission.c
        stored = exists().where(
            s.tenant_id == self._tenant_id, s.opportunity_id == opportunity_id, s.submitted_by == person_id
        )
        held = exists().where(
            h.tenant_id == self._tenant_id, h.opportunity_id == opportunity_id, h.submitted_by == person_id
        )
        return bool((await self._session.execute(select(stored | held))).scalar_one())

    async def open_opportunities(self, owner_id: str, after: str, limit: int) -> list[Opportunity]:
        """An owner's open opportunities by id, from behind `after`."""
        given = {"tenant_id": self._tenant_id, "owner_id": owner_id, "after": after, "limit": limit}
        return await records(self._session, _OPEN_OPPORTUNITIES.bindparams(**given), Opportunity)

    async def pipelines(self, pipelines: Collection[tuple[str, int]]) -> dict[tuple[str, int], Pipeline]:
        """Each known one of these (pipeline_key, version) pairs."""
        c = pipeline_version.c
        statement = select(*columns(pipeline_version, PipelineRecord)).where(
            c.tenant_id == self._tenant_id, among_rows((c.pipeline_key, c.version), pipelines)
        )
        return {
            (found.pipeline_key, found.version): Pipeline(
                {stage.key: stage for stage in found.stages}, found.assessment_versions
            )
            for found in await records(self._session, statement, PipelineRecord)
        }

    async def available(self, assessment_keys: Collection[str]) -> dict[str, Available]:
        """The newest version of each of these assessments that may be started: without points it would wait."""
        c, p = assessment_version.c, scoring_profile.c
        with_points = exists().where(
            p.tenant_id == c.tenant_id, p.assessment_key == c.assessment_key, p.assessment_version == c.version
        )
        statement = (
            select(*columns(assessment_version, Available))
            .ext(distinct_on(c.assessment_key))
            .where(
                c.tenant_id == self._tenant_id,
                among(c.assessment_key, assessment_keys),
                c.retired_at.is_(None),
                with_points,
            )
            .order_by(c.assessment_key, c.version.desc())
        )
        return {found.assessment_key: found for found in await records(self._session, statement, Available)}

    async def released(self, versions: Collection[tuple[str, int]]) -> dict[tuple[str, int], Available]:
        """Those of these (assessment_key, version) pairs that may be started. They were released with a pipeline, which
        says that they have points."""
        c = assessment_version.c
        statement = select(*columns(assessment_version, Available)).where(
            c.tenant_id == self._tenant_id,
            among_rows((c.assessment_key, c.version), versions),
            c.retired_at.is_(None),
        )
        return {
            (each.assessment_key, each.version): each for each in await records(self._session, statement, Available)
        }

    async def timeline(
        self, opportunity_id: str, owner_id: str | None, after: TimelineKey | None, limit: int
    ) -> list[TimelineRecord]:
        """Submissions that count, scores, decisions and stage changes in the order of their time, from behind
        `after`."""
        at, kind, id = after or _BEFORE_ALL
        statement = _TIMELINE.bindparams(
            tenant_id=self._tenant_id,
            opportunity_id=opportunity_id,
            owner_id=owner_id,
            at=at,
            kind=kind,
            id=id,
            limit=limit,
        )
        return await records(self._session, statement, TimelineRecord)
