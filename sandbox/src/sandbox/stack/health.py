"""What the services report of themselves, as one table for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

TIMEOUT_SECONDS = 3.0
COLUMNS = ("service", "ready", "lag", "outbox", "outbox age", "dead letters", "last error")
ERROR_WIDTH = 90


@dataclass(frozen=True)
class Health:
    """The table of all services, and those that are not ready."""

    lines: list[str]
    unready: list[str]


def health_of(urls: Mapping[str, str]) -> Health:
    """A header and a line for each service: readiness, events behind, outbox depth and age, dead letters, and the
    last error or the reason why it is not ready, in words. A question mark is what it cannot tell now."""
    said = {service: _ask(url) for service, url in urls.items()}
    rows = [COLUMNS, *(_row(service, status) for service, status in said.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return Health(lines, [service for service, status in said.items() if not status["ready"]])


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
