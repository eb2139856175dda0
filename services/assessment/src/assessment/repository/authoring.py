"""Queries of drafts and versions."""

from collections.abc import Mapping, Sequence
from typing import Any

from kit.database.rows import rows
from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.models import assessment, assessment_version

Row = dict[str, Any]


class AuthoringRepository:
    """Drafts and versions of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def insert_draft(self, draft: Mapping[str, Any]) -> Row | None:
        """The new row; None when the key is taken."""
        statement = upsert(assessment).values(
            tenant_id=self._tenant_id, draft_revision=1, latest_version=0, revision=0, **draft
        )
        return await self._one(statement.on_conflict_do_nothing().returning(*assessment.c))

    async def draft(self, assessment_key: str) -> Row | None:
        """The assessment with its draft."""
        return await self._first(self._drafts().where(assessment.c.assessment_key == assessment_key))

    async def locked_draft(self, assessment_key: str) -> Row | None:
        """The assessment with its draft, and nobody else may change it until the transaction ends."""
        statement = self._drafts().where(assessment.c.assessment_key == assessment_key)
        return await self._first(statement.with_for_update())

    async def drafts(self, after: str, limit: int) -> list[Row]:
        """Assessments by key, from behind `after`."""
        statement = self._drafts().where(assessment.c.assessment_key > after)
        return await rows(self._session, statement.order_by(assessment.c.assessment_key).limit(limit))

    async def update_draft(self, assessment_key: str, draft: Mapping[str, Any]) -> Row | None:
        """Replace the draft and count its revision on."""
        return await self._one(
            update(assessment)
            .where(assessment.c.tenant_id == self._tenant_id, assessment.c.assessment_key == assessment_key)
            .values(draft_revision=assessment.c.draft_revision + 1, updated_at=func.now(), **draft)
            .returning(*assessment.c)
        )

    async def count_event(self, assessment_key: str, latest_version: int) -> int:
        """Note that an event about the assessment leaves; its sequence."""
        statement = (
            update(assessment)
            .where(assessment.c.tenant_id == self._tenant_id, assessment.c.assessment_key == assessment_key)
            .values(revision=assessment.c.revision + 1, latest_version=latest_version)
            .returning(assessment.c.revision)
        )
        return (await self._session.execute(statement)).scalar_one()

    async def insert_version(self, version: Mapping[str, Any]) -> None:
        """Keep a published version."""
        await self._session.execute(insert(assessment_version).values(tenant_id=self._tenant_id, **version))

    async def version(self, assessment_key: str, version: int) -> Row | None:
        """One published version."""
        return await self._first(
            self._versions().where(
                assessment_version.c.assessment_key == assessment_key, assessment_version.c.version == version
            )
        )

    async def versions(self, assessment_key: str, after: int, limit: int) -> list[Row]:
        """Published versions of one assessment in their order, from behind `after`."""
        statement = self._versions().where(
            assessment_version.c.assessment_key == assessment_key, assessment_version.c.version > after
        )
        return await rows(self._session, statement.order_by(assessment_version.c.version).limit(limit))

    async def retire(self, assessment_key: str, version: int, retired_by: str) -> Row | None:
        """End new starts of a version now; None when it was retired before."""
        return await self._one(
            update(assessment_version)
            .where(
                assessment_version.c.tenant_id == self._tenant_id,
                assessment_version.c.assessment_key == assessment_key,
                assessment_version.c.version == version,
                assessment_version.c.retired_at.is_(None),
            )
            .values(retired_at=func.now(), retired_by=retired_by)
            .returning(*assessment_version.c)
        )

    def _drafts(self) -> Select[Any]:
        return select(assessment).where(assessment.c.tenant_id == self._tenant_id)

    def _versions(self) -> Select[Any]:
        return select(assessment_version).where(assessment_version.c.tenant_id == self._tenant_id)

    async def _first(self, statement: Select[Any]) -> Row | None:
        found: Sequence[Row] = await rows(self._session, statement)
        return found[0] if found else None

    async def _one(self, statement: Any) -> Row | None:
        row = (await self._session.execute(statement)).mappings().first()
        return None if row is None else dict(row)
