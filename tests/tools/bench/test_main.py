"""Every figure that needs a running system can still be measured, however small it is made."""

import json
import logging

import psutil
import pytest

from tools.bench.__main__ import measure
from tools.bench.figures import Size
from tools.bench.report import NAMES, Report

MARK = "BENCH_SMOKE_TEST"
# What needs no system, and what starts so many that the test would take minutes.
WITHOUT = {"decision", "scoring", "start", "growth"}
TINY = Size(
    opportunities=20,
    single=40,
    single_warm_up=4,
    batch=120,
    batch_warm_up=20,
    paced_seconds=1,
    rest_seconds=0,
    changes=10,
    org=10,
    many=20,
    few=10,
)


@pytest.fixture(autouse=True)
def quiet():
    """A broker that has just made a topic is nothing to report."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


def processes_of(mark):
    """Every process that inherited the mark."""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                yield process
        except psutil.Error:
            continue


@pytest.mark.e2e
@pytest.mark.alone
def test_every_figure_can_be_measured_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path))
    names = [name for name in NAMES if name not in WITHOUT]
    measure(Report(tmp_path / "results.json", 1), names, tmp_path / "run", TINY)
    results = {result["name"]: result for result in json.loads((tmp_path / "results.json").read_text())}
    assert sorted(results) == sorted(names)
    assert all(result["ours"] > 0 for result in results.values())
    compared = {"pipeline_single", "pipeline_batch", "pipeline_p99", "timers", "http_submission"}
    assert {name for name, result in results.items() if result["ratio"]} == compared
    # Processes for long work end by themselves once the input from their service has.
    _, left = psutil.wait_procs(processes_of(str(tmp_path)), timeout=60)
    assert left == []
