"""How large things become, against the limits they must keep."""

import base64
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from tools.chart.render import Rendered

# A Secret, which is where Helm keeps a release, and a ConfigMap may hold a mebibyte.
SECRET_LIMIT = 1024 * 1024
# Tools that apply on the client's side, such as Argo CD by default, repeat each object in an annotation.
CONFIG_MAP_LIMIT = 256 * 1024


@dataclass(frozen=True)
class Sizes:
    """In bytes. `release` is an estimate: the Secret of one revision."""

    archive: int
    config_map: int
    config_map_name: str
    release: int

    @property
    def complaints(self) -> list[str]:
        """What is too large."""
        found = []
        if self.release > SECRET_LIMIT * 0.9:
            found.append(f"a release takes {self.release:,} bytes of the {SECRET_LIMIT:,} that a Secret may hold")
        if self.config_map > CONFIG_MAP_LIMIT:
            found.append(
                f"ConfigMap {self.config_map_name} has {self.config_map:,} bytes, more than {CONFIG_MAP_LIMIT:,}"
            )
        return found


def sizes(chart: Path, archive: Path, rendered: Rendered) -> Sizes:
    """Of a chart, its archive and its largest rendering."""
    maps = {d["metadata"]["name"]: len(json.dumps(d)) for d in rendered.of_kind("ConfigMap")}
    largest = max(maps, key=lambda name: maps[name], default="")
    return Sizes(archive.stat().st_size, maps.get(largest, 0), largest, _release(chart, rendered))


def _release(chart: Path, rendered: Rendered) -> int:
    """As Helm stores it: the chart's files and the manifests as JSON, compressed, in base64."""
    files = [
        {"name": str(file.relative_to(chart)), "data": base64.b64encode(file.read_bytes()).decode()}
        for file in sorted(chart.rglob("*"))
        if file.is_file()
    ]
    stored = json.dumps({"chart": files, "manifest": rendered.text})
    return len(base64.b64encode(gzip.compress(stored.encode(), 9)))
