"""The hot path: what is known of arriving captures, and their bulk insert."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from forms.definition import form_from_json
from kit.database import bulk
from kit.database.rows import rows
from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.admission import Admitted, Context, Published, Receipt, Stored
from assessment.domain.capture import Capture, Place, visit_of
from assessment.models import assessment_version, submission

# Looked up one by one: of rows that came since the last ANALYZE the planner knows nothing, and would read them all.
_KNOWN = """
    SELECT o.opportunity_id, o.owner_id, o.stage_key, o.visit_no, o.stage_category, o.deleted,
           v.retired_at, v.latest_version
    FROM unnest($2::varchar[], $3::varchar[], $4::integer[])
         WITH ORDINALITY AS i(opportunity_id, assessment_key, version, place)
    LEFT JOIN LATERAL (
        SELECT * FROM opportunity o WHERE o.tenant_id = $1 AND o.opportunity_id = i.opportunity_id LIMIT 1
    ) AS o ON true
    LEFT JOIN LATERAL (
        SELECT v.retired_at, a.latest_version
        FROM assessment a LEFT JOIN assessment_version v
             ON v.tenant_id = $1 AND v.assessment_key = a.assessment_key AND v.version = i.version
        WHERE a.tenant_id = $1 AND a.assessment_key = i.assessment_key LIMIT 1
    ) AS v ON true
    ORDER BY i.place
"""
_STORED = """
    SELECT submission_id, opportunity_id, stage_key, visit_no, captured_at, received_at, body_sha256, warnings,
           submitted_by
    FROM submission WHERE tenant_id = $1 AND submission_id = any($2)
"""


class CaptureRepository:
    """Submissions of one tenant, as they come in."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def contexts(self, captures: Sequence[Capture]) -> list[Context]:
        """What is known of each capture's opportunity and version, in their order: one statement for all."""
        found = await (await bulk.driver_of(self._session)).fetch(
            _KNOWN,
            self._tenant_id,
            [capture.opportunity_id for capture in captures],
            [capture.assessment_key for capture in captures],
            [capture.assessment_version for capture in captures],
        )
        return [_context(row) for row in found]

    async def stored(self, submission_ids: Collection[UUID]) -> dict[UUID, Stored]:
        """The captures that are stored under these ids. Asked only for those that were not new: most are."""
        if not submission_ids:
            return {}
        driver = await bulk.driver_of(self._session)
        found = await driver.fetch(_STORED, self._tenant_id, list(submission_ids))
        return {row["submission_id"]: _stored(row) for row in found}

    async def published(self, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Published]:
        """The published versions among these (assessment_key, version) pairs."""
        c = assessment_version.c
        statement = select(c.assessment_key, c.version, c.title, c.description, c.questions, c.definition_hash)
        statement = statement.where(
            c.tenant_id == self._tenant_id, tuple_(c.assessment_key, c.version).in_(sorted(wanted))
        )
        return {
            (row["assessment_key"], row["version"]): Published(
                form_from_json({**row, "key": row["assessment_key"]}, row["version"]), row["definition_hash"]
            )
            for row in await rows(self._session, statement)
        }

    async def insert(self, admitted: Sequence[Admitted]) -> set[UUID]:
        """Store these captures; the ids that were new. A twin that another transaction is storing is waited for."""
        # One order for all, or two transactions that store overlapping batches deadlock.
        values = [self._row(item) for item in sorted(admitted, key=lambda item: item.capture.submission_id)]
        found = await bulk.insert(
            self._session, submission, self._tenant_id, values, conflict="DO NOTHING", returning="submission_id"
        )
        return set(found)

    def _row(self, item: Admitted) -> dict[str, Any]:
        capture, receipt = item.capture, item.receipt
        return {
            "submission_id": capture.submission_id,
            "opportunity_id": capture.opportunity_id,
            "assessment_key": capture.assessment_key,
            "assessment_version": capture.assessment_version,
            "stage_key": receipt.visit.stage_key if receipt.visit else None,
            "visit_no": receipt.visit.visit_no if receipt.visit else None,
            "attempt_no": capture.attempt_no,
            "channel": capture.channel.value,
            "submitted_by": item.submitted_by,
            "captured_at": receipt.captured_at,
            "received_at": receipt.received_at,
            "sent_at": capture.sent_at.isoformat() if capture.sent_at else None,
            "body": item.body,
            "body_sha256": receipt.body_sha256,
            "warnings": list(receipt.warnings),
        }


def _context(row: Any) -> Context:
    place = None
    if row["opportunity_id"] is not None:
        place = Place(
            row["owner_id"],
            visit_of(row["stage_key"], row["visit_no"]),
            closed=row["stage_category"] not in {None, "open"},
            deleted=row["deleted"],
        )
    return Context(place, row["retired_at"], row["latest_version"] or 0)


def _stored(row: Any) -> Stored:
    visit = visit_of(row["stage_key"], row["visit_no"])
    receipt = Receipt(
        row["submission_id"],
        row["opportunity_id"],
        visit,
        row["captured_at"],
        row["received_at"],
        row["body_sha256"],
        tuple(row["warnings"]),
    )
    return Stored(row["submitted_by"], receipt)
