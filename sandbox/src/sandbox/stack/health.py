"""What the services report of themselves, as one table for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

TIMEOUT_SECONDS = 3.0
COLUMNS = ("service", "ready", "lag", "outbox", "outbox age", "dead letters", "last error")
ERROR_WIDTH = 90


def health_table(urls: Mapping[str, str]) -> list[str]:
    """A header and a line for each service: readiness, events behind, outbox depth and age, dead letters, and the
    last error or the reason why it is not ready, in words. A question mark is what it cannot tell now."""
    rows = [COLUMNS, *(_row(service, _ask(url)) for service, url in urls.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _ask(url: str) -> dict[str, Any]:
    try:
        return httpx.get(f"{url}/statusz", timeout=TIMEOUT_SECONDS).raise_for_status().json()
    except httpx.HTTPError as error:
        return {"ready": False, "reasons": [f"does not answer: {error or type(error).__name__}"]}


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _row(service: str, status: Mapping[str, Any]) -> tuple[str, ...]:
    words = "; ".join(status["reasons"]) or str(status.get("last_error", ""))
    if "lag" not in status:
        return (service, "no", "-", "-", "-", "-", words[:ERROR_WIDTH])
    age = status["outbox_oldest_age_seconds"]
    return (
        service,
        "yes" if status["ready"] else "no",
        _number(status["lag"]),
        _number(status["outbox_events"]),
        "?" if age is None else f"{age:.1f} s",
        _number(status["dead_letters"]),
        words.replace("\n", " ")[:ERROR_WIDTH],
    )
