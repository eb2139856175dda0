"""The hot path: what is known of arriving captures, and their bulk insert."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among_rows
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.admission import Admitted, Context, Published, Receipt, Stored, Twin
from assessment.domain.capture import Capture, Place, is_closed, visit_of
from assessment.domain.holding import HoldReason, Waiting
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
        assessment.latest_version,
        (
            SELECT max(submission.attempt_no)
            FROM submission
            WHERE submission.tenant_id = $1
            AND submission.opportunity_id = given.opportunity_id
            AND submission.assessment_key = given.assessment_key
        ),
        EXISTS (
            SELECT
            FROM submission
            WHERE submission.tenant_id = $1
            AND submission.submission_id = given.submission_id
        )
        OR EXISTS (
            SELECT
            FROM held_submission
            WHERE held_submission.tenant_id = $1
            AND held_submission.submission_id = given.submission_id
        ),
        twin.submission_id,
        twin.stage_key,
        twin.visit_no
    FROM unnest($2::varchar[], $3::varchar[], $4::integer[], $5::uuid[], $6::varchar[])
        WITH ORDINALITY AS given (opportunity_id, assessment_key, version, submission_id, content_sha256, place)
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
    LEFT JOIN LATERAL (
        SELECT submission.submission_id, submission.stage_key, submission.visit_no
        FROM submission
        WHERE submission.tenant_id = $1
        AND submission.opportunity_id = given.opportunity_id
        AND submission.content_sha256 = given.content_sha256
        AND submission.submission_id <> given.submission_id
        ORDER BY submission.received_at
        LIMIT 1
    ) AS twin ON true
    ORDER BY given.place
"""
_RECEIPT = """
        submission_id,
        opportunity_id,
        stage_key,
        visit_no,
        captured_at,
        received_at,
        body_sha256,
        warnings,
        submitted_by
"""
# What was held and then accepted is in both: the receipt that was given is the held one's.
_STORED = f"""
    SELECT {_RECEIPT}, reason, outcome
    FROM held_submission
    WHERE tenant_id = $1
    AND submission_id = any($2)
    UNION ALL
    SELECT {_RECEIPT}, NULL, NULL
    FROM submission
    WHERE tenant_id = $1
    AND submission_id = any($2)
    AND NOT EXISTS (
        SELECT
        FROM held_submission
        WHERE held_submission.tenant_id = $1
        AND held_submission.submission_id = submission.submission_id
    )
"""  # noqa: S608 - columns of our own tables
# How much of theirs waits, counted no further than the quotas.
_WAITING = """
    SELECT
        given.submitted_by,
        (
            SELECT count(*)
            FROM (
                SELECT
                FROM submission
                WHERE submission.tenant_id = $1
                AND submission.submitted_by = given.submitted_by
                AND NOT submission.entitled
                AND NOT EXISTS (
                    SELECT
                    FROM opportunity
                    WHERE opportunity.tenant_id = $1
                    AND opportunity.opportunity_id = submission.opportunity_id
                    AND opportunity.owner_id IS NOT NULL
                )
                LIMIT $3
            ) AS waiting
        ),
        (
            SELECT count(*)
            FROM (
                SELECT
                FROM held_submission
                WHERE held_submission.tenant_id = $1
                AND held_submission.submitted_by = given.submitted_by
                AND held_submission.outcome IS NULL
                LIMIT $4
            ) AS held
        )
    FROM unnest($2::varchar[]) AS given (submitted_by)
"""


class CaptureRepository:
    """Submissions of one tenant, as they come in."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def contexts(self, captures: Sequence[Capture], contents: Sequence[str]) -> list[Context]:
        """What is known of each capture's opportunity, version and content, in their order: one statement for all."""
        found = await (await bulk.driver_of(self._session)).fetch(
            _CONTEXTS,
            self._tenant_id,
            [capture.opportunity_id for capture in captures],
            [capture.assessment_key for capture in captures],
            [capture.assessment_version for capture in captures],
            [capture.submission_id for capture in captures],
            contents,
        )
        return [_context(row) for row in found]

    async def waiting(self, submitters: Collection[str], quota: Waiting) -> dict[str, Waiting]:
        """How much of each of these people waits; no more than the quota is counted."""
        driver = await bulk.driver_of(self._session)
        found = await driver.fetch(_WAITING, self._tenant_id, sorted(submitters), quota.unknown, quota.held)
        return {submitted_by: Waiting(unknown, held) for submitted_by, unknown, held in found}

    async def stored(self, submission_ids: Collection[UUID]) -> dict[UUID, Stored]:
        """The captures that are stored under these ids. Asked only for those that were not new: most are."""
        if not submission_ids:
            return {}
        driver = await bulk.driver_of(self._session)
        found = await driver.fetch(_STORED, self._tenant_id, list(submission_ids))
        return {row[0]: _stored(row) for row in found}

    async def published(self, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Published]:
        """The published versions among these (assessment_key, version) pairs."""
        c = assessment_version.c
        statement = select(*columns(assessment_version, VersionRecord)).where(
            c.tenant_id == self._tenant_id, among_rows((c.assessment_key, c.version), wanted)
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


def _context(row: Sequence[Any]) -> Context:
    opportunity_id, owner_id, stage_key, visit_no, category, deleted, *version_and_attempts = row
    retired_at, latest_version, last_attempt, received_before, *same = version_and_attempts
    place = None
    if opportunity_id is not None:
        place = Place(owner_id, visit_of(stage_key, visit_no), is_closed(category), deleted)
    twin = Twin(same[0], visit_of(same[1], same[2])) if same[0] is not None else None
    return Context(place, retired_at, latest_version or 0, last_attempt or 0, received_before, twin)


def _stored(row: Sequence[Any]) -> Stored:
    id, opportunity_id, stage_key, visit_no, captured_at, received_at, sha256, warnings, *held = row
    visit = visit_of(stage_key, visit_no)
    receipt = Receipt(id, opportunity_id, visit, captured_at, received_at, sha256, tuple(warnings))
    submitted_by, reason, outcome = held
    return Stored(submitted_by, receipt, HoldReason(reason) if reason else None, outcome)


def _record(item: Admitted) -> NewSubmission:
    capture, receipt = item.capture, item.receipt
    return NewSubmission(
        submission_id=capture.submission_id,
        opportunity_id=capture.opportunity_id,
        assessment_key=capture.assessment_key,
        assessment_version=capture.assessment_version,
        stage_key=receipt.visit.stage_key if receipt.visit else None,
        visit_no=receipt.visit.visit_no if receipt.visit else None,
        attempt_no=item.attempt_no,
        channel=capture.channel.value,
        submitted_by=item.submitted_by,
        captured_at=receipt.captured_at,
        received_at=receipt.received_at,
        warnings=receipt.warnings,
        sent_at=capture.sent_at.isoformat() if capture.sent_at else None,
        body=item.body,
        body_sha256=receipt.body_sha256,
        entitled=item.entitled,
        content_sha256=item.content_sha256,
        duplicate_of=item.duplicate_of,
    )
