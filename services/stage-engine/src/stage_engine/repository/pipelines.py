"""Pipelines, their drafts and versions, and the scores that assessments can give."""

from collections.abc import Sequence
from typing import Any

from kit.database.rows import rows
from sqlalchemy import func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models import opportunity, partner_feed, pipeline, pipeline_version, score_reach

Row = dict[str, Any]


class PipelineRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def add(self, key: str, draft: dict[str, Any], by: str) -> Row | None:
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
            .returning(pipeline)
        )
        found = (await self._session.execute(statement)).mappings().one_or_none()
        return None if found is None else dict(found)

    async def one(self, key: str, *, for_update: bool = False) -> Row | None:
        statement = select(pipeline).where(pipeline.c.pipeline_key == key)
        found = await rows(self._session, statement.with_for_update() if for_update else statement)
        return found[0] if found else None

    async def many(self, after: str, limit: int) -> list[Row]:
        statement = select(pipeline).where(pipeline.c.pipeline_key > after).order_by(pipeline.c.pipeline_key)
        return await rows(self._session, statement.limit(limit))

    async def change_draft(self, key: str, draft: dict[str, Any], by: str) -> Row:
        """Replace the draft and count its revision up."""
        statement = (
            update(pipeline)
            .where(pipeline.c.pipeline_key == key)
            .values(draft=draft, revision=pipeline.c.revision + 1, updated_at=func.now(), updated_by=by)
            .returning(pipeline)
        )
        return dict((await self._session.execute(statement)).mappings().one())

    async def add_version(self, key: str, row: Row) -> None:
        """Append a version and make it the newest."""
        await self._session.execute(insert(pipeline_version).values(tenant_id=self._tenant_id, pipeline_key=key, **row))
        await self._session.execute(
            update(pipeline)
            .where(pipeline.c.pipeline_key == key)
            .values(newest_version=row["version"], updated_at=func.now(), updated_by=row["published_by"])
        )

    async def versions(self, key: str, after: int, limit: int) -> list[Row]:
        statement = (
            select(pipeline_version)
            .where(pipeline_version.c.pipeline_key == key, pipeline_version.c.version > after)
            .order_by(pipeline_version.c.version)
            .limit(limit)
        )
        return await rows(self._session, statement)

    async def documents(self, of: Sequence[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any]]:
        """The documents of these versions."""
        table = pipeline_version
        statement = select(table.c.pipeline_key, table.c.version, table.c.document).where(
            tuple_(table.c.pipeline_key, table.c.version).in_(list(of))
        )
        found = (await self._session.execute(statement)).all()
        return {(row.pipeline_key, row.version): row.document for row in found}

    async def newest(self) -> tuple[dict[str, int], str | None]:
        """The newest version of each published pipeline, and the key of the default one: of several that say so, the
        one published last."""
        table = pipeline_version
        statement = (
            select(table.c.pipeline_key, table.c.version, table.c.is_default, table.c.published_at)
            .ext(distinct_on(table.c.pipeline_key))
            .order_by(table.c.pipeline_key, table.c.version.desc())
        )
        found = (await self._session.execute(statement)).all()
        defaults = [(row.published_at, row.pipeline_key) for row in found if row.is_default]
        return {row.pipeline_key: row.version for row in found}, max(defaults)[1] if defaults else None

    async def live_deals(self, key: str) -> int:
        """Open deals in the pipeline, of any version."""
        statement = select(func.count()).where(
            opportunity.c.pipeline_key == key, opportunity.c.category == "open", ~opportunity.c.deleted
        )
        return (await self._session.execute(statement)).scalar_one()

    # Scores that can occur

    async def keep_reach(self, found: Sequence[Row]) -> None:
        """Take over what newer points say; older ones are ignored."""
        statement = upsert(score_reach).values([{"tenant_id": self._tenant_id, **row} for row in found])
        new = statement.excluded
        versions = tuple_(score_reach.c.assessment_version, score_reach.c.profile_version)
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "assessment_key"],
                set_={
                    "assessment_version": new.assessment_version,
                    "profile_version": new.profile_version,
                    "minimum": new.minimum,
                    "maximum": new.maximum,
                    "scores": new.scores,
                    "updated_at": func.now(),
                },
                where=versions < tuple_(new.assessment_version, new.profile_version),
            )
        )

    async def reach(self, assessment_keys: Sequence[str]) -> list[Row]:
        statement = select(score_reach).where(score_reach.c.assessment_key.in_(sorted(assessment_keys)))
        return await rows(self._session, statement)

    # Partner feeds

    async def add_feed(self, partner_key: str, topic: str, by: str) -> Row | None:
        """A new feed; None when the partner has one."""
        statement = (
            upsert(partner_feed)
            .values(tenant_id=self._tenant_id, partner_key=partner_key, topic=topic, created_by=by)
            .on_conflict_do_nothing()
            .returning(partner_feed)
        )
        found = (await self._session.execute(statement)).mappings().one_or_none()
        return None if found is None else dict(found)

    async def feeds(self, after: str, limit: int) -> list[Row]:
        statement = select(partner_feed).where(partner_feed.c.partner_key > after)
        return await rows(self._session, statement.order_by(partner_feed.c.partner_key).limit(limit))
