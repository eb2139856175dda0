"""Taking captures in: the same few statements for one submission and for a hundred."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from kit.database.faults import is_transient
from kit.database.unit_of_work import UnitOfWork
from kit.errors import RetryableError

from assessment.domain.admission import Admitted, Held, Receipt, Stored, not_found, replay
from assessment.domain.answers import CaptureRefused
from assessment.domain.holding import HoldReason, Right
from assessment.messages import assessment_submitted
from assessment.repository.capture import CaptureRepository
from assessment.repository.review import ReviewRepository
from assessment.service.judging import HandedIn, judge_all

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Taken:
    """A capture that is stored; replayed when it was before this call, or earlier in the same batch."""

    receipt: Receipt
    replayed: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A capture that is held because its definition does not count. Only a submitter who sees the opportunity learns
    what a reviewer made of it."""

    reason: HoldReason
    status: Literal["waiting", "discarded"] = "waiting"


Outcome = Taken | Kept | CaptureRefused


async def take_captures(uow: UnitOfWork, handed_in: Sequence[HandedIn]) -> list[Outcome]:
    """Store and publish what is new, hold what a reviewer has to see, replay what is not new, and say why not for the
    rest: one outcome per capture, in their order."""
    repository = CaptureRepository(uow.session, uow.tenant_id)
    judged = await judge_all(uow, handed_in)
    new = await repository.insert([item for item in judged.items.values() if isinstance(item, Admitted)])
    held = [item for item in judged.items.values() if isinstance(item, Held)]
    new |= await ReviewRepository(uow.session, uow.tenant_id).hold(held)
    outcomes: dict[int, Outcome] = {}
    for place, item in judged.items.items():
        if item.capture.submission_id not in new:
            continue
        outcomes[place] = Taken(item.receipt, replayed=False)
        if isinstance(item, Admitted):
            announce(uow, item, handed_in[place].traceparent)
        elif item.reason.is_told:
            outcomes[place] = Kept(item.reason)
    # Statements see what others committed meanwhile, so what the insert waited for is visible now. What was stored once
    # is replayed even where it would be refused today.
    rest = [place for place in range(len(handed_in)) if place not in outcomes]
    stored = await repository.stored({handed_in[place].capture.submission_id for place in rest})
    for place in rest:
        given, seen = handed_in[place], judged.rights[place] is Right.SEEN
        found = stored.get(given.capture.submission_id)
        outcomes[place] = _replay(given, found, judged.refused.get(place), seen=seen)
    return [outcomes[place] for place in range(len(handed_in))]


async def take_each(uow: UnitOfWork, handed_in: Sequence[HandedIn]) -> list[Outcome]:
    """As take_captures, but a capture that raises fails alone: it is refused, and the others are taken."""
    try:
        async with uow.attempt():
            return await take_captures(uow, handed_in)
    except Exception as error:
        if is_transient(error) or isinstance(error, RetryableError):
            raise
    return [await _take_alone(uow, each) for each in handed_in]


async def _take_alone(uow: UnitOfWork, handed_in: HandedIn) -> Outcome:
    try:
        async with uow.attempt():
            return (await take_captures(uow, [handed_in]))[0]
    except Exception as error:
        if is_transient(error) or isinstance(error, RetryableError):
            raise
        log.exception("submission %s failed", handed_in.capture.submission_id)
        return CaptureRefused("internal_error", "The fault is ours and has been recorded. Send this item again later.")


def announce(uow: UnitOfWork, item: Admitted, traceparent: str | None = None) -> None:
    """Publish a submission that is stored."""
    # The stream has no version of its own to count, so it counts by receipt.
    sequence = (item.receipt.received_at - _EPOCH) // timedelta(microseconds=1)
    uow.publish(assessment_submitted(item), sequence=sequence, traceparent=traceparent)


def _replay(given: HandedIn, stored: Stored | None, refusal: CaptureRefused | None, *, seen: bool) -> Outcome:
    if stored is None:
        # Without a refusal, another tenant has taken the id, and its row cannot be seen here.
        return refusal or not_found(given.capture.submission_id)
    try:
        receipt = replay(given.capture, stored, given.submitted_by)
    except CaptureRefused as mismatch:
        return mismatch
    if stored.reason is None or not stored.reason.is_told or (seen and stored.outcome == "accepted"):
        return Taken(receipt, replayed=True)
    return Kept(stored.reason, "discarded" if seen and stored.outcome == "discarded" else "waiting")
