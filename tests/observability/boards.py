"""The committed dashboards and rules, as tests read them."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
BOARDS = ROOT / "deploy" / "grafana"
RULES = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Target:
    """One query of a panel. `expr` still holds Grafana's variables."""

    board: str
    panel: str
    reference: str
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.board} / {self.panel} / {self.reference}"


@dataclass(frozen=True)
class Rule:
    """A committed rule; exactly one of `record` and `alert` is set."""

    record: str
    alert: str
    expr: str
    labels: dict[str, str]

    def __str__(self) -> str:
        return f"{self.record or self.alert}{self.labels or ''}"


def loaded(file: Path) -> Any:
    """The content of a file of YAML."""
    return yaml.load(file.read_text(), Loader=FAST_LOADER)


@cache
def boards() -> dict[str, dict[str, Any]]:
    """Every committed dashboard by its file name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(BOARDS.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels without the headings between them."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(board: dict[str, Any]) -> list[Target]:
    """Every query of a dashboard."""
    return [
        Target(board["uid"], panel["title"], target["refId"], target["expr"], target["legendFormat"])
        for panel in panels(board)
        for target in panel["targets"]
    ]


def every_target() -> list[Target]:
    """Every query of every dashboard."""
    return [target for board in boards().values() for target in targets(board)]


@cache
def rules() -> list[Rule]:
    """Every committed rule."""
    return [
        Rule(rule.get("record", ""), rule.get("alert", ""), rule["expr"], rule.get("labels", {}))
        for file in sorted(RULES.glob("*.yaml"))
        for group in loaded(file)["groups"]
        for rule in group["rules"]
    ]


def alert_names() -> set[str]:
    return {rule.alert for rule in rules() if rule.alert}
