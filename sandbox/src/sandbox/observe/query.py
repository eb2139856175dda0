"""A small typed client of Prometheus' HTTP API: instant and range queries, rules, alerts, series and targets.

PrometheusError
├── PrometheusAway      nothing answers at its address
└── QueryFailed         it answers that the query is wrong or takes too long; the message is its own
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

TIMEOUT_SECONDS = 30.0
Labels = Mapping[str, str]


class PrometheusError(Exception):
    """Why there is no result; the message says it in words."""


class PrometheusAway(PrometheusError):
    pass


class QueryFailed(PrometheusError):
    pass


@dataclass(frozen=True)
class Sample:
    """One value of an instant query. A scalar has no labels."""

    labels: Labels
    at: float
    value: float


@dataclass(frozen=True)
class Series:
    """The values of one series over time, as pairs of unix seconds and value."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Alert:
    """A pending or firing alert. `active_at` is when its condition became true."""

    name: str
    state: str
    active_at: str
    value: str
    labels: Labels
    annotations: Labels


@dataclass(frozen=True)
class Rule:
    """A recording or alerting rule with the outcome of its last evaluation.

    `health` is `ok`, `err` or `unknown` (not evaluated yet). `state` is empty for a recording rule.
    """

    group: str
    name: str
    kind: str
    expression: str
    health: str
    last_error: str
    state: str
    labels: Labels
    annotations: Labels
    alerts: tuple[Alert, ...] = field(default=())


@dataclass(frozen=True)
class TargetHealth:
    """What the last scrape of a target gave. `health` is `up`, `down` or `unknown`."""

    service: str
    address: str
    health: str
    last_error: str


class PrometheusClient:
    """Reads from a Prometheus. Every method raises PrometheusAway or QueryFailed."""

    def __init__(self, url: str) -> None:
        self.url = url
        # The proxies of the environment do not lead to this machine.
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def ready(self) -> bool:
        """Whether it answers queries now."""
        try:
            return (await self._http.get("/-/ready")).is_success
        except httpx.HTTPError:
            return False

    async def instant(self, expression: str, at: datetime | None = None) -> tuple[Sample, ...]:
        """The values of the expression now, or at that time."""
        parameters = {"query": expression} | ({"time": str(at.timestamp())} if at else {})
        data = await self._ask("query", parameters)
        if data["resultType"] == "scalar":
            return (_sample({}, data["result"]),)
        if data["resultType"] != "vector":
            raise QueryFailed(f"an instant query gives numbers; this one gives a {data['resultType']}")
        return tuple(_sample(item["metric"], item["value"]) for item in data["result"])

    async def range_(self, expression: str, start: datetime, end: datetime, step_seconds: float) -> tuple[Series, ...]:
        """The values of the expression at every step from `start` to `end`, both included."""
        parameters = {
            "query": expression,
            "start": str(start.timestamp()),
            "end": str(end.timestamp()),
            "step": str(step_seconds),
        }
        data = await self._ask("query_range", parameters)
        return tuple(
            Series(item["metric"], tuple((float(at), float(value)) for at, value in item["values"]))
            for item in data["result"]
        )

    async def rules(self) -> tuple[Rule, ...]:
        """Every loaded rule."""
        data = await self._ask("rules", {})
        return tuple(_rule(group["name"], rule) for group in data["groups"] for rule in group["rules"])

    async def alerts(self) -> tuple[Alert, ...]:
        """Pending and firing alerts."""
        data = await self._ask("alerts", {})
        return tuple(_alert(alert) for alert in data["alerts"])

    async def series(self, *matchers: str) -> tuple[Labels, ...]:
        """The labels of the series that any of the selectors, such as `up{job="stagecraft"}`, finds."""
        return tuple(await self._ask("series", {"match[]": list(matchers)}))

    async def label_values(self, label: str, matcher: str = "") -> tuple[str, ...]:
        """The values that a label has, in order; `__name__` gives the names of the metrics."""
        return tuple(await self._ask(f"label/{label}/values", {"match[]": [matcher]} if matcher else {}))

    async def targets(self) -> tuple[TargetHealth, ...]:
        """Every target with the outcome of its last scrape."""
        data = await self._ask("targets", {"state": "active"})
        return tuple(
            TargetHealth(
                target["labels"].get("service", ""),
                target["discoveredLabels"]["__address__"],
                target["health"],
                target["lastError"],
            )
            for target in data["activeTargets"]
        )

    async def _ask(self, path: str, parameters: Mapping[str, str | Sequence[str]]) -> Any:
        try:
            reply = await self._http.get(f"/api/v1/{path}", params=parameters)
        except httpx.HTTPError as problem:
            raise PrometheusAway(f"no Prometheus answers at {self.url}: {problem or type(problem).__name__}") from None
        try:
            answer = reply.json()
        except ValueError:
            words = f"{self.url} answers with status {reply.status_code} and not as a Prometheus does"
            raise PrometheusAway(words) from None
        if answer.get("status") != "success":
            raise QueryFailed(f"{answer.get('errorType', 'error')}: {answer.get('error', reply.text)}")
        return answer["data"]


class NoPrometheus(PrometheusClient):
    """Takes the place of a Prometheus that is not there; every query fails with the reason in words."""

    def __init__(self, words: str) -> None:
        super().__init__("http://127.0.0.1")
        self._words = words

    async def ready(self) -> bool:
        return False

    async def _ask(self, path: str, parameters: Mapping[str, str | Sequence[str]]) -> Any:
        raise PrometheusAway(self._words)


def _sample(labels: Labels, value: Sequence[Any]) -> Sample:
    return Sample(labels, float(value[0]), float(value[1]))


def _rule(group: str, rule: Mapping[str, Any]) -> Rule:
    return Rule(
        group,
        rule["name"],
        rule["type"],
        rule["query"],
        rule["health"],
        rule.get("lastError", ""),
        rule.get("state", ""),
        rule.get("labels", {}),
        rule.get("annotations", {}),
        tuple(_alert(alert) for alert in rule.get("alerts", ())),
    )


def _alert(alert: Mapping[str, Any]) -> Alert:
    return Alert(
        alert["labels"].get("alertname", ""),
        alert["state"],
        alert.get("activeAt", ""),
        alert["value"],
        alert["labels"],
        alert["annotations"],
    )
