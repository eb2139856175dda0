"""What each variant rendered when a person last looked at it and agreed: tests/deploy/chart/<variant>.yaml, or .diff
for one that is shown beside another."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import yaml

from tools.chart.places import EXPECTED, STAGECRAFT, Variant
from tools.chart.render import Document, Rendered


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, so that each document reads alone."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def file_of(variant: Variant) -> Path:
    """Where the expectation of a variant is."""
    return EXPECTED / f"{variant.name}.{'diff' if variant.base else 'yaml'}"


def expected_text(variant: Variant, rendered: Mapping[str, Rendered]) -> str:
    """The expectation as it would be written now."""
    own = _by_name(rendered[variant.name])
    head = f"# {variant.name}: {variant.chart.name} with {', '.join(variant.values)}.\n"
    head += "# Made by `python -m tools.chart --update`; read what changed before you commit it.\n"
    if variant.base:
        head += f"# What differs from {variant.base}.yaml, a document at a time.\n"
        return head + _differences(_by_name(rendered[variant.base]), own)
    return head + "".join(f"---\n{own[name]}" for name in sorted(own))


def difference(variant: Variant, rendered: Mapping[str, Rendered]) -> str:
    """A unified diff from what is expected to what is rendered; empty when they agree."""
    file = file_of(variant)
    old = file.read_text().splitlines() if file.exists() else []
    new = expected_text(variant, rendered).splitlines()
    return "\n".join(difflib.unified_diff(old, new, f"expected/{file.name}", f"rendered/{file.name}", lineterm="", n=4))


def _differences(base: Mapping[str, str], own: Mapping[str, str]) -> str:
    """Without line numbers, which would change with every line above them."""
    found = []
    for name in sorted(base.keys() | own.keys()):
        lines = difflib.unified_diff(base.get(name, "").splitlines(), own.get(name, "").splitlines(), lineterm="", n=1)
        changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
        if changed:
            found += ["", name, *changed]
    return "\n".join(found) + "\n"


def _by_name(rendered: Rendered) -> dict[str, str]:
    return {
        f"{document['kind']} {document['metadata']['name']}": yaml.dump(_shortened(document), Dumper=_Dumper, width=110)
        for document in rendered.documents
    }


def _shortened(document: Document) -> Document:
    """Without what is a copy of a file that has tests of its own."""
    if document["kind"] == "PrometheusRule":
        return document | {"spec": "a copy of deploy/prometheus"}
    if document["kind"] == "ConfigMap" and any(key.endswith(".json") for key in document["data"]):
        return document | {"data": {key: "a copy of deploy/grafana" for key in document["data"]}}
    if document["kind"] == "Pod":
        script = (STAGECRAFT / "files/helm_test.py").read_text().strip()
        container = document["spec"]["containers"][0]
        arguments = ["files/helm_test.py" if given.strip() == script else given for given in container["args"]]
        return document | {"spec": document["spec"] | {"containers": [container | {"args": arguments}]}}
    return document
