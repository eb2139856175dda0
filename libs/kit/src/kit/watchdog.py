"""Notices a loop that silently stopped: every loop beats, and liveness asks who is overdue."""

import time
from collections.abc import Callable

# Half a minute at most until liveness tells, probes included.
LIMIT_SECONDS = 25.0


class Watchdog:
    """Beats by name. A name is watched from its first beat on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, tuple[float, str]] = {}
        self._faults: dict[str, str] = {}

    def beat(self, name: str, doing: str = "") -> None:
        """The loop of this name is alive, and what it is about to do."""
        self._beats[name] = self._clock(), doing

    def fail(self, name: str, reason: str) -> None:
        """The loop of this name has stopped for good, and why."""
        self._faults[name] = reason

    def forget(self, name: str) -> None:
        """The loop of this name ended as intended."""
        self._beats.pop(name, None)

    def complaints(self) -> list[str]:
        """What is wrong, in words; empty when all loops are alive."""
        now = self._clock()
        overdue = [
            f"{name} has not run for {now - beat:.0f} s" + (f", since {doing}" if doing else "")
            for name, (beat, doing) in self._beats.items()
            if now - beat > LIMIT_SECONDS
        ]
        return [f"{name} stopped: {reason}" for name, reason in self._faults.items()] + overdue
