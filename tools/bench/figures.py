"""How each figure is measured. Ours and the reference take turns, on one server and one broker."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tools.bench import bare, bare_api, load, org
from tools.bench.bare_hop import Load
from tools.bench.report import Report
from tools.bench.system import CONFIRMED, PASSING, System, Work, fill, opportunity_ids, stack_of, start

SALESFORCE = "salesforce"
# Opportunities from this number on are each used once.
FRESH = 100_000_000


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
    changes: int
    org: int
    many: int
    few: int


FULL = Size(
    opportunities=2000,
    single=5000,
    single_warm_up=1000,
    batch=20_000,
    batch_warm_up=5000,
    paced_seconds=15,
    rest_seconds=10,
    changes=2000,
    org=1000,
    many=1_000_000,
    few=1000,
)
QUICK = Size(
    opportunities=500,
    single=1000,
    single_warm_up=200,
    batch=4000,
    batch_warm_up=1000,
    paced_seconds=5,
    rest_seconds=3,
    changes=300,
    org=200,
    many=20_000,
    few=100,
)


def start_up(report: Report, folder: Path) -> None:
    """Each time in an empty folder: databases are made and migrated, the broker formatted, topics created."""
    folders = (folder / str(number) for number in itertools.count())

    def timed() -> tuple[float, None]:
        with stack_of(next(folders)) as stack:
            began = time.perf_counter()
            start(stack, SALESFORCE)
            return time.perf_counter() - began, None

    report.measure("start", timed)


def memory_idle(report: Report, running: System, size: Size) -> None:
    time.sleep(size.rest_seconds)
    report.measure("memory_idle", lambda: (running.resident_mb(), None), runs=1)


def pipeline_single(report: Report, running: System, size: Size) -> None:
    def pair() -> tuple[float, float]:
        ours = running.submit(Work(size.single), size.single_warm_up)
        reference = Load(size.single, warm_up=size.single_warm_up)
        return ours.per_s, bare.run(running.postgres, running.kafka, reference).per_s

    report.measure("pipeline_single", pair)


def pipeline_batch(report: Report, running: System, size: Size) -> None:
    def pair() -> tuple[float, float]:
        ours = running.submit(Work(size.batch, batches=True), size.batch_warm_up)
        reference = Load(size.batch, bulk=True, warm_up=size.batch_warm_up)
        return ours.per_s, bare.run(running.postgres, running.kafka, reference).per_s

    report.measure("pipeline_batch", pair)


def pipeline_p99(report: Report, running: System, size: Size) -> None:
    """At half of what this run sustained one by one, which is measured first when it was not."""
    if "pipeline_single" not in report.results:
        pipeline_single(report, running, size)
    rate = report.results["pipeline_single"].ours / 2
    count = int(rate * size.paced_seconds)

    def pair() -> tuple[float, float]:
        ours = running.submit(Work(count, rate=rate), size.single_warm_up)
        reference = Load(count, rate, warm_up=size.single_warm_up)
        return ours.p99_s * 1000, bare.run(running.postgres, running.kafka, reference).p99_s * 1000

    report.measure("pipeline_p99", pair)


def cpu_per_change(report: Report, running: System, size: Size) -> None:
    """Every submission moves an opportunity that has never moved; counted until nothing is on its way any more."""
    firsts = itertools.count(FRESH, size.changes)

    def changed() -> tuple[float, None]:
        fill(running, opportunity_ids(size.changes, next(firsts)))
        before, changes = running.cpu_seconds(), running.changes()
        running.submit(Work(size.changes, answers=PASSING))
        return (running.cpu_seconds() - before) * 1000 / (running.changes() - changes), None

    report.measure("cpu_per_change", changed)


def http_submission(report: Report, running: System, size: Size) -> None:
    """The other services are stopped: nothing consumes what this leaves, so it comes last on a system."""

    def accepted(url: str) -> float:
        warm_up, _ = running.requests(Work(size.single_warm_up))
        requests, _ = running.requests(Work(size.single))
        return load.run(url, warm_up, requests)

    def pair() -> tuple[float, float]:
        ours = accepted(running.stack.urls["assessment"])
        uvloop.run(running.relayed("assessment"))
        with bare_api.serving(running.postgres) as url:
            return ours, accepted(url)

    with running.only("assessment"):
        report.measure("http_submission", pair)


def pipeline_org(report: Report, folder: Path, size: Size) -> None:
    with stack_of(folder) as stack:
        running = start(stack, SALESFORCE)
        org.fill(running, size.opportunities)

        def confirmed() -> tuple[float, None]:
            return running.submit(Work(size.org, done=CONFIRMED), size.single_warm_up).per_s, None

        report.measure("pipeline_org", confirmed)
