"""What the page's server answers, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from sandbox.observe.dashboards import Answer, Period
from sandbox.observe.logs import LogLine
from sandbox.observe.query import Alert, Rule
from sandbox.observe.traces import Span, Summary, summary_of, waterfall

LONGEST = timedelta(days=31)
VARIABLE = "var-"


def period_of(asked: QueryParams, scrape_seconds: float) -> Period:
    """The period in `from` and `to`, unix seconds; the last hour without them. Raises HTTPException 400."""
    now = datetime.now(UTC)
    end = _moment(asked, "to", now)
    start = _moment(asked, "from", end - timedelta(hours=1))
    if not timedelta(seconds=1) <= end - start <= LONGEST:
        raise HTTPException(400, f"'from' must be before 'to' by at least a second and at most {LONGEST.days} days.")
    return Period(start, end, scrape_seconds)


def picked(asked: QueryParams) -> dict[str, list[str]]:
    """What was chosen for each variable, from `var-<name>=value`."""
    names = [name for name in asked if name.startswith(VARIABLE)]
    return {name.removeprefix(VARIABLE): asked.getlist(name) for name in names}


def number_of(asked: QueryParams, name: str) -> float:
    """A number that is not below zero; 0 when it is absent. Raises HTTPException 400."""
    text = asked.get(name) or "0"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise HTTPException(400, f"'{name}' must be a number that is not below zero, not {text[:40]!r}.")
    return number


def panel_view(period: Period, answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "start": period.start.timestamp(),
        "end": period.end.timestamp(),
        "step": period.step_seconds,
        "answers": [
            {
                "ref": answer.ref,
                "expression": answer.expression,
                "error": answer.error,
                "lines": [
                    {
                        "legend": line.legend,
                        "labels": dict(line.labels),
                        "points": [(at, _finite(value)) for at, value in line.points],
                    }
                    for line in answer.lines
                ],
            }
            for answer in answers
        ],
    }


def alerts_view(alerts: Sequence[Alert], rules: Sequence[Rule]) -> dict[str, Any]:
    """Alerts that fire come first; then every alerting rule with what its last evaluation gave."""
    order = {"firing": 0, "pending": 1}
    by_state = sorted(alerts, key=lambda alert: (order.get(alert.state, 2), alert.name, alert.active_at))
    shown = ("name", "group", "health", "last_error", "state", "expression")
    return {
        "alerts": [{**asdict(alert), "runbook": _runbook(alert.annotations)} for alert in by_state],
        "rules": [
            {
                **{name: getattr(rule, name) for name in shown},
                "severity": rule.labels.get("severity", ""),
                "runbook": _runbook(rule.annotations),
            }
            for rule in rules
            if rule.kind == "alerting"
        ],
        "error": "",
    }


def traces_view(found: Sequence[Summary], services: Sequence[str], held: int) -> dict[str, Any]:
    return {"traces": [asdict(summary) for summary in found], "services": list(services), "held": held}


def trace_view(spans: Sequence[Span], refused: int, logs: Sequence[LogLine]) -> dict[str, Any]:
    rows = [
        {
            "depth": row.depth,
            "offset_ms": row.offset_ms,
            "duration_ms": row.duration_ms,
            "parent_missing": row.parent_missing,
            "ahead_ms": row.ahead_ms,
            **_span_view(row.span),
        }
        for row in waterfall(spans)
    ]
    return {**asdict(summary_of(spans)), "rows": rows, "refused": refused, "logs": [asdict(line) for line in logs]}


def _span_view(span: Span) -> dict[str, Any]:
    shown = ("span_id", "parent_id", "service", "name", "kind", "error", "status", "attributes")
    events = [
        {"name": event.name, "offset_ms": (event.at_ns - span.start_ns) / 1e6, "attributes": event.attributes}
        for event in span.events
    ]
    return {**{name: getattr(span, name) for name in shown}, "events": events}


def _runbook(annotations: Mapping[str, str]) -> str:
    return annotations.get("runbook_url", "").rpartition("/")[2].removesuffix(".md")


def _finite(value: float) -> float | str | None:
    """JSON has neither infinity nor NaN; a quotient of nothing is no value, infinity is one."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _moment(asked: QueryParams, name: str, default: datetime) -> datetime:
    text = asked.get(name)
    if text is None:
        return default
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise HTTPException(400, f"'{name}' must be unix seconds, not {text[:40]!r}.") from None
