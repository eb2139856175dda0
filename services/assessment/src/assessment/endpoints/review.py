"""Review over HTTP: what is held, accepted or discarded."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from assessment.domain.holding import HoldReason
from assessment.records import HeldRecord
from assessment.schemas.review import Acceptance, Discard, HeldAnswersOut, HeldSubmissionOut
from assessment.service.review import Review

router = router("review", dependencies=[requires("submissions:review")])


@router.get("/held-submissions")
async def list_held_submissions(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    reason: HoldReason | None = None,
    settled: Annotated[bool, Query(description="those accepted or discarded instead")] = False,
) -> Page[HeldSubmissionOut]:
    """Submissions that wait for a reviewer, in the order they were received: a manager sees those for opportunities of
    their team, an administrator all."""
    found = await Review(uow, caller).page(reason, settled, paging.after(datetime, UUID), paging.limit + 1)
    return paging.page(found, lambda held: [held.received_at, held.submission_id], _held)


@router.get("/held-submissions/{held_id}")
async def get_held_submission(held_id: UUID, uow: Uow, caller: Caller) -> HeldAnswersOut:
    """One held submission with its answers, also a settled one."""
    return HeldAnswersOut.of(await Review(uow, caller).one(held_id))


@router.post("/held-submissions/{held_id}/accept")
async def accept_held_submission(
    held_id: UUID, uow: Uow, caller: Caller, acceptance: Acceptance | None = None
) -> HeldSubmissionOut:
    """Let it go on as if it were received now, judged by a published version of its assessment. 409
    `held_submission_settled` when it was decided before."""
    version, note = (acceptance.assessment_version, acceptance.note) if acceptance else (None, "")
    return _held(await Review(uow, caller).accept(held_id, version, note))


@router.post("/held-submissions/{held_id}/discard")
async def discard_held_submission(held_id: UUID, discard: Discard, uow: Uow, caller: Caller) -> HeldSubmissionOut:
    """Let it wait no longer. It is kept, and moves nothing."""
    return _held(await Review(uow, caller).discard(held_id, discard.note))


def _held(held: HeldRecord) -> HeldSubmissionOut:
    return HeldSubmissionOut.model_validate(held, from_attributes=True)
