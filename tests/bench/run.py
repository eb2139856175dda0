"""`make bench`: the platform beside a reference in the same run, alternating; ratios, not absolute times.

Writes bench/results.json, a list of {name, ours, reference, unit, ratio, runs}: medians over the pairs, and the ratio
is the median of the pairs' ratios. A figure without a reference has a null ratio.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bare
import domain
import platform_load

ROOT = Path(__file__).parents[2]
PAIRS = 3
SINGLE, BULK = 2000, 20000
Pair = Callable[[], tuple[float, float]]


class Report:
    """Collects figures and writes them after each, so that an interrupted run leaves what it found."""

    def __init__(self, file: Path, pairs: int) -> None:
        self._file, self._pairs, self._results = file, pairs, []

    def compare(self, name: str, unit: str, pair: Pair) -> None:
        """Run a pair several times and note the medians."""
        runs = [pair() for _ in range(self._pairs)]
        ours, reference = (statistics.median(side) for side in zip(*runs, strict=True))
        self._note(name, ours, reference, unit, statistics.median(a / b for a, b in runs))

    def tell(self, name: str, unit: str, value: float) -> None:
        """Note a figure that has no reference."""
        self._note(name, value, None, unit, None)

    def _note(self, name: str, ours: float, reference: float | None, unit: str, ratio: float | None) -> None:
        runs = self._pairs if reference is not None else 1
        figures = {"ours": ours, "reference": reference, "unit": unit, "ratio": ratio, "runs": runs}
        rounded = {key: round(v, 3) if isinstance(v, float) else v for key, v in figures.items()}
        self._results.append({"name": name, **rounded})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._results, indent=1) + "\n")
        beside = f"  reference {reference:,.1f}  ratio {ratio:.2f}" if reference is not None else ""
        sys.stdout.write(f"{name:18} {ours:>12,.1f} {unit}{beside}\n")
        sys.stdout.flush()


def pipelines(report: Report, running: "platform_load.Platform") -> None:
    """Both ways in, beside the bare pipeline on the same database server and broker."""
    postgres = running.environment["POSTGRES_ADMIN_URL"].rsplit("/", 1)[0]
    kafka = running.stack.kafka()

    def single() -> tuple[float, float]:
        ours = platform_load.submit(running, SINGLE, batches=False)["per_s"]
        return ours, bare.run(postgres, kafka, SINGLE)["per_s"]

    def bulk() -> tuple[float, float]:
        ours = platform_load.submit(running, BULK, batches=True)["per_s"]
        return ours, bare.run(postgres, kafka, BULK, bulk=True)["per_s"]

    report.compare("pipeline_single", "submissions/s", single)
    report.compare("pipeline_batch", "submissions/s", bulk)
    before = running.cpu_seconds()
    platform_load.submit(running, SINGLE, batches=False)
    report.tell("cpu_per_submission", "CPU ms of the five services", (running.cpu_seconds() - before) / SINGLE * 1000)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="example: make bench"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--results", type=Path, default=ROOT / "bench/results.json")
    parser.add_argument("--only", choices=["domain", "pipelines"], help="a part of it")
    given = parser.parse_args()
    report = Report(given.results, given.pairs)
    if given.only in (None, "domain"):
        report.compare("decision", "decisions/s", domain.decisions)
        report.compare("scoring", "submissions/s", domain.scores)
    if given.only in (None, "pipelines"):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            with platform_load.platform(Path(folder), opportunities=2000) as running:
                report.tell("start_and_fill", "s", time.monotonic() - began)
                time.sleep(5)
                report.tell("memory_idle", "MB resident, five services", running.resident_mb())
                pipelines(report, running)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
