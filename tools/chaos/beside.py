"""What others notice of the hostile tenant."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil

from tools.chaos.work import Work


class Attack:
    """The hostile tenant in a process of its own; its calls by outcome are in `answers`, and what they took it of the
    processor in `processor_s`."""

    def __init__(self, run_dir: Path) -> None:
        self.answers: Counter[str] = Counter()
        self.processor_s = 0.0
        self._command = [sys.executable, "-m", "tools.chaos.hostile", str(run_dir)]

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """It is at work for the block."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            yield
        finally:
            self.processor_s = _busy({"": process.pid})[""]
            process.terminate()
            said, _ = await process.communicate()
            self.answers.update(json.loads(said or "{}"))


async def slowed(
    work: Work, attack: Attack, submissions: int, seconds: float, pids: Mapping[str, int]
) -> dict[str, Any]:
    """How long others wait for their answers without the hostile tenant and beside it: milliseconds, and the ratio;
    and how many seconds of the processor each process took."""
    times: dict[str, list[float]] = {}
    busy: dict[str, dict[str, float]] = {}
    for part in ("without", "beside"):
        work.seconds.clear()
        before, own = _busy(pids), time.process_time()
        async with attack.under_way() if part == "beside" else nullcontext():
            await work.perform(f"{part} the hostile tenant", submissions, seconds)
        times[part] = sorted(work.seconds)
        busy[part] = {name: round(seconds - before[name], 1) for name, seconds in _busy(pids).items()}
        busy[part]["these requests"] = round(time.process_time() - own, 1)
        busy[part]["hostile tenant"] = round(attack.processor_s, 1)
    shown = {part: _milliseconds(each) for part, each in times.items()}
    ratio = {name: round(shown["beside"][name] / shown["without"][name], 2) for name in shown["without"]}
    return {**shown, "ratio": ratio, "its_answers": dict(attack.answers), "processor_s": busy}


def _busy(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of the processor so far, the children's included."""
    found = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        found[name] = sum(each.user + each.system for each in times)
    return found


def _milliseconds(times: list[float]) -> dict[str, float]:
    return {f"p{share}": round(times[len(times) * share // 100] * 1000, 1) for share in (50, 95)}
