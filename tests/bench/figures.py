"""How each figure is measured. Ours and the reference take turns, on one server and one broker."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench import bare
from tests.bench.report import Report
from tests.bench.system import System


@dataclass(frozen=True)
class Size:
    """How much load makes a figure. A warm-up goes before and does not count."""

    opportunities: int
    single: int
    single_warm_up: int
    batch: int
    batch_warm_up: int
    paced_seconds: float
    rest_seconds: float


FULL = Size(
    opportunities=2000,
    single=5000,
    single_warm_up=1000,
    batch=20_000,
    batch_warm_up=5000,
    paced_seconds=15,
    rest_seconds=10,
)
QUICK = Size(
    opportunities=500,
    single=1000,
    single_warm_up=200,
    batch=4000,
    batch_warm_up=1000,
    paced_seconds=5,
    rest_seconds=3,
)


def memory_idle(report: Report, running: System, size: Size) -> None:
    time.sleep(size.rest_seconds)
    report.measure("memory_idle", lambda: (running.resident_mb(), None), runs=1)


def pipeline_single(report: Report, running: System, size: Size) -> None:
    def pair() -> tuple[float, float]:
        ours = running.submit(size.single, warm_up=size.single_warm_up)
        reference = bare.Load(size.single, warm_up=size.single_warm_up)
        return ours.per_s, bare.run(running.postgres, running.kafka, reference).per_s

    report.measure("pipeline_single", pair)


def pipeline_batch(report: Report, running: System, size: Size) -> None:
    def pair() -> tuple[float, float]:
        ours = running.submit(size.batch, batches=True, warm_up=size.batch_warm_up)
        reference = bare.Load(size.batch, bulk=True, warm_up=size.batch_warm_up)
        return ours.per_s, bare.run(running.postgres, running.kafka, reference).per_s

    report.measure("pipeline_batch", pair)


def pipeline_p99(report: Report, running: System, size: Size) -> None:
    """At half of what this run sustained one by one, which is measured first when it was not."""
    if "pipeline_single" not in report.results:
        pipeline_single(report, running, size)
    rate = report.results["pipeline_single"].ours / 2
    count = int(rate * size.paced_seconds)

    def pair() -> tuple[float, float]:
        ours = running.submit(count, rate=rate, warm_up=size.single_warm_up)
        reference = bare.Load(count, rate, warm_up=size.single_warm_up)
        return ours.p99_s * 1000, bare.run(running.postgres, running.kafka, reference).p99_s * 1000

    report.measure("pipeline_p99", pair)
