"""How a service is: which loop has stopped, and why another server cannot be reached, in words."""

import asyncio
import ssl
import time
from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

# Half a minute at most until liveness tells, probes included.
LIMIT_SECONDS = 25.0
_REACH_SECONDS = 3


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


def in_words(error: BaseException) -> str:
    """What an error of a connection means. Never holds a password or a parameter of a statement."""
    if isinstance(error, DBAPIError):
        error = (error.orig and error.orig.__cause__) or error.orig or error
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses the connection"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


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
