"""Capture over HTTP: one submission, or an offline queue."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Request, Response
from kit.http.auth import Caller, Principal, requires
from kit.http.bodies import BATCH_BODY, DOCUMENT_BODY, accepts
from kit.http.idempotency import REPLAY_HEADER
from kit.http.ownership import Owners
from kit.http.problems import pointer
from kit.http.web import Uow, router, unavailable_while_it_passes
from kit.observability.telemetry import current_traceparent
from kit.offload import Turns
from kit.runtime import Runtime
from pydantic import ValidationError

from assessment.domain.admission import Receipt
from assessment.domain.answers import CaptureRefused
from assessment.domain.capture import Capture
from assessment.domain.holding import explained
from assessment.errors import field_errors, problem_of
from assessment.schemas.capture import (
    BatchBody,
    BatchItem,
    BatchOut,
    ItemError,
    ItemOut,
    KeptOut,
    ReceiptOut,
    SubmissionBody,
)
from assessment.service.capture import Kept, Outcome, Taken, take_each
from assessment.service.group_commit import GroupCommit
from assessment.service.judging import HandedIn

router = router("capture")

MOVE = "transitions:write"

_REPLAY = {
    "description": "An exact retry: the original answer",
    "headers": {REPLAY_HEADER: {"schema": {"type": "string"}}},
}

_KEPT = {"description": "Its definition does not count: it waits for a reviewer, and need not be sent again"}


@router.put(
    "/submissions/{submission_id}",
    status_code=201,
    response_model=ReceiptOut | KeptOut,
    responses={200: {"model": ReceiptOut, **_REPLAY}, 201: {"model": ReceiptOut}, 202: {"model": KeptOut, **_KEPT}},
    dependencies=[requires("submissions:write")],
)
@accepts(DOCUMENT_BODY)
async def put_submission(
    submission_id: Annotated[UUID, Path(description="made by the client, once, when the rep starts")],
    body: SubmissionBody,
    caller: Caller,
    request: Request,
    response: Response,
) -> Any:
    """Hand in a finished assessment. Repeat it until it is answered: the same id with the same body is the same
    submission, and gets the original answer. With a `move`, the same decision takes in the answers, its facts and the
    move: read what became of it under `decision` of the submission."""
    runtime: Runtime = request.app.state.runtime
    if body.move is not None:
        caller.demand(MOVE)
    handed_in = _handed_in(body.capture(submission_id), caller)
    with unavailable_while_it_passes(request):
        outcome = await runtime.resources.get(GroupCommit).take(runtime.database, caller.tenant_id, handed_in)
    if isinstance(outcome, CaptureRefused):
        raise problem_of(outcome)
    if isinstance(outcome, Kept):
        response.status_code = 202
        return KeptOut(
            submission_id=submission_id,
            status=outcome.status,
            code=outcome.reason,
            detail=explained(outcome.reason, handed_in.capture),
        )
    if outcome.replayed:
        response.status_code = 200
        response.headers[REPLAY_HEADER] = "true"
    return _receipt(outcome.receipt)


@router.post("/submission-batches", dependencies=[requires("submissions:write")])
@accepts(BATCH_BODY, judges_text=True)
async def submit_batch(body: BatchBody, uow: Uow, caller: Caller) -> BatchOut:
    """Hand in an offline queue of up to 100 items. Each is judged alone and answered in its place: accepted,
    duplicate, kept for a reviewer, or rejected. A rejected item never holds up the others: keep it for its rep to
    correct."""
    answers: dict[int, ItemOut] = {}
    captures: dict[int, Capture] = {}
    turns = Turns()
    for place, raw in enumerate(body.items):
        await turns.take()
        try:
            item = BatchItem.model_validate(raw)
            if item.move is None or caller.may(MOVE):
                captures[place] = item.capture(item.submission_id)
            else:
                answers[place] = _not_allowed(item.submission_id)
        except ValidationError as error:
            answers[place] = _malformed(place, raw, error)
    if captures:
        outcomes = await take_each(uow, [_handed_in(each, caller) for each in captures.values()])
        for (place, capture), outcome in zip(captures.items(), outcomes, strict=True):
            answers[place] = _item(place, capture, outcome)
    return BatchOut(items=[answers[place] for place in range(len(body.items))])


def _handed_in(capture: Capture, caller: Principal) -> HandedIn:
    return HandedIn(capture, caller.person_id, Owners.seen_by(caller), current_traceparent())


def _receipt(receipt: Receipt) -> ReceiptOut:
    return ReceiptOut.model_validate(receipt, from_attributes=True)


def _item(place: int, capture: Capture, outcome: Outcome) -> ItemOut:
    submission_id = str(capture.submission_id)
    if isinstance(outcome, Kept):
        detail = explained(outcome.reason, capture)
        return ItemOut(submission_id=submission_id, status="kept", code=outcome.reason, detail=detail)
    if isinstance(outcome, Taken):
        status = "duplicate" if outcome.replayed else "accepted"
        return ItemOut(submission_id=submission_id, status=status, receipt=_receipt(outcome.receipt))
    errors = tuple(ItemError(**vars(error)) for error in field_errors(outcome, "items", place))
    return ItemOut(
        submission_id=submission_id,
        status="rejected",
        code=outcome.code,
        detail=outcome.detail,
        errors=errors,
        stored_sha256=outcome.facts.get("stored_sha256"),
        received_sha256=outcome.facts.get("received_sha256"),
    )


def _not_allowed(submission_id: UUID) -> ItemOut:
    detail = f"The scope {MOVE} is needed to move an opportunity. Send the answers without the move."
    return ItemOut(submission_id=str(submission_id), status="rejected", code="missing_scope", detail=detail)


def _malformed(place: int, raw: Any, error: ValidationError) -> ItemOut:
    submission_id = raw.get("submission_id") if isinstance(raw, dict) else None
    errors = tuple(
        ItemError(pointer=pointer("items", place, *e["loc"]), code=e["type"], detail=e["msg"])
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return ItemOut(
        submission_id=submission_id if isinstance(submission_id, str) else None,
        status="rejected",
        code="validation_failed",
        detail="The item is not a submission.",
        errors=errors,
    )
