"""The committed Grafana dashboards: their panels, the queries of the panels and the values of their variables."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.observe.query import Labels, PrometheusClient, PrometheusError, Sample, Series

DASHBOARDS_DIR = Path(__file__).parents[4] / "deploy" / "grafana"
ALL = "$__all"
POINTS = 240
# The kinds of panel that the page can draw. A test checks that no committed dashboard uses another kind.
PANEL_TYPES = frozenset({"row", "timeseries", "stat", "gauge", "bargauge", "table", "text"})
_LABEL_VALUES = re.compile(r"label_values\(\s*(?:(?P<selector>.+)\s*,\s*)?(?P<label>\w+)\s*\)")
_PLACEHOLDER = re.compile(r"\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]|\$(\w+)")


class DashboardUnknown(Exception):
    """There is no such dashboard or panel; the message names those there are."""


@dataclass(frozen=True)
class Period:
    """What a dashboard shows: from when to when, and how often Prometheus scrapes."""

    start: datetime
    end: datetime
    scrape_seconds: float

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()

    @property
    def step_seconds(self) -> float:
        """Whole scrapes between two points, so that a line has at most POINTS of them."""
        return self.scrape_seconds * max(1, math.ceil(self.seconds / POINTS / self.scrape_seconds))

    def aligned(self) -> tuple[datetime, datetime]:
        """Start and end at whole steps, so that the same points are asked for again at the next refresh."""
        step = self.step_seconds
        start, end = (math.floor(moment.timestamp() / step) * step for moment in (self.start, self.end))
        return datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)

    def builtin(self) -> dict[str, str]:
        """Grafana's own variables. The rate interval holds at least four scrapes, as Grafana's does."""
        step, whole = self.step_seconds, max(1, round(self.seconds))
        rate = max(step + self.scrape_seconds, 4 * self.scrape_seconds)
        return {
            "__interval": _duration(step),
            "__interval_ms": str(round(step * 1000)),
            "__rate_interval": _duration(rate),
            "__range": f"{whole}s",
            "__range_s": str(whole),
            "__range_ms": str(whole * 1000),
            "__from": str(round(self.start.timestamp() * 1000)),
            "__to": str(round(self.end.timestamp() * 1000)),
        }


@dataclass(frozen=True)
class Line:
    """One series of a panel. `points` holds a single pair when the panel asks for the present only."""

    legend: str
    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Answer:
    """What one query of a panel gave: lines, or in words why there are none. No lines and no error is no data."""

    ref: str
    expression: str
    lines: tuple[Line, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Variable:
    """A choice that the page offers, with the values that Prometheus knows now."""

    name: str
    label: str
    options: tuple[str, ...]
    multi: bool
    include_all: bool
    current: tuple[str, ...]
    error: str = ""


class Dashboards:
    """Reads the dashboards of a folder anew each time, so that a changed one shows at the next reload."""

    def __init__(self, directory: Path = DASHBOARDS_DIR) -> None:
        self._directory = directory

    def all(self) -> list[dict[str, Any]]:
        """Every dashboard as Grafana's JSON; the overview first, the others by title."""
        read = [json.loads(file.read_text()) for file in sorted(self._directory.glob("*.json"))]
        return sorted(read, key=lambda dashboard: ("overview" not in dashboard["uid"], dashboard["title"]))

    def get(self, uid: str) -> dict[str, Any]:
        """One dashboard. Raises DashboardUnknown."""
        known = {dashboard["uid"]: dashboard for dashboard in self.all()}
        if uid not in known:
            words = ", ".join(known) or f"none; {self._directory} is empty"
            raise DashboardUnknown(f"There is no dashboard {uid[:80]!r}. There are: {words}.")
        return known[uid]

    def panel(self, uid: str, panel_id: int) -> dict[str, Any]:
        """One panel of a dashboard, also one in a collapsed row. Raises DashboardUnknown."""
        for panel in panels_of(self.get(uid)):
            if panel["id"] == panel_id:
                return panel
        raise DashboardUnknown(f"Dashboard {uid} has no panel {panel_id}.")


