"""What Helm makes of a chart, in text and in documents."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.chart.binaries import binary
from tools.chart.places import APIS, KUBERNETES, Variant

Document = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """Helm refused the values; the text says why."""


@dataclass(frozen=True)
class Rendered:
    """A chart with its values, rendered."""

    name: str
    text: str
    documents: list[Document] = field(repr=False)

    def of_kind(self, kind: str) -> list[Document]:
        """The documents of a kind, in their order."""
        return [document for document in self.documents if document["kind"] == kind]


def render(
    variant: Variant,
    overlay: Document | None = None,
    *,
    apis: Sequence[str] = APIS,
    kubernetes: str = KUBERNETES[-1],
    skip_schema: bool = False,
) -> Rendered:
    """Render a variant, with values over it. Raises Refused with Helm's own words."""
    arguments = ["template", "stagecraft", str(variant.chart), "--namespace", "stagecraft"]
    arguments += ["--kube-version", kubernetes, *(["--skip-schema-validation"] if skip_schema else [])]
    arguments += [part for api in apis for part in ("--api-versions", api)]
    arguments += [part for file in variant.files for part in ("--values", str(file))]
    if overlay is None:
        text = helm(*arguments)
    else:
        text = helm(*arguments, "--values", "-", given=json.dumps(overlay))
    return Rendered(variant.name, text, documents_of(text))


def lint(variant: Variant) -> str:
    """Lint a variant strictly. Raises Refused."""
    arguments = ["lint", "--strict", str(variant.chart), "--kube-version", KUBERNETES[-1]]
    return helm(*arguments, *(part for file in variant.files for part in ("--values", str(file))))


def package(chart: Path, directory: Path) -> Path:
    """Make the archive that is published, and return its path."""
    helm("package", str(chart), "--destination", str(directory))
    return next(directory.glob(f"{chart.name}-[0-9]*.tgz"))


def helm(*arguments: str, given: str = "") -> str:
    """Run helm, with `given` as its standard input, and return what it printed. Raises Refused with its complaint."""
    with tempfile.TemporaryDirectory() as home:
        # A home of its own: nothing of the machine's configuration, plugins or caches plays a part.
        environment = {"HOME": home, "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}
        ended = subprocess.run(
            [binary("helm"), *arguments], input=given, capture_output=True, text=True, check=False, env=environment
        )
    if ended.returncode != 0:
        raise Refused((ended.stderr + ended.stdout).strip())
    return ended.stdout


def documents_of(text: str) -> list[Document]:
    """The documents of a rendering."""
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document]
