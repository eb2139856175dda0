"""Write docs/metrics.md: every metric that a service exposes, with its labels and what a rise of it means.

python tools/metrics.py            write the file
python tools/metrics.py --check    exit with 1 when the file is out of step with the code
"""

import argparse
import importlib
import sys
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "metrics.md"
MODULES = {
    "kit.observability.telemetry": "Every service",
    "stage_engine.telemetry": "Stage engine",
    "crm_connector.telemetry": "CRM connector",
    "recommender.telemetry": "Recommender",
}
_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
_HEAD = """# Metrics

Generated from the code by `make metrics`. Every service answers `GET /metrics` in the text format of Prometheus.

Each instance reports figures of the whole database, such as `outbox_events` or `waiting_items`: aggregate these with
`max`, not with `sum`.
"""


def metrics_of(module: str) -> list[MetricWrapperBase]:
    """The metrics that a telemetry module defines, in the order of the file."""
    found = vars(importlib.import_module(module)).values()
    return [each for each in found if isinstance(each, MetricWrapperBase)]


def name_of(metric: MetricWrapperBase) -> str:
    """The name under which Prometheus knows it; histograms add `_bucket`, `_sum` and `_count`."""
    return metric._name + ("_total" if isinstance(metric, Counter) else "")


def document() -> str:
    """The whole page."""
    parts = [_HEAD]
    for module, title in MODULES.items():
        parts.append(f"\n## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
        for metric in metrics_of(module):
            labels = ", ".join(metric._labelnames) or "–"
            parts.append(f"| `{name_of(metric)}` | {_KINDS[type(metric)]} | {labels} | {metric._documentation} |\n")
    return "".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    text = document()
    if not parser.parse_args().check:
        TARGET.write_text(text)
        return 0
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    sys.stderr.write("docs/metrics.md is out of step with the code: run `make metrics`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
