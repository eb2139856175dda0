"""Pipelines with their mapping, and the texts of assessments."""

from collections.abc import Iterable, Mapping, Sequence

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.database.sets import among_rows
from sqlalchemy import Update, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.writes import QuestionText
from crm_connector.models import assessment_text, pipeline
from crm_connector.records import AssessmentTextRecord, PipelineRecord

_SHOWN = columns(pipeline, PipelineRecord)


class DefinitionRepository:
    """What others defined for one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def lock_mappings(self) -> None:
        """Keep what makes mappings, new versions and new stages of the CRM, apart until the transaction ends."""
        name = func.hashtextextended(f"mappings/{self._tenant_id}", 0)
        await self._session.execute(select(func.pg_advisory_xact_lock(name)))

    async def pipelines(self, versions: Iterable[tuple[str, int]]) -> list[PipelineRecord]:
        """These versions, as far as they are known, and the newest of each pipeline; in the order of versions."""
        p, newer = pipeline.c, pipeline.alias("newer").c
        is_newest = ~exists().where(
            newer.tenant_id == p.tenant_id, newer.pipeline_key == p.pipeline_key, newer.version > p.version
        )
        wanted = or_(is_newest, among_rows((p.pipeline_key, p.version), versions))
        statement = select(*_SHOWN).where(p.tenant_id == self._tenant_id, wanted)
        return await records(self._session, statement.order_by(p.pipeline_key, p.version), PipelineRecord)

    async def keep_pipeline(self, given: PipelineRecord) -> bool:
        """Keep this version unless it is known; whether it was kept. Of all pipelines of an object type the last to say
        so is the default one."""
        kept = await bulk.insert(
            self._session, pipeline, self._tenant_id, [given], conflict="DO NOTHING", returning="pipeline_key"
        )
        if kept and given.is_default:
            p = pipeline.c
            others = update(pipeline).where(
                p.tenant_id == self._tenant_id,
                p.object_type == given.object_type,
                p.pipeline_key != given.pipeline_key,
                p.is_default,
            )
            await self._session.execute(others.values(is_default=False))
        return bool(kept)

    async def lock_pipeline(self, pipeline_key: str, version: int | None = None) -> PipelineRecord | None:
        """A version of the pipeline, the newest unless one is named, for the rest of the transaction; None when there
        is none."""
        p = pipeline.c
        statement = select(*_SHOWN).where(p.tenant_id == self._tenant_id, p.pipeline_key == pipeline_key)
        if version is not None:
            statement = statement.where(p.version == version)
        newest_first = statement.order_by(p.version.desc()).limit(1).with_for_update()
        return await record(self._session, newest_first, PipelineRecord)

    async def lock_pipelines(self) -> list[PipelineRecord]:
        """Every version of every pipeline, for the rest of the transaction."""
        p = pipeline.c
        statement = select(*_SHOWN).where(p.tenant_id == self._tenant_id).order_by(p.pipeline_key, p.version)
        return await records(self._session, statement.with_for_update(), PipelineRecord)

    async def replace_pairs(self, row: PipelineRecord, pairs: Mapping[str, str], revision: int) -> None:
        """Make these the version's mapping, with which all opportunities are to be read."""
        statement = self._version(row).values(pairs=dict(pairs), mapping_revision=revision, remap_after="")
        await self._session.execute(statement)

    async def to_remap(self) -> PipelineRecord | None:
        """A version whose mapping not all opportunities were read with."""
        p = pipeline.c
        statement = select(*_SHOWN).where(p.tenant_id == self._tenant_id, p.remap_after.is_not(None))
        return await record(self._session, statement.order_by(p.pipeline_key, p.version).limit(1), PipelineRecord)

    async def remapped(self, row: PipelineRecord, up_to: str | None) -> None:
        """Note up to which opportunity all were read with this mapping, None for the last; unless it changed
        meanwhile."""
        same = pipeline.c.mapping_revision == row.mapping_revision, pipeline.c.pairs == row.pairs
        await self._session.execute(self._version(row).where(*same).values(remap_after=up_to))

    def _version(self, row: PipelineRecord) -> Update:
        p = pipeline.c
        return update(pipeline).where(
            p.tenant_id == self._tenant_id, p.pipeline_key == row.pipeline_key, p.version == row.version
        )

    async def keep_texts(self, rows: Sequence[AssessmentTextRecord]) -> None:
        """Keep the texts of assessment versions; a version never changes."""
        await bulk.insert(self._session, assessment_text, self._tenant_id, rows, conflict="DO NOTHING")

    async def texts(self, versions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Mapping[str, QuestionText]]:
        """The question texts of these assessment versions, as far as they are known."""
        wanted = set(versions)
        if not wanted:
            return {}
        t = assessment_text.c
        statement = select(*columns(assessment_text, AssessmentTextRecord)).where(
            t.tenant_id == self._tenant_id, among_rows((t.assessment_key, t.version), wanted)
        )
        found = await records(self._session, statement, AssessmentTextRecord)
        return {(row.assessment_key, row.version): row.questions for row in found}
