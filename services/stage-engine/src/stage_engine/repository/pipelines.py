"""Pipelines, their drafts and versions, and the scores that assessments can give."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from kit.database.rows import columns, record, records
from kit.database.sets import among, among_rows
from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models.opportunities import opportunity
from stage_engine.models.pipelines import install_refusal, pipeline, pipeline_version, score_reach
from stage_engine.records.pipelines import (
    InstallRefusal,
    Newest,
    PipelineRecord,
    PipelineSummary,
    ReachRecord,
    StageUse,
    VersionRecord,
    VersionSummary,
)
from stage_engine.repository.locks import lock

_PIPELINE = columns(pipeline, PipelineRecord)


class PipelineRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def lock_publication(self, *, shared: bool) -> None:
        """Keep publishing a pipeline and parking observations for want of one apart until commit."""
        await lock(self._session, self._tenant_id, ["pipelines"], shared=shared)

    async def add(self, key: str, draft: dict[str, Any], by: str) -> PipelineRecord | None:
        """A new pipeline; None when the key is taken."""
        statement = (
            upsert(pipeline)
            .values(
                tenant_id=self._tenant_id,
                pipeline_key=key,
                draft=draft,
                revision=1,
                newest_version=0,
                created_by=by,
                updated_at=func.now(),
                updated_by=by,
            )
            .on_conflict_do_nothing()
            .returning(*_PIPELINE)
        )
        return await record(self._session, statement, PipelineRecord)

    async def one(self, key: str, *, for_update: bool = False) -> PipelineRecord | None:
        statement = select(*_PIPELINE).where(pipeline.c.pipeline_key == key)
        return await record(self._session, statement.with_for_update() if for_update else statement, PipelineRecord)

    async def many(self, after: str, limit: int) -> list[PipelineSummary]:
        """Without their drafts: many of these are too much for one answer."""
        some = columns(pipeline, PipelineSummary)
        statement = select(*some).where(pipeline.c.pipeline_key > after).order_by(pipeline.c.pipeline_key)
        return await records(self._session, statement.limit(limit), PipelineSummary)

    async def change_draft(self, key: str, draft: dict[str, Any], by: str) -> PipelineRecord:
        """Replace the draft and count its revision up."""
        statement = (
            update(pipeline)
            .where(pipeline.c.pipeline_key == key)
            .values(draft=draft, revision=pipeline.c.revision + 1, updated_at=func.now(), updated_by=by)
            .returning(*_PIPELINE)
        )
        (changed,) = await records(self._session, statement, PipelineRecord)
        return changed

    async def add_version(self, version: VersionRecord) -> None:
        """Append a version and make it the newest."""
        await self._session.execute(insert(pipeline_version).values(tenant_id=self._tenant_id, **asdict(version)))
        await self._session.execute(
            update(pipeline)
            .where(pipeline.c.pipeline_key == version.pipeline_key)
            .values(newest_version=version.version, updated_at=func.now(), updated_by=version.published_by)
        )

    async def version(self, key: str, version: int) -> VersionRecord | None:
        table = pipeline_version
        statement = select(*columns(table, VersionRecord)).where(
            table.c.pipeline_key == key, table.c.version == version
        )
        return await record(self._session, statement, VersionRecord)

    async def versions(self, key: str, after: int, limit: int) -> list[VersionSummary]:
        """Without their documents: many of these are too much for one answer."""
        statement = (
            select(*columns(pipeline_version, VersionSummary))
            .where(pipeline_version.c.pipeline_key == key, pipeline_version.c.version > after)
            .order_by(pipeline_version.c.version)
            .limit(limit)
        )
        return await records(self._session, statement, VersionSummary)

    async def newest_versions(self, after: str, limit: int) -> list[VersionRecord]:
        """The newest version of each published pipeline, by key."""
        newest = pipeline_version.join(
            pipeline,
            (pipeline.c.tenant_id == pipeline_version.c.tenant_id)
            & (pipeline.c.pipeline_key == pipeline_version.c.pipeline_key)
            & (pipeline.c.newest_version == pipeline_version.c.version),
        )
        statement = (
            select(*columns(pipeline_version, VersionRecord))
            .select_from(newest)
            .where(pipeline_version.c.pipeline_key > after)
            .order_by(pipeline_version.c.pipeline_key)
            .limit(limit)
        )
        return await records(self._session, statement, VersionRecord)

    async def documents(self, of: Sequence[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
        """The documents of these versions."""
        table = pipeline_version
        statement = select(table.c.pipeline_key, table.c.version, table.c.document).where(
            among_rows((table.c.pipeline_key, table.c.version), of)
        )
        found = (await self._session.execute(statement)).all()
        return {(row.pipeline_key, row.version): row.document for row in found}

    async def newest(self) -> list[Newest]:
        """The newest version of each published pipeline, by key."""
        table = pipeline_version
        statement = (
            select(
                table.c.pipeline_key,
                table.c.version,
                table.c.document["object_type"].astext.label("object_type"),
                table.c.is_default,
                table.c.published_at,
            )
            .ext(distinct_on(table.c.pipeline_key))
            .order_by(table.c.pipeline_key, table.c.version.desc())
        )
        return await records(self._session, statement, Newest)

    async def stage_use(self, key: str) -> list[StageUse]:
        """Where the open opportunities of a pipeline are, by the version they are pinned to."""
        version, stage = opportunity.c.pipeline_version, opportunity.c.stage_key
        statement = (
            select(version.label("version"), stage, func.count().label("opportunities"))
            .where(opportunity.c.pipeline_key == key, opportunity.c.category == "open", ~opportunity.c.deleted)
            .group_by(version, stage)
            .order_by(version, stage)
        )
        return await records(self._session, statement, StageUse)

    # Scores that can occur

    async def keep_reach(self, found: Sequence[ReachRecord]) -> None:
        """Take over what newer points say; older ones are ignored."""
        statement = upsert(score_reach)
        new = statement.excluded
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "assessment_key", "assessment_version"],
                set_={
                    "profile_version": new.profile_version,
                    "minimum": new.minimum,
                    "maximum": new.maximum,
                    "scores": new.scores,
                    "template_key": new.template_key,
                    "updated_at": func.now(),
                },
                where=score_reach.c.profile_version < new.profile_version,
            ),
            [{"tenant_id": self._tenant_id, **asdict(each)} for each in found],
        )

    async def keep_refusals(self, found: Sequence[InstallRefusal]) -> None:
        """Note which assessments a process template does not get."""
        rows = [{"tenant_id": self._tenant_id, **asdict(each)} for each in found]
        await self._session.execute(upsert(install_refusal).on_conflict_do_nothing(), rows)

    async def refusals(self, request_id: UUID) -> list[InstallRefusal]:
        """What one request does not get."""
        statement = select(*columns(install_refusal, InstallRefusal)).where(install_refusal.c.request_id == request_id)
        return await records(self._session, statement.order_by(install_refusal.c.assessment_key), InstallRefusal)

    async def reach(self, assessment_keys: Sequence[str], pinned: Mapping[str, int]) -> list[ReachRecord]:
        """Of the pinned version of each of these assessments, or of the newest one that has points."""
        c = score_reach.c
        statement = (
            select(*columns(score_reach, ReachRecord))
            .ext(distinct_on(c.assessment_key))
            .where(
                among(c.assessment_key, assessment_keys),
                ~among(c.assessment_key, pinned) | among_rows((c.assessment_key, c.assessment_version), pinned.items()),
            )
            .order_by(c.assessment_key, c.assessment_version.desc())
        )
        return await records(self._session, statement, ReachRecord)
