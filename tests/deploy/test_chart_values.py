"""The values themselves: each key is explained and used, each switch does something and leaves valid manifests."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.chart_files import BY_NAME, rendered
from tools.chart.manifests import complaints
from tools.chart.places import INFRA, KUBERNETES, STAGECRAFT
from tools.chart.render import Refused, render

CHARTS = pytest.mark.parametrize("chart", [STAGECRAFT, INFRA], ids=lambda chart: chart.name)
VALUES = {chart: yaml.safe_load((chart / "values.yaml").read_text()) for chart in (STAGECRAFT, INFRA)}

# What else must be given with a switch.
WITH: dict[str, dict[str, Any]] = {
    "console.enabled": {"console": {"image": {"tag": "1.0.0"}}},
    "httpRoute.enabled": {"httpRoute": {"parentRefs": [{"name": "gateway"}]}},
    "ingress.tls.endsBefore": {"ingress": {"tls": {"secretName": ""}}},
    "externalSecrets.enabled": {
        "defaults": {"database": {"existingSecret": "{service}-database"}},
        "services": {"crm-connector": {"salesforce": {"existingSecret": "salesforce"}}},
    },
    "defaults.enabled": {"services": {"scoring": {"enabled": True}}},
}
# What production does not let go of.
REFUSED = {
    "defaults.settings.DATABASE_TLS": "DATABASE_TLS: production",
    "defaults.settings.KAFKA_TLS": "KAFKA_TLS: prod",
}

WHOLE = {"settings", "resources", "parameters", "labels", "annotations", "startup", "liveness", "readiness"}


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(values, dict) and values:
        for key, inner in values.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, values


def merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value


SWITCHES = [
    pytest.param(variant, path, id=f"{variant.chart.name} {'.'.join(path)}")
    for variant in (BY_NAME["production"], BY_NAME["infra-production"])
    for path, value in leaves(VALUES[variant.chart])
    if isinstance(value, bool)
]


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "path"), SWITCHES)
def test_each_switch_does_something_and_leaves_valid_manifests(variant, path) -> None:
    name = ".".join(path)
    values = merged(VALUES[variant.chart], yaml.safe_load(variant.files[0].read_text()))
    for key in path:
        values = values[key]
    assert isinstance(values, bool)
    companions = WITH.get(name, {})
    if name in REFUSED:
        with pytest.raises(Refused, match=REFUSED[name]):
            render(variant, nested(path, not values))
        companions = {"defaults": {"settings": {"ENVIRONMENT": "test"}}}
    flipped = render(variant, merged(companions, nested(path, not values)))
    assert flipped.documents
    assert complaints(flipped.documents, KUBERNETES[-1]) == []
    try:
        # Compared with the same but for the switch, because what comes with it changes something too. What comes with
        # a vault that is off replaces it, so with both there would be no difference.
        alone = not companions or name == "externalSecrets.enabled"
        same = rendered(variant).text if alone else render(variant, companions).text
    except Refused:
        return
    assert flipped.text != same, "the switch does nothing"


def test_there_are_switches() -> None:
    assert len(SWITCHES) > 20


@CHARTS
def test_every_key_of_the_values_is_used_by_a_template(chart) -> None:
    texts = "\n".join(file.read_text() for file in (chart / "templates").rglob("*") if file.is_file())
    for path, _ in leaves(VALUES[chart]):
        if path[0] == "services" and len(path) == 2:
            continue  # a service by its name
        # What is handed on as a whole is read by the name of the whole.
        end = next((number for number, key in enumerate(path, 1) if key in WHOLE), len(path))
        assert re.search(rf"\.{re.escape(path[end - 1])}\b", texts), f"no template reads {'.'.join(path)}"


@CHARTS
def test_every_block_of_the_values_is_explained(chart) -> None:
    lines = (chart / "values.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-zA-Z]+:", line):
            above = next(lines[i] for i in range(number - 1, -1, -1) if not re.match(r"[a-zA-Z]+:", lines[i]))
            assert above.startswith("#"), f"line {number + 1} of values.yaml has no comment above: {line}"


@CHARTS
def test_only_keys_of_the_schema_are_in_the_values(chart) -> None:
    """Helm checks values with the schema when it renders; this says that the switch for that is not forgotten."""
    variant = BY_NAME["production" if chart == STAGECRAFT else "infra-production"]
    with pytest.raises(Refused, match="not allowed"):
        render(variant, {"unheardOf": True})
