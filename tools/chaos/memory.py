"""Whether a process leaks memory: it is weighed after each of several equal parts of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import psutil

PARTS = 4
# What caches, pools and the allocator may still take once the first part has warmed them up.
TOLERANCE_BYTES = 6 << 20


def weigh(pids: Mapping[str, int]) -> dict[str, int]:
    """Resident bytes of each process."""
    return {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}


def grown(weights: Mapping[str, Sequence[int]]) -> list[str]:
    """The processes that leak, in words: heavier after every part than after the one before, and by more than the
    tolerance in all.
    A cache grows and then stays; only a leak grows with each part of the work."""
    return [
        f"{name} grew with every part of the work: {', '.join(f'{weight / 2**20:.1f}' for weight in seen)} MiB"
        for name, seen in weights.items()
        if all(later > earlier for earlier, later in pairwise(seen)) and seen[-1] - seen[0] > TOLERANCE_BYTES
    ]
