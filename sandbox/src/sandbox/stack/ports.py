"""Free ports on 127.0.0.1."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

# Below the range systems take for outgoing connections, so that a remembered port stays free while the stack
# is down.
LOWEST, HIGHEST = 20_000, 31_999


def free_ports(count: int) -> list[int]:
    """This many different ports that are free now."""
    ports: list[int] = []
    for port in _shuffled():
        if is_free(port):
            ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"fewer than {count} free ports between {LOWEST} and {HIGHEST}")


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # As servers do: without it a connection that lingers after its server stopped would count as taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _shuffled() -> Iterator[int]:
    # Tests seed the shared generator; two of them at once must not draw the same ports.
    yield from random.SystemRandom().sample(range(LOWEST, HIGHEST + 1), HIGHEST - LOWEST + 1)
