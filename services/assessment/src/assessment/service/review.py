"""Reviewing held submissions: a reviewer accepts one, and it goes on as if received then, or discards it."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners
from kit.ids import utc_now
from kit.operators import audit

from assessment.domain.admission import Admitted, judge, number_attempts
from assessment.domain.answers import CaptureRefused
from assessment.domain.capture import capture_of, content_sha256
from assessment.domain.holding import HeldOutcome, HoldReason, Right
from assessment.errors import (
    HeldSubmissionNotFound,
    HeldSubmissionSettled,
    SubmissionExists,
    VersionNotFound,
    problem_of,
)
from assessment.records import HeldRecord
from assessment.repository.capture import CaptureRepository
from assessment.repository.review import ReviewRepository
from assessment.service.capture import announce
from assessment.service.judging import PublishedVersions, must_fit


class Review:
    """What is held for opportunities that one reviewer sees, on that person's behalf; what is for any other is as if it
    were not there. Every decision leaves an audit entry."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._owners = Owners.seen_by(caller)
        self._held = ReviewRepository(uow.session, uow.tenant_id)
        self._captures = CaptureRepository(uow.session, uow.tenant_id)

    async def page(
        self, reason: HoldReason | None, settled: bool, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[HeldRecord]:
        """What waits, or what is settled, in the order it was received."""
        return await self._held.page(self._owners, reason, settled, after, limit)

    async def one(self, submission_id: UUID) -> HeldRecord:
        """One held submission. HeldSubmissionNotFound."""
        return await self._seen(submission_id)

    async def accept(self, submission_id: UUID, version: int | None, note: str) -> HeldRecord:
        """Make it a submission, received now, judged by a version of its assessment: by the one it names unless another
        is given. HeldSubmissionSettled, VersionNotFound, SubmissionInvalid, SubmissionExists."""
        held = await self._waiting(submission_id)
        admitted = await self._judged(held, version or held.assessment_version)
        if not await self._captures.insert([admitted]):
            raise SubmissionExists(f"There is a submission {submission_id} already.")
        announce(self._uow, admitted)
        return await self._settle(held, "accepted", note, version=admitted.capture.assessment_version)

    async def discard(self, submission_id: UUID, note: str) -> HeldRecord:
        """Let it wait no longer; it is kept and moves nothing. HeldSubmissionSettled."""
        return await self._settle(await self._waiting(submission_id), "discarded", note)

    async def _waiting(self, submission_id: UUID) -> HeldRecord:
        held = await self._seen(submission_id, for_update=True)
        if held.outcome is not None:
            raise HeldSubmissionSettled(f"The submission {submission_id} was {held.outcome} before.")
        return held

    async def _seen(self, submission_id: UUID, *, for_update: bool = False) -> HeldRecord:
        absent = HeldSubmissionNotFound(f"No submission {submission_id} is held for an opportunity of yours.")
        held = await self._held.held(submission_id, for_update=for_update)
        if held is None:
            raise absent
        if not self._owners.are_all:
            self._owners.demand(await self._held.owner_of(held.opportunity_id), absent)
        return held

    async def _judged(self, held: HeldRecord, version: int) -> Admitted:
        sent = replace(
            capture_of(held.submission_id, held.body, held.channel, held.sent_at), assessment_version=version
        )
        # Its time and visit are those of its arrival.
        capture = replace(sent, captured_at=held.captured_at, sent_at=None, visit=held.visit)
        versions = await self._uow.resources.get(PublishedVersions).load(self._captures, self._uow.tenant_id, [capture])
        published = versions.get((capture.assessment_key, version))
        if published is None:
            raise VersionNotFound(f"There is no published version {version} of {capture.assessment_key}.")
        content = content_sha256(sent, held.submitted_by)
        [context] = await self._captures.contexts([capture], [content])
        try:
            item = judge(capture, published.form, context, Right.SEEN, held.submitted_by, utc_now())
            must_fit(item)
        except CaptureRefused as refusal:
            raise problem_of(refusal) from refusal
        [numbered] = number_attempts([(item, context.last_attempt)])
        # An exact retry of what was sent is still recognised.
        receipt = replace(item.receipt, body_sha256=held.body_sha256)
        return replace(numbered, capture=sent, body=held.body, receipt=receipt, content_sha256=content)

    async def _settle(self, held: HeldRecord, outcome: HeldOutcome, note: str, **facts: Any) -> HeldRecord:
        settled = await self._held.settle(held.submission_id, outcome, self._caller.subject, note)
        action = f"held_submission.{outcome}"
        await audit.record(self._uow, self._caller, action, str(held.submission_id), reason=held.reason, **facts)
        return settled
