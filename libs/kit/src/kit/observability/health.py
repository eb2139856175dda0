"""How a service is: which loop has stopped, and why another server cannot be reached, in words."""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import DBAPIError

# Half a minute at most until liveness tells, probes included.
LIMIT_SECONDS = 25.0
_REACH_SECONDS = 3
_SHARED_SECONDS = 1.0


class Watchdog:
    """Beats by name. A name is watched from its first beat on. It complains of what a restart can end: a loop that has
    stopped or hangs, and never of another server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, tuple[float, str]] = {}

    def beat(self, name: str, doing: str = "") -> None:
        """The loop of this name is alive, and what it is about to do."""
        self._beats[name] = self._clock(), doing

    def forget(self, name: str) -> None:
        """The loop of this name ended as intended."""
        self._beats.pop(name, None)

    def complaints(self) -> list[str]:
        """What is wrong, in words; empty when all loops are alive."""
        now = self._clock()
        return [
            f"{name} has not run for {now - beat:.0f} s" + (f", since {doing}" if doing else "")
            for name, (beat, doing) in self._beats.items()
            if now - beat > LIMIT_SECONDS
        ]


T = TypeVar("T")


class Shared(Generic[T]):
    """A measurement that all who ask within a second share, however many they are."""

    def __init__(self, measure: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._measure = measure
        self._task: asyncio.Task[T] | None = None
        self._began_at = 0.0

    def begin(self) -> "asyncio.Task[T]":
        """The one that runs, or that began less than a second ago, or else a new one."""
        now = time.monotonic()
        if self._task is None or (self._task.done() and now - self._began_at > _SHARED_SECONDS):
            self._task, self._began_at = asyncio.create_task(self._measure()), now
        return self._task

    async def get(self) -> T:
        """Its result. Who gives up asking does not end it for the others."""
        return await asyncio.shield(self.begin())

    async def end(self) -> None:
        """Give up the one that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


class Progress:
    """Since when something that has work does not move; by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, tuple[int, float]] = {}

    def at(self, name: str, position: int, *, behind: bool) -> None:
        """It is at this position, and has work left or not."""
        before = self._since.get(name)
        if not behind:
            self._since.pop(name, None)
        elif before is None or before[0] != position:
            self._since[name] = position, self._clock()

    def stuck(self, seconds: float) -> list[str]:
        """The names of what has had work for so long and has not moved."""
        now = self._clock()
        return sorted(name for name, (_, since) in self._since.items() if now - since > seconds)

    def forget(self) -> None:
        """Nothing is known any longer."""
        self._since.clear()


def in_words(error: BaseException) -> str:
    """What an error of a connection means. Never holds a password, a statement or its parameters."""
    if isinstance(error, DBAPIError):
        error = (error.orig and error.orig.__cause__) or error.orig or error
    if words := getattr(error, "words", "") or _of_statement(error):
        return words
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses the connection"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _of_statement(error: BaseException) -> str:
    """Only the kind of a server's error about a statement: its message names tables and columns. What ends a session
    says only why."""
    state = getattr(error, "sqlstate", "")
    return f"{type(error).__name__} ({state})" if state and getattr(error, "severity_en", "") != "FATAL" else ""


async def brokers_in_words(bootstrap_servers: str, tls: ssl.SSLContext | None) -> str:
    """Why none of the brokers can be reached; empty when one accepts connections, so that the fault is another.

    Kafka clients say no more than that they could not connect.
    """
    reasons = []
    for server in bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            async with asyncio.timeout(_REACH_SECONDS):
                _, writer = await asyncio.open_connection(host, int(port), ssl=tls)
            writer.close()
            return ""
        except (OSError, ValueError) as error:
            reasons.append(f"{server.strip()}: {in_words(error)}")
    return "; ".join(reasons)
