"""What a dashboard is made of, as values: queries in panels, panels in rows, rows on a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

COLUMNS = 24


class Unit(StrEnum):
    """How Grafana prints a number; the value is Grafana's id of the unit."""

    COUNT = "short"
    SECONDS = "s"
    SHARE = "percentunit"
    REQUESTS = "reqps"
    EVENTS = "eps"
    BYTES = "bytes"
    FACTOR = "none"


class Kind(StrEnum):
    """How a panel draws its numbers; the value is Grafana's id of the panel."""

    GRAPH = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"
    TABLE = "table"


class Colour(StrEnum):
    GREEN = "green"
    ORANGE = "orange"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression. `legend` names its series; `{{label}}` in it is a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """From which value on a number is doubtful, and from which it is bad. `falling` turns that round: bad is below."""

    doubtful: float
    bad: float
    falling: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `means` says what a rise (or a fall) means, `do` what to do then, `runbook` is the alert whose
    runbook helps. A BARS, NUMBER or TABLE panel shows the newest value, a GRAPH all of the period."""

    title: str
    unit: Unit
    means: str
    do: str
    runbook: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.GRAPH
    width: int = 8
    height: int = 8
    limits: Limits | None = None
    stacked: bool = False
    words: Mapping[int, tuple[str, Colour]] = field(default_factory=dict)

    @property
    def description(self) -> str:
        return f"{self.means}\n\n**What to do:** {self.do}"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, laid out from left to right."""

    title: str
    panels: tuple[Panel, ...]


class Choice(StrEnum):
    """A variable that the reader of a board sets; the value is its name in queries."""

    SERVICE = "service"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. `name` is its file name, and its uid after `stagecraft-`. `service` limits the choice of
    instances to those of one service."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    choices: tuple[Choice, ...] = ()
    service: str = ""

    @property
    def uid(self) -> str:
        return f"stagecraft-{self.name}"
