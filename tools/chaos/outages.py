"""When the broker or the database was away: what needs them cannot recover meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
