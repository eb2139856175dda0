"""Pipelines with their mapping, and the texts of assessments."""

from collections.abc import Iterable, Mapping, Sequence

from kit.database import bulk
from kit.database.rows import columns, records
from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.writes import QuestionText
from crm_connector.models import assessment_text, pipeline
from crm_connector.records import AssessmentTextRecord, PipelineRecord, PipelineVersion

_PUBLISHED = bulk.replace(pipeline, *bulk.column_names(PipelineVersion)[1:])
_UNLESS_OLDER = f"{_PUBLISHED} WHERE excluded.version >= pipeline.version"


class DefinitionRepository:
    """What others defined for one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def pipelines(self) -> dict[str, PipelineRecord]:
        """All pipelines by key."""
        statement = select(*columns(pipeline, PipelineRecord)).where(pipeline.c.tenant_id == self._tenant_id)
        found = await records(self._session, statement, PipelineRecord)
        return {row.pipeline_key: row for row in found}

    async def keep_pipeline(self, given: PipelineVersion) -> bool:
        """Keep this version unless a newer one is known; whether it was kept. There is one default at most."""
        kept = await bulk.insert(
            self._session, pipeline, self._tenant_id, [given], conflict=_UNLESS_OLDER, returning="pipeline_key"
        )
        if kept and given.is_default:
            p = pipeline.c
            others = update(pipeline).where(
                p.tenant_id == self._tenant_id, p.pipeline_key != given.pipeline_key, p.is_default
            )
            await self._session.execute(others.values(is_default=False))
        return bool(kept)

    async def lock_pipeline(self, pipeline_key: str) -> PipelineRecord | None:
        """The pipeline, for the rest of the transaction; None when there is none."""
        p = pipeline.c
        statement = select(*columns(pipeline, PipelineRecord)).where(
            p.tenant_id == self._tenant_id, p.pipeline_key == pipeline_key
        )
        found = await records(self._session, statement.with_for_update(), PipelineRecord)
        return found[0] if found else None

    async def replace_pairs(self, pipeline_key: str, pairs: Mapping[str, str], revision: int) -> None:
        """Make these the pipeline's mapping."""
        p = pipeline.c
        statement = update(pipeline).where(p.tenant_id == self._tenant_id, p.pipeline_key == pipeline_key)
        await self._session.execute(statement.values(pairs=dict(pairs), mapping_revision=revision))

    async def keep_texts(self, rows: Sequence[AssessmentTextRecord]) -> None:
        """Keep the texts of assessment versions; a version never changes."""
        await bulk.insert(self._session, assessment_text, self._tenant_id, rows, conflict="DO NOTHING")

    async def texts(self, versions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Mapping[str, QuestionText]]:
        """The question texts of these assessment versions, as far as they are known."""
        wanted = sorted(set(versions))
        if not wanted:
            return {}
        t = assessment_text.c
        statement = select(*columns(assessment_text, AssessmentTextRecord)).where(
            t.tenant_id == self._tenant_id, tuple_(t.assessment_key, t.version).in_(wanted)
        )
        found = await records(self._session, statement, AssessmentTextRecord)
        return {(row.assessment_key, row.version): row.questions for row in found}
