"""Queries of what is held for a reviewer."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from kit.database import bulk
from kit.database.rows import columns, record, records
from kit.http.ownership import Owners
from sqlalchemy import exists, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.admission import Held
from assessment.domain.holding import HeldOutcome, HoldReason
from assessment.models import held_submission, opportunity
from assessment.records import HeldRecord

_HELD = columns(held_submission, HeldRecord)
_c = held_submission.c


class ReviewRepository:
    """Held submissions of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def hold(self, held: Sequence[Held]) -> set[UUID]:
        """Keep these captures for a reviewer; the ids that were new."""
        values = [_held_record(item) for item in sorted(held, key=lambda item: item.capture.submission_id)]
        found = await bulk.insert(
            self._session, held_submission, self._tenant_id, values, conflict="DO NOTHING", returning="submission_id"
        )
        return set(found)

    async def held(self, submission_id: UUID, *, for_update: bool = False) -> HeldRecord | None:
        """One held submission, also a settled one."""
        statement = select(*_HELD).where(_c.tenant_id == self._tenant_id, _c.submission_id == submission_id)
        return await record(self._session, statement.with_for_update() if for_update else statement, HeldRecord)

    async def owner_of(self, opportunity_id: str) -> str | None:
        """The owner of an opportunity; None while it is not known."""
        o = opportunity.c
        statement = select(o.owner_id).where(o.tenant_id == self._tenant_id, o.opportunity_id == opportunity_id)
        return (await self._session.execute(statement)).scalar()

    async def page(
        self,
        owners: Owners,
        reason: HoldReason | None,
        settled: bool,
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[HeldRecord]:
        """Held submissions for opportunities of these owners in the order they were received; those that wait, or the
        settled ones."""
        statement = (
            select(*_HELD)
            .where(_c.tenant_id == self._tenant_id, _c.outcome.is_not(None) if settled else _c.outcome.is_(None))
            .order_by(_c.received_at, _c.submission_id)
            .limit(limit)
        )
        if not owners.are_all:
            o = opportunity.c
            owned = o.tenant_id == _c.tenant_id, o.opportunity_id == _c.opportunity_id
            statement = statement.where(exists().where(*owned, owners.condition(o.owner_id)))
        if reason is not None:
            statement = statement.where(_c.reason == reason)
        if after is not None:
            statement = statement.where(tuple_(_c.received_at, _c.submission_id) > after)
        return await records(self._session, statement, HeldRecord)

    async def settle(self, submission_id: UUID, outcome: HeldOutcome, by: str, note: str) -> HeldRecord:
        """Note what a reviewer decided; the row as it is then."""
        statement = (
            update(held_submission)
            .where(_c.tenant_id == self._tenant_id, _c.submission_id == submission_id)
            .values(outcome=outcome, settled_at=func.now(), settled_by=by, note=note)
            .returning(*_HELD)
        )
        (settled,) = await records(self._session, statement, HeldRecord)
        return settled


def _held_record(item: Held) -> HeldRecord:
    capture, receipt = item.capture, item.receipt
    return HeldRecord(
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
        reason=item.reason,
    )
