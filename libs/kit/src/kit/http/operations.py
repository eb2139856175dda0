"""What operators ask a running service: is it alive, is it ready, what did it measure, what did it put aside."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from kit.delivery.dead_letters import Dismissed, dismiss_dead_letter, list_dead_letters, take_dead_letter
from kit.errors import InvalidEvent, RetryableError
from kit.http import audit as audit_log
from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.problems import ConflictProblem, NotFoundProblem, UnavailableProblem
from kit.http.web import Uow, router

probes = APIRouter(tags=["operations"], generate_unique_id_function=lambda route: route.name)
api = router("operations")


@probes.get("/livez", summary="Whether every loop still runs")
async def livez(request: Request) -> JSONResponse:
    """503 with the reasons when a loop has stopped or is stuck: the process should be restarted."""
    complaints = request.app.state.runtime.watchdog.complaints()
    return JSONResponse({"alive": not complaints, "reasons": complaints}, 503 if complaints else 200)


@probes.get("/readyz", summary="Whether the service takes work now")
async def readyz(request: Request) -> JSONResponse:
    """503 with the reasons while starting, stopping, or cut off from the database or the broker."""
    reasons = await request.app.state.runtime.unready()
    return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


@probes.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Every metric of the process in the text format."""
    await request.app.state.runtime.measure()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@probes.get("/statusz", summary="One look for a person: readiness, lag, outbox, dead letters, last error")
async def statusz(request: Request) -> dict[str, Any]:
    """The same facts as the metrics, in words, of this process."""
    return await request.app.state.runtime.status()


class DeadLetter(BaseModel):
    """An event put aside, without its payload."""

    dead_letter_id: UUID
    topic: str
    partition: int
    offset: int
    code: str
    detail: str
    attempts: int
    at: datetime
    replayed_at: datetime | None
    dismissed_at: datetime | None


class Dismissal(BaseModel):
    """Why an event will never be handled."""

    reason: str = Field(min_length=1, max_length=500)


class AuditEntry(BaseModel):
    """Who changed what."""

    audit_id: UUID
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    trace_id: str
    at: datetime


@api.get("/dead-letters", dependencies=[requires("dead-letters:read")])
async def list_the_dead_letters(
    uow: Uow, paging: Paging, settled: Annotated[bool, Query(description="also those replayed or dismissed")] = False
) -> Page[DeadLetter]:
    """Events that could not be handled, with their origin and the reason."""
    after = paging.after(UUID)
    found = await list_dead_letters(uow.session, after, paging.limit + 1, settled=settled)
    return paging.page(found, lambda row: [row["dead_letter_id"]], lambda row: DeadLetter(**row))


@api.post("/dead-letters/{dead_letter_id}/replay", dependencies=[requires("dead-letters:write")])
async def replay_the_dead_letter(dead_letter_id: UUID, uow: Uow, caller: Caller, request: Request) -> dict[str, str]:
    """Handle the event again, here and now, after its cause was removed; 409 says what is still wrong with it.

    It does not pass through its topic, which only its writer may write and whose other readers have it already."""
    event = await take_dead_letter(uow.session, dead_letter_id)
    if event is None:
        raise _not_found(dead_letter_id)
    try:
        await request.app.state.runtime.consumer.batches.replay(uow, *event)
    except InvalidEvent as invalid:
        raise ConflictProblem(str(invalid), code="event_invalid") from invalid
    except RetryableError as passing:
        raise UnavailableProblem(str(passing)) from passing
    await audit_log.record(uow, caller, "dead-letter.replayed", str(dead_letter_id))
    return {"status": "handled"}


@api.post("/dead-letters/{dead_letter_id}/dismiss", dependencies=[requires("dead-letters:write")])
async def dismiss_the_dead_letter(
    dead_letter_id: UUID, dismissal: Dismissal, uow: Uow, caller: Caller
) -> dict[str, str]:
    """Let the event wait no longer, for nothing can be made of it. It is kept, and can still be replayed."""
    outcome = await dismiss_dead_letter(uow.session, dead_letter_id)
    if outcome is Dismissed.NOT_FOUND:
        raise _not_found(dead_letter_id)
    if outcome is Dismissed.SETTLED_BEFORE:
        detail = f"The dead letter {dead_letter_id} was replayed or dismissed before."
        raise ConflictProblem(detail, code="dead_letter_settled")
    await audit_log.record(uow, caller, "dead-letter.dismissed", str(dead_letter_id), reason=dismissal.reason)
    return {"status": "dismissed"}


def _not_found(dead_letter_id: UUID) -> NotFoundProblem:
    return NotFoundProblem(f"There is no dead letter {dead_letter_id}.")


@api.get("/audit-entries", dependencies=[requires("audit:read")])
async def list_audit_entries(uow: Uow, paging: Paging) -> Page[AuditEntry]:
    """Who changed what in this service, oldest first."""
    after = paging.after(UUID)
    found = await audit_log.list_entries(uow.session, after, paging.limit + 1)
    return paging.page(found, lambda row: [row["audit_id"]], lambda row: AuditEntry(**row))
