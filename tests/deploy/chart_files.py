"""What the tests of the charts share: each variant rendered once a run, and ways to walk manifests."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import pytest

from tools.chart.places import VARIANTS, Variant
from tools.chart.render import Document, Rendered, documents_of, render

APPLICATION = tuple(variant for variant in VARIANTS if variant.chart.name == "stagecraft")
INFRASTRUCTURE = tuple(variant for variant in VARIANTS if variant.chart.name == "stagecraft-infra")
BY_NAME = {variant.name: variant for variant in VARIANTS}
EVERYTHING: Document = {
    "console": {"enabled": True, "image": {"tag": "1.0.0"}},
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "gateway", "namespace": "gateways"}],
        "hostnames": ["stagecraft.example.com"],
    },
    "defaults": {
        "tolerations": [{"key": "pool", "operator": "Exists"}],
        "nodeSelector": {"pool": "stagecraft"},
    },
}


@cache
def rendered(variant: Variant) -> Rendered:
    """The variant as it is."""
    return _once(variant.name, partial(render, variant))


@cache
def everything_on() -> Rendered:
    """Production with the parts that are off by default."""
    return _once("everything-on", partial(render, BY_NAME["production"], EVERYTHING))


def _once(name: str, make: Callable[[], Rendered]) -> Rendered:
    """What `make` renders, shared by all workers of the run as a file."""
    folder = Path(os.environ.get("STAGECRAFT_TEST_RUN_DIR") or tempfile.mkdtemp()) / "charts"
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.yaml"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_text(make().text)
    text = file.read_text()
    return Rendered(name, text, documents_of(text))


# Called by the test and not before, so that collecting renders nothing.
Rendering = Callable[[], Rendered]
of_the_application = pytest.mark.parametrize(
    "rendering",
    [
        *(pytest.param(partial(rendered, variant), id=variant.name) for variant in APPLICATION),
        pytest.param(everything_on, id="everything-on"),
    ],
)


def pods(one: Rendered) -> Iterator[tuple[str, Document, Document]]:
    """Name, labels and spec of every pod that the manifests lead to."""
    for document in one.documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document["metadata"]["labels"], document["spec"]
        elif document["kind"] in {"Deployment", "Job"}:
            template = document["spec"]["template"]
            yield name, template["metadata"]["labels"], template["spec"]


def named(one: Rendered, kind: str, name: str) -> Document:
    """The one document of that kind and name."""
    (found,) = [document for document in one.of_kind(kind) if document["metadata"]["name"] == name]
    return found


def selects(selector: Document, labels: Document) -> bool:
    """Whether a selector of labels alone matches."""
    return selector["matchLabels"].items() <= labels.items()
