"""What every request leaves behind: a line in the log and two metrics. And the reply while the service starts."""

import logging
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kit.http.problems import UnavailableProblem, problem_response
from kit.observability.telemetry import HTTP_REQUESTS, HTTP_SECONDS, PROBE_PATHS

log = logging.getLogger("http")

UNMATCHED = "unmatched"


class AccessLog:
    """Logs and counts each request with its operation, status and problem code; probes are neither news nor load. Where
    the caller may not have it, the line says why: `refused` is `token`, `scope` or `not_owner`.

    While `waits_for` says what the service still waits for, every other request gets a 503 problem `starting`.
    """

    def __init__(self, app: ASGIApp, service: str, waits_for: Callable[[], str]) -> None:
        self._app = app
        self._service = service
        self._waits_for = waits_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or scope["path"].removeprefix(scope.get("root_path", "")) in PROBE_PATHS:
            return await self._app(scope, receive, send)
        # The route and the error handlers write into it.
        state = scope.setdefault("state", {})
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if reason := self._waits_for():
                detail = f"The service starts and waits for {reason}. Try again soon."
                starting = UnavailableProblem(detail, code="starting", headers={"Retry-After": "1"})
                return await problem_response(Request(scope), starting)(scope, receive, noted)
            await self._app(scope, receive, noted)
        except Exception as error:
            # The server answers 500 outside of here.
            state |= {"problem_code": "internal_error", "fault": type(error).__name__}
            raise
        finally:
            self._note(scope, state, status, time.perf_counter() - began)

    def _note(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        route = scope.get("route")
        operation = getattr(route, "name", UNMATCHED)
        code = state.get("problem_code", "")
        HTTP_REQUESTS.labels(self._service, operation, str(status), code).inc()
        HTTP_SECONDS.labels(self._service, operation).observe(seconds)
        fields = {
            "operation": operation,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        }
        if caller := state.get("caller"):
            fields |= {"tenant_id": caller.tenant_id, "subject": caller.subject}
        if code:
            fields["code"] = code
        if refused := state.get("refused"):
            fields["refused"] = refused
        if fault := state.get("fault"):
            fields["fault"] = fault
        level = logging.ERROR if status >= 500 else logging.INFO
        log.log(level, "%s %s %d", scope["method"], operation, status, extra={"fields": fields})
