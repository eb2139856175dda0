"""The alerts of this platform: a Prometheus in a cluster holds those of others too."""

from pathlib import Path

import yaml

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def alert_names() -> list[str]:
    """The name of every committed alert, each once."""
    groups = [group for file in RULES.glob("*.yaml") for group in yaml.safe_load(file.read_text())["groups"]]
    return sorted({rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule})


def alerts(state: str = "") -> str:
    """A selector of them in that state, or in any."""
    names = f'alertname=~"{"|".join(alert_names())}"'
    return f'ALERTS{{{names}, alertstate="{state}"}}' if state else f"ALERTS{{{names}}}"
