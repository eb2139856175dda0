"""How slow this machine is now, beside the one for which budgets of time were set.

A machine that does much else, or that is another, makes all work dearer, also in processor time: its caches and its
cores are shared. A budget is then a ratio to a fixed piece of work of the same kind, taken in the same moment.
"""

import json
import time

# Processor seconds of the fixed work on the machine of the budgets, when it did nothing else.
_QUIET_SECONDS = 0.0033
_DOCUMENT = [{"key": f"k{n}", "text": "a few words " * 3, "points": n / 7, "on": True} for n in range(2_000)]


def slowness() -> float:
    """How many times as long as it should a fixed piece of work takes now; 1 on a faster machine."""
    return max(1.0, min(_taken() for _ in range(3)) / _QUIET_SECONDS)


def _taken() -> float:
    began = time.thread_time()
    read = json.loads(json.dumps(_DOCUMENT))
    sum(len(str(value)) for each in read for value in each.values())
    return time.thread_time() - began
