"""Whether the system stays as fast with very many opportunities: two systems run in turn, never at once.

Each is given a past by copies of one opportunity that went through it.
"""

from __future__ import annotations

from pathlib import Path

import uvloop
from sandbox.stack.control import Stack
from sandbox.stack.services import SERVICES

from tools.bench.figures import Size
from tools.bench.fill import fill_all
from tools.bench.report import Report, say
from tools.bench.system import System, Work, fill, publish, stack_of, start

SPECIMEN = "006000000000000001"


def growth(report: Report, folder: Path, size: Size) -> None:
    """The same load with many opportunities, and, as the reference, with few; the data stay between the runs."""
    with stack_of(folder / "many") as many, stack_of(folder / "few") as few:
        say("growth: filling")
        _prepare(many, size.many)
        _prepare(few, size.few)

        def pair() -> tuple[float, float]:
            return _measure(many, size.many, size), _measure(few, size.few, size)

        report.measure("growth", pair)


def _prepare(stack: Stack, count: int) -> None:
    say(f"  a system with {count:,} opportunities")
    running = start(stack)
    uvloop.run(publish(running))
    fill(running, [SPECIMEN])
    running.submit(Work(1))
    fill_all(running.environment["POSTGRES_ADMIN_URL"], SPECIMEN, count)
    uvloop.run(_tidy(running))
    stack.down()


async def _tidy(running: System) -> None:
    """Neither may have its first vacuum while it is measured, and the statistics of both must be true."""
    for service in SERVICES:
        await running.databases.rows(service, "VACUUM (ANALYZE)")


def _measure(stack: Stack, opportunities: int, size: Size) -> float:
    running = start(stack)
    try:
        running.use([f"006F{number:014d}" for number in range(1, opportunities + 1)])
        return running.submit(Work(size.batch, batches=True), size.batch_warm_up).per_s
    finally:
        stack.down()
