"""How long processes are away, and when the broker or the database was: what needs them cannot recover meanwhile."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Spans(defaultdict[str, list[float]]):
    """Seconds by process."""

    def __init__(self) -> None:
        super().__init__(list)

    @property
    def longest(self) -> float:
        """The longest of all; 0 when there is none."""
        return max((each for several in self.values() for each in several), default=0.0)

    @property
    def figures(self) -> dict[str, Any]:
        """What chaos.json says of them."""
        seconds = [each for several in self.values() for each in several] or [0.0]
        longest = {name: round(max(each), 2) for name, each in sorted(self.items())}
        return {"p50": round(statistics.median(seconds), 2), "max": round(self.longest, 2), "max_of": longest}


class Outages:
    """The times at which something was away that every service needs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._over: list[tuple[float, float]] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Something is away for the block."""
        began = self._clock()
        try:
            yield
        finally:
            self._over.append((began, self._clock()))

    def without(self, began: float, ended: float) -> float:
        """How many seconds between these two moments everything was there. What is still away counts as there."""
        left, at = 0.0, began
        for first, last in sorted(self._over):
            if last <= at:
                continue
            left += max(0.0, min(first, ended) - at)
            at = min(max(at, last), ended)
        return left + ended - at
