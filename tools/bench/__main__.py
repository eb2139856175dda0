"""Measures the system beside a reference in the same run, in turn; ratios, not absolute times.

Writes bench/results.json, a list of {name, ours, reference, unit, ratio, runs}: medians over the runs, and the ratio
is the median of the pairs' ratios. A figure without a reference has a null ratio. Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.bench import domain, figures
from tools.bench.figures import FULL, QUICK, Size
from tools.bench.growth import growth
from tools.bench.report import FIGURES, NAMES, Report, say
from tools.bench.system import System, system
from tools.bench.timers import timers

RESULTS = Path("bench/results.json")
PAIRS = 3
EXAMPLES = """examples:
  make bench                                             all of it, with its targets
  python -m tools.bench --only decision scoring          a part of it
  python -m tools.bench --only pipeline_single --quick --pairs 1 --results /tmp/single.json

figures:
"""
ON_SYSTEM: dict[str, Callable[[Report, System, Size], None]] = {
    "memory_idle": figures.memory_idle,
    "pipeline_single": figures.pipeline_single,
    "pipeline_batch": figures.pipeline_batch,
    "pipeline_p99": figures.pipeline_p99,
    "cpu_per_change": figures.cpu_per_change,
    "timers": lambda report, running, size: timers(report, running, size.opportunities),
    "http_submission": figures.http_submission,
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    # The warnings of a broker that has just made a topic are expected.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # A signal that ends this program ends everything it started. A shell starts background programs deaf to SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    report = Report(given.results, given.pairs)
    try:
        with tempfile.TemporaryDirectory(prefix="stagecraft-bench-") as folder:
            measure(report, given.only or NAMES, Path(folder), QUICK if given.quick else FULL)
    except KeyboardInterrupt:
        say(f"interrupted: everything is stopped; {given.results} holds what was measured so far")
        return 130
    lines, missed = report.verdict()
    say("\n" + "\n".join(lines))
    say(f"missed: {', '.join(missed)}" if missed else "every target is met")
    return 1 if missed else 0


def measure(report: Report, names: Sequence[str], folder: Path, size: Size) -> None:
    """Measure these figures, each on what it needs."""
    if "decision" in names:
        report.measure("decision", domain.decisions)
    if "scoring" in names:
        report.measure("scoring", domain.scores)
    if "start" in names:
        figures.start_up(report, folder / "start")
    if wanted := [act for name, act in ON_SYSTEM.items() if name in names]:
        say("starting a system")
        with system(folder / "system", size.opportunities) as running:
            for act in wanted:
                act(report, running, size)
    if "pipeline_org" in names:
        say("starting a system with the simulated org")
        figures.pipeline_org(report, folder / "org", size)
    if "growth" in names:
        growth(report, folder / "growth", size)


def _parser() -> argparse.ArgumentParser:
    width = max(len(name) for name in NAMES)
    epilog = EXAMPLES + "\n".join(f"  {figure.name:{width}}  {figure.meaning}" for figure in FIGURES)
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description=__doc__,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="FIGURE", help="measure these alone; default all")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"how often each is measured; default {PAIRS}")
    parser.add_argument("--quick", action="store_true", help="a fraction of the load, for a first look")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"the file to write; default {RESULTS}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
