"""Queries of drafts and versions."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from forms.definition import Question
from kit.database.rows import columns, record, records
from pydantic_core import to_jsonable_python
from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.models import assessment, assessment_version
from assessment.records import DraftRecord, VersionRecord

_DRAFT = columns(assessment, DraftRecord)
_VERSION = columns(assessment_version, VersionRecord)


class AuthoringRepository:
    """Drafts and versions of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def insert_draft(
        self, assessment_key: str, title: str, description: str, questions: Collection[Question], author: str
    ) -> DraftRecord | None:
        """The new assessment; None when the key is taken."""
        statement = upsert(assessment).values(
            tenant_id=self._tenant_id,
            assessment_key=assessment_key,
            title=title,
            description=description,
            questions=to_jsonable_python(questions),
            draft_revision=1,
            latest_version=0,
            revision=0,
            created_by=author,
            updated_by=author,
        )
        return await record(self._session, statement.on_conflict_do_nothing().returning(*_DRAFT), DraftRecord)

    async def draft(self, assessment_key: str, *, for_update: bool = False) -> DraftRecord | None:
        """The assessment with its draft; locked until the transaction ends if it is read for update."""
        statement = self._drafts().where(assessment.c.assessment_key == assessment_key)
        return await record(self._session, statement.with_for_update() if for_update else statement, DraftRecord)

    async def drafts(self, after: str, limit: int) -> list[DraftRecord]:
        """Assessments by key, from behind `after`."""
        statement = self._drafts().where(assessment.c.assessment_key > after)
        return await records(self._session, statement.order_by(assessment.c.assessment_key).limit(limit), DraftRecord)

    async def update_draft(
        self, assessment_key: str, title: str, description: str, questions: Collection[Question], author: str
    ) -> DraftRecord:
        """Replace the draft, which exists, and count its revision on."""
        statement = (
            update(assessment)
            .where(assessment.c.tenant_id == self._tenant_id, assessment.c.assessment_key == assessment_key)
            .values(
                title=title,
                description=description,
                questions=to_jsonable_python(questions),
                draft_revision=assessment.c.draft_revision + 1,
                updated_at=func.now(),
                updated_by=author,
            )
            .returning(*_DRAFT)
        )
        (changed,) = await records(self._session, statement, DraftRecord)
        return changed

    async def count_event(self, assessment_key: str, latest_version: int) -> int:
        """Note that an event about the assessment leaves; its sequence."""
        statement = (
            update(assessment)
            .where(assessment.c.tenant_id == self._tenant_id, assessment.c.assessment_key == assessment_key)
            .values(revision=assessment.c.revision + 1, latest_version=latest_version)
            .returning(assessment.c.revision)
        )
        return (await self._session.execute(statement)).scalar_one()

    async def insert_version(self, version: VersionRecord) -> None:
        """Keep a published version."""
        values = {**asdict(version), "questions": to_jsonable_python(version.questions)}
        await self._session.execute(insert(assessment_version).values(tenant_id=self._tenant_id, **values))

    async def version(self, assessment_key: str, version: int) -> VersionRecord | None:
        """One published version."""
        statement = self._versions(assessment_key).where(assessment_version.c.version == version)
        return await record(self._session, statement, VersionRecord)

    async def versions(self, assessment_key: str, after: int, limit: int) -> list[VersionRecord]:
        """Published versions of one assessment in their order, from behind `after`."""
        statement = self._versions(assessment_key).where(assessment_version.c.version > after)
        in_order = statement.order_by(assessment_version.c.version).limit(limit)
        return await records(self._session, in_order, VersionRecord)

    async def retire(self, assessment_key: str, version: int, retired_by: str) -> VersionRecord | None:
        """End new starts of a version now; None when it was retired before."""
        statement = (
            update(assessment_version)
            .where(
                assessment_version.c.tenant_id == self._tenant_id,
                assessment_version.c.assessment_key == assessment_key,
                assessment_version.c.version == version,
                assessment_version.c.retired_at.is_(None),
            )
            .values(retired_at=func.now(), retired_by=retired_by)
            .returning(*_VERSION)
        )
        return await record(self._session, statement, VersionRecord)

    def _drafts(self) -> Select[Any]:
        return select(*_DRAFT).where(assessment.c.tenant_id == self._tenant_id)

    def _versions(self, assessment_key: str) -> Select[Any]:
        c = assessment_version.c
        return select(*_VERSION).where(c.tenant_id == self._tenant_id, c.assessment_key == assessment_key)
