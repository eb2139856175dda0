"""The hot path: what is known of arriving captures, and their bulk insert."""

from collections.abc import Collection, Sequence
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, records
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.admission import Admitted, Context, Published, Receipt, Stored
from assessment.domain.capture import Capture, Place, is_closed, visit_of
from assessment.models import assessment_version, submission
from assessment.records import NewSubmission, VersionRecord

_CONTEXTS = """
    SELECT
        opportunity.opportunity_id,
        opportunity.owner_id,
        opportunity.stage_key,
        opportunity.visit_no,
        opportunity.stage_category,
        opportunity.deleted,
        assessment_version.retired_at,
        assessment.latest_version
    FROM unnest($2::varchar[], $3::varchar[], $4::integer[])
        WITH ORDINALITY AS given (opportunity_id, assessment_key, version, place)
    LEFT JOIN opportunity
        ON opportunity.tenant_id = $1
        AND opportunity.opportunity_id = given.opportunity_id
    LEFT JOIN assessment
        ON assessment.tenant_id = $1
        AND assessment.assessment_key = given.assessment_key
    LEFT JOIN assessment_version
        ON assessment_version.tenant_id = $1
        AND assessment_version.assessment_key = given.assessment_key
        AND assessment_version.version = given.version
    ORDER BY given.place
"""
_STORED = """
    SELECT
        submission_id,
        opportunity_id,
        stage_key,
        visit_no,
        captured_at,
        received_at,
        body_sha256,
        warnings,
        submitted_by
    FROM submission
    WHERE tenant_id = $1
    AND submission_id = any($2)
"""


class CaptureRepository:
    """Submissions of one tenant, as they come in."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def contexts(self, captures: Sequence[Capture]) -> list[Context]:
        """What is known of each capture's opportunity and version, in their order: one statement for all."""
        found = await (await bulk.driver_of(self._session)).fetch(
            _CONTEXTS,
            self._tenant_id,
            [capture.opportunity_id for capture in captures],
            [capture.assessment_key for capture in captures],
            [capture.assessment_version for capture in captures],
        )
        contexts: list[Context] = []
        for opportunity_id, owner_id, stage_key, visit_no, category, deleted, retired_at, latest_version in found:
            place = None
            if opportunity_id is not None:
                place = Place(owner_id, visit_of(stage_key, visit_no), is_closed(category), deleted)
            contexts.append(Context(place, retired_at, latest_version or 0))
        return contexts

    async def stored(self, submission_ids: Collection[UUID]) -> dict[UUID, Stored]:
        """The captures that are stored under these ids. Asked only for those that were not new: most are."""
        if not submission_ids:
            return {}
        driver = await bulk.driver_of(self._session)
        stored: dict[UUID, Stored] = {}
        found = await driver.fetch(_STORED, self._tenant_id, list(submission_ids))
        for id, opportunity_id, stage_key, visit_no, captured_at, received_at, sha256, warnings, submitted_by in found:
            visit = visit_of(stage_key, visit_no)
            receipt = Receipt(id, opportunity_id, visit, captured_at, received_at, sha256, tuple(warnings))
            stored[id] = Stored(submitted_by, receipt)
        return stored

    async def published(self, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Published]:
        """The published versions among these (assessment_key, version) pairs."""
        c = assessment_version.c
        statement = select(*columns(assessment_version, VersionRecord)).where(
            c.tenant_id == self._tenant_id, tuple_(c.assessment_key, c.version).in_(sorted(wanted))
        )
        return {
            (found.assessment_key, found.version): Published(found.form, found.definition_hash)
            for found in await records(self._session, statement, VersionRecord)
        }

    async def insert(self, admitted: Sequence[Admitted]) -> set[UUID]:
        """Store these captures; the ids that were new. A twin that another transaction is storing is waited for."""
        # One order for all, or two transactions that store overlapping batches deadlock.
        values = [_record(item) for item in sorted(admitted, key=lambda item: item.capture.submission_id)]
        found = await bulk.insert(
            self._session, submission, self._tenant_id, values, conflict="DO NOTHING", returning="submission_id"
        )
        return set(found)


def _record(item: Admitted) -> NewSubmission:
    capture, receipt = item.capture, item.receipt
    return NewSubmission(
        submission_id=capture.submission_id,
        opportunity_id=capture.opportunity_id,
        assessment_key=capture.assessment_key,
        assessment_version=capture.assessment_version,
        stage_key=receipt.visit.stage_key if receipt.visit else None,
        visit_no=receipt.visit.visit_no if receipt.visit else None,
        attempt_no=capture.attempt_no,
        channel=capture.channel.value,
        submitted_by=item.submitted_by,
        captured_at=receipt.captured_at,
        received_at=receipt.received_at,
        warnings=receipt.warnings,
        sent_at=capture.sent_at.isoformat() if capture.sent_at else None,
        body=item.body,
        body_sha256=receipt.body_sha256,
    )
