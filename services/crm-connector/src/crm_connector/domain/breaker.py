"""Stops asking a CRM that does not reply, and tries one call after a while."""

from collections.abc import Callable


class Breaker:
    """Opens after some failures in a row, or at once by `trip`; lets one call through when the pause is over.

    Pauses double from one second to five minutes until a call succeeds. `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float], failures_to_open: int = 3) -> None:
        self._clock = clock
        self._limit = failures_to_open
        self._failures = 0
        self._pause = 1.0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back now."""
        return self.remaining > 0

    @property
    def doubtful(self) -> bool:
        """Whether the latest call got no reply: one at a time until one does."""
        return self._failures > 0

    @property
    def remaining(self) -> float:
        """Seconds until the next call may be tried; 0 when it may be now."""
        return max(self._open_until - self._clock(), 0.0)

    def succeeded(self) -> None:
        """A call got a reply."""
        self._failures, self._pause, self._open_until = 0, 1.0, 0.0

    def failed(self) -> None:
        """A call got no reply."""
        self._failures += 1
        if self._failures >= self._limit:
            self.trip(self._pause)
            self._pause = min(self._pause * 2, 300.0)

    def trip(self, seconds: float) -> None:
        """Hold calls back for that long."""
        self._open_until = max(self._open_until, self._clock() + seconds)
