"""Packages what a release publishes besides its images: both charts, of which the application's names every image by
its digest, and a list of the contents of each image (CycloneDX)."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.chart.binaries import binary
from tools.chart.places import INFRA, ROOT, SERVICES, STAGECRAFT
from tools.chart.render import Refused, helm
from tools.image.build import uv

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLES = """examples:
  python -m tools.release --version 1.2.0 --registry ghcr.io/acme/stagecraft --digests digests --into dist
  python -m tools.release --print-helm       the helm that charts are checked with

`digests` holds a file per service, such as digests/scoring, with the digest of its image."""


class ReleaseError(Exception):
    """What is missing for a release, in words."""


def read_digests(directory: Path) -> dict[str, str]:
    """The digest of each service's image. ReleaseError when one is missing, wrong, or of no service."""
    found = {file.name: file.read_text().strip() for file in directory.iterdir()}
    if found.keys() != set(SERVICES):
        raise ReleaseError(f"{directory} needs exactly the files {', '.join(SERVICES)}, it has {', '.join(found)}")
    if wrong := [name for name, digest in found.items() if not _DIGEST.fullmatch(digest)]:
        raise ReleaseError(f"{directory / wrong[0]} holds no digest such as sha256:…")
    return found


def pin(values: str, registry: str, digests: Mapping[str, str]) -> str:
    """The text of values.yaml, comments and all, with the registry and every digest in their places. ReleaseError
    when the text is not of the form this knows."""
    text = re.sub(r'^(    registry: )""$', rf'\g<1>"{registry}"', values, count=1, flags=re.MULTILINE)
    for service, digest in digests.items():
        entry = f'  {service}:\n    image: {{digest: "{digest}"}}\n'
        text = re.sub(rf"^  {service}:(?: \{{\}})?\n", entry, text, count=1, flags=re.MULTILINE)
    expected = yaml.safe_load(values)
    expected["defaults"]["image"]["registry"] = registry
    for service, digest in digests.items():
        expected["services"][service] = {"image": {"digest": digest}} | (expected["services"][service] or {})
    if yaml.safe_load(text) != expected:
        raise ReleaseError("values.yaml has another form than tools/release.py knows: digests cannot be put in")
    return text


def package(chart: Path, version: str, into: Path) -> None:
    """Make the archive of a chart, with the version of the release."""
    helm("package", str(chart), "--version", version, "--app-version", version, "--destination", str(into.resolve()))


def list_contents(service: str, into: Path) -> Path:
    """Write what the lock file puts into the image of a service."""
    target = into / f"stagecraft-{service}.cdx.json"
    subprocess.run(
        [uv(), "export", "--quiet", "--frozen", "--no-dev", "--package", f"stagecraft-{service}",
         "--preview-features", "sbom-export", "--format", "cyclonedx1.5", "--output-file", str(target.resolve())],
        cwd=ROOT, check=True,
    )  # fmt: skip
    return target


def make(version: str, registry: str, digests: Path, into: Path) -> None:
    """Everything, into a directory that is made when it is missing."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / STAGECRAFT.name
        shutil.copytree(STAGECRAFT, copy)
        values = copy / "values.yaml"
        values.write_text(pin(values.read_text(), registry, read_digests(digests)))
        package(copy, version, into)
    package(INFRA, version, into)
    for service in SERVICES:
        list_contents(service, into)


def main() -> int:
    """1 with a line that says what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument("--print-helm", action="store_true", help="print the path of helm and do nothing else")
    parser.add_argument("--version", help="without a v")
    parser.add_argument("--registry", help="what comes before the images' names")
    parser.add_argument("--digests", type=Path, help="directory with a file per service")
    parser.add_argument("--into", type=Path, help="directory for the results")
    given = parser.parse_args()
    if given.print_helm:
        sys.stdout.write(f"{binary('helm')}\n")
        return 0
    needed: dict[str, Any] = {name: getattr(given, name) for name in ("version", "registry", "digests", "into")}
    if missing := [name for name, value in needed.items() if value is None]:
        parser.error(f"--{missing[0]} is missing")
    try:
        make(**needed)
    except (ReleaseError, Refused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"{file}\n" for file in sorted(given.into.iterdir()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
