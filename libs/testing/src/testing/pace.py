"""How slow this machine is now, beside the one for which budgets of time were set.

A busy machine makes all work dearer, in processor time too, because caches and cores are shared. So a budget is a ratio
to a fixed piece of work that is done in the same moment.
"""

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Processor seconds of the fixed work on the machine of the budgets, when it did nothing else.
_QUIET_SECONDS = 0.0033
_DOCUMENT = [{"key": f"k{n}", "text": "a few words " * 3, "points": n / 7, "on": True} for n in range(2_000)]


class Pace:
    """How slow the machine was from here on, until `of` is asked."""

    def __init__(self) -> None:
        self._before = _slowness()

    def of(self, seconds: float) -> float:
        """Processor seconds that were counted meanwhile, in those of the machine of the budgets."""
        return seconds / max(self._before, _slowness())


@dataclass
class Spent:
    """What a piece of work took of its thread's processor time, in seconds of the machine of the budgets."""

    seconds: float = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Counts what is done within it; collecting what other tests left is no part of it."""
    found = Spent()
    gc.collect()
    pace, began = Pace(), time.thread_time()
    yield found
    found.seconds = pace.of(time.thread_time() - began)


def _slowness() -> float:
    """How many times as long as it should a fixed piece of work takes now; 1 on a faster machine."""
    return max(1.0, min(_taken() for _ in range(3)) / _QUIET_SECONDS)


def _taken() -> float:
    began = time.thread_time()
    read = json.loads(json.dumps(_DOCUMENT))
    sum(len(str(value)) for each in read for value in each.values())
    return time.thread_time() - began
