"""Outgoing HTTP: one factory, so that every client has limits, deadlines and the trace."""

from typing import Any

import httpx

from kit.observability.telemetry import current_traceparent


async def _continue_trace(request: httpx.Request) -> None:
    traceparent = current_traceparent()
    if traceparent:
        request.headers["traceparent"] = traceparent


def http_client(base_url: str = "", *, timeout_seconds: float = 30, **options: Any) -> httpx.AsyncClient:
    """A client that carries the trace on and never waits without end. It does not retry: only the caller knows
    what may be repeated."""
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=httpx.Timeout(timeout_seconds, connect=5),
        limits=httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=30),
        event_hooks={"request": [_continue_trace]},
        **options,
    )
