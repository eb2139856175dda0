"""Values that must be refused, and what the refusal must say: tests/deploy/chart/refused.yaml."""

from dataclasses import dataclass
from typing import Any

import yaml

from tools.chart.places import APIS, EXPECTED, INFRA, STAGECRAFT, Variant
from tools.chart.render import Refused, render

FILE = EXPECTED / "refused.yaml"


@dataclass(frozen=True)
class Case:
    """`values` over a values file, on a cluster that serves `apis`; the refusal holds every string of `says`."""

    name: str
    variant: Variant
    values: dict[str, Any]
    says: tuple[str, ...]
    apis: tuple[str, ...]

    def complaint(self) -> str:
        """Empty when the values are refused in the right words."""
        try:
            render(self.variant, self.values, apis=self.apis)
        except Refused as refusal:
            missing = [words for words in self.says if words not in str(refusal)]
            return f"{self.name}: the refusal lacks {missing}: {refusal}" if missing else ""
        return f"{self.name}: was not refused"


def cases() -> list[Case]:
    """Every case of the file."""
    return [
        Case(
            name=entry["name"],
            variant=_variant(entry.get("chart", "stagecraft"), entry.get("over", "values-production.yaml")),
            values=entry.get("values", {}),
            says=tuple(entry["says"]),
            apis=() if entry.get("without_operators") else APIS,
        )
        for entry in yaml.safe_load(FILE.read_text())
    ]


def _variant(chart: str, file: str) -> Variant:
    folder = INFRA if chart == INFRA.name else STAGECRAFT
    return Variant(f"{chart} {file or 'alone'}", folder, (file,) if file else ())
