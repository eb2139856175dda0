"""What the tests of the charts share: each variant rendered once a process, and ways to walk manifests."""

from collections.abc import Iterator
from functools import cache

from tools.chart.places import VARIANTS, Variant
from tools.chart.render import Document, Rendered, render

APPLICATION = tuple(variant for variant in VARIANTS if variant.chart.name == "stagecraft")
INFRASTRUCTURE = tuple(variant for variant in VARIANTS if variant.chart.name == "stagecraft-infra")
BY_NAME = {variant.name: variant for variant in VARIANTS}


@cache
def rendered(variant: Variant) -> Rendered:
    """The variant as it is."""
    return render(variant)


@cache
def everything_on() -> Rendered:
    """Production with the parts that are off by default."""
    return render(
        BY_NAME["production"],
        {
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
        },
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