def panels_of(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, those in collapsed rows included."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def variables_of(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    return dashboard.get("templating", {}).get("list", [])


def substitute(expression: str, values: Mapping[str, str]) -> str:
    """Replace `$name`, `${name}` and `[[name]]` by values; a name without a value stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values.get(next(filter(None, found.groups())), found[0]), expression)


def chosen(dashboard: Mapping[str, Any], picked: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The value of each variable of the dashboard: what the person picked, or the default."""
    return {variable["name"]: _text_of(variable, picked.get(variable["name"])) for variable in variables_of(dashboard)}


async def choices(dashboard: Mapping[str, Any], client: PrometheusClient) -> list[Variable]:
    """The variables a person chooses from: those that Prometheus has the values of, and those with values of their
    own."""
    shown = [v for v in variables_of(dashboard) if v["type"] in ("query", "custom") and v.get("hide", 0) != 2]
    return list(await asyncio.gather(*(_choice(variable, client) for variable in shown)))


async def ask(
    panel: Mapping[str, Any], period: Period, values: Mapping[str, str], client: PrometheusClient
) -> list[Answer]:
    """Run every query of a panel; one that fails does not hide the others."""
    targets = [target for target in panel.get("targets", ()) if not target.get("hide")]
    everything = {**values, **period.builtin()}
    return list(await asyncio.gather(*(_answer(target, period, everything, client) for target in targets)))


async def _answer(
    target: Mapping[str, Any], period: Period, values: Mapping[str, str], client: PrometheusClient
) -> Answer:
    expression = substitute(target["expr"], values)
    try:
        if target.get("instant") and not target.get("range"):
            found = [_of_sample(sample) for sample in await client.instant(expression, period.end)]
        else:
            start, end = period.aligned()
            found = await client.range_(expression, start, end, period.step_seconds)
    except PrometheusError as problem:
        return Answer(target["refId"], expression, error=str(problem))
    legend = target.get("legendFormat", "")
    lines = tuple(Line(legend_of(legend, series.labels, expression), series.labels, series.points) for series in found)
    return Answer(target["refId"], expression, lines)


def _of_sample(sample: Sample) -> Series:
    return Series(sample.labels, ((sample.at, sample.value),))


def legend_of(pattern: str, labels: Labels, expression: str) -> str:
    """The name of a line: Grafana's pattern with its `{{label}}`s, or the labels themselves."""
    if pattern and pattern != "__auto":
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), pattern).strip()
    pairs = [f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__"]
    name = labels.get("__name__", "")
    return f"{name}{{{', '.join(pairs)}}}" if pairs else name or expression


async def _choice(variable: Mapping[str, Any], client: PrometheusClient) -> Variable:
    options: tuple[str, ...] = ()
    error = ""
    if variable["type"] == "custom":
        options = tuple(_custom_options(variable))
    else:
        try:
            options = await _known_values(variable, client)
        except PrometheusError as problem:
            error = str(problem)
    return Variable(
        name=variable["name"],
        label=variable.get("label") or variable["name"],
        options=options,
        multi=bool(variable.get("multi")),
        include_all=bool(variable.get("includeAll")),
        current=tuple(_current(variable)),
        error=error,
    )


async def _known_values(variable: Mapping[str, Any], client: PrometheusClient) -> tuple[str, ...]:
    query = variable["query"]
    text = query["query"] if isinstance(query, dict) else query
    parsed = _LABEL_VALUES.fullmatch(text.strip())
    if parsed is None:
        raise PrometheusError(f"the variable asks {text!r}; only label_values(selector, label) is supported here")
    return await client.label_values(parsed["label"], parsed["selector"] or "")


def _text_of(variable: Mapping[str, Any], picked: Sequence[str] | None) -> str:
    if variable["type"] in ("textbox", "constant", "datasource"):
        # Their text goes into links only.
        return str(variable.get("query", ""))
    values = list(picked or _current(variable))
    if variable["type"] == "custom":
        known = _custom_options(variable)
        values = [value for value in values if value in known or value == ALL] or known[:1]
    if ALL in values or (not values and variable.get("includeAll")):
        return str(variable.get("allValue") or ".*")
    if variable.get("multi") or variable.get("includeAll"):
        escaped = [_regex_escaped(value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    value = values[0] if values else ""
    return value if variable["type"] == "custom" else _quoted(value)


def _current(variable: Mapping[str, Any]) -> list[str]:
    value = (variable.get("current") or {}).get("value")
    if not value:
        return [ALL] if variable.get("includeAll") else []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _custom_options(variable: Mapping[str, Any]) -> list[str]:
    """`a,b` or `label : a, label : b`."""
    return [part.rpartition(" : ")[2].strip() for part in str(variable.get("query", "")).split(",") if part.strip()]


def _regex_escaped(value: str) -> str:
    return _quoted(re.sub(r"[\\^$.*+?()\[\]{}|]", r"\\\g<0>", value))


def _quoted(value: str) -> str:
    """As it is written between the quotes of a PromQL string."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds % 1 else f"{round(seconds)}s"
