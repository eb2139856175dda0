"""Where the services of a stack send their spans."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from sandbox.stack.ports import is_free

# In `.run/env`, and not as OTEL_EXPORTER_OTLP_ENDPOINT: programs that take their addresses from there trace nothing.
TRACES_URL = "TRACES_URL"


def tracing_environment(endpoint: str) -> dict[str, str]:
    """What makes a service send every span to that OTLP/HTTP endpoint within a second; nothing for an empty one."""
    if not endpoint:
        return {}
    hosts = [host for host in (os.environ.get("NO_PROXY", ""), "127.0.0.1") if host]
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "TRACE_SAMPLE_RATIO": "1",
        # The exporter follows the proxies of the environment, which do not lead to this machine.
        "NO_PROXY": ",".join(hosts),
    }


def listening(endpoint: str) -> str:
    """The endpoint, or nothing when no program listens there: a program that was killed could not remove its
    setting."""
    port = urlsplit(endpoint).port
    return endpoint if port and not is_free(port) else ""
