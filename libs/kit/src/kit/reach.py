"""Why another server cannot be reached, in words for the person who has to make it reachable."""

import asyncio
import ssl

from sqlalchemy.exc import DBAPIError

_SECONDS = 3


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
            async with asyncio.timeout(_SECONDS):
                _, writer = await asyncio.open_connection(host, int(port), ssl=tls)
            writer.close()
            return ""
        except (OSError, ValueError) as error:
            reasons.append(f"{server.strip()}: {in_words(error)}")
    return "; ".join(reasons)
