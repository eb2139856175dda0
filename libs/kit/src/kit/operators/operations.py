"""What operators ask a running service: is it alive, is it ready, what did it measure, who changed what."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from kit.http.auth import admit, requires
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router
from kit.operators import audit as audit_log

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
    runtime = request.app.state.runtime
    reasons = await runtime.unready()
    body = {"ready": not reasons, "reasons": reasons}
    return JSONResponse(body | ({"notes": runtime.notes} if runtime.notes else {}), 503 if reasons else 200)


@probes.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Every metric of the process in the text format."""
    await request.app.state.runtime.measure()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@probes.get("/statusz", summary="One look for a person: readiness, lag, outbox, dead letters, last error")
async def statusz(request: Request) -> dict[str, Any]:
    """The same facts as the metrics, in words, of this process. The last error is shown in full to who may read dead
    letters."""
    runtime = request.app.state.runtime
    full = "authorization" in request.headers and admit(request).may("dead-letters:read")
    return await runtime.status(full=full)


class AuditEntry(BaseModel):
    """Who changed what."""

    audit_id: UUID
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    trace_id: str
    at: datetime


@api.get("/audit-entries", dependencies=[requires("audit:read")])
async def list_audit_entries(uow: Uow, paging: Paging) -> Page[AuditEntry]:
    """Who changed what in this service, oldest first."""
    after = paging.after(UUID)
    found = await audit_log.list_entries(uow.session, after, paging.limit + 1)
    return paging.page(found, lambda row: [row["audit_id"]], lambda row: AuditEntry(**row))
