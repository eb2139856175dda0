"""The log lines of one trace, from the end of each service's log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAIL_BYTES = 4 * 2**20
LINES = 500


@dataclass(frozen=True)
class LogLine:
    """What a service logged on behalf of a trace; `rest` holds the other fields of the line."""

    at: str
    service: str
    level: str
    message: str
    rest: dict[str, str]


def lines_of(trace_id: str, logs: Path) -> list[LogLine]:
    """The newest lines that carry the trace id, in the order in which they were logged."""
    needle = trace_id.encode()
    found = [
        line
        for file in sorted(logs.glob("*.log"))
        for raw in _tail(file).splitlines()
        if needle in raw and (line := _read(raw, trace_id)) is not None
    ]
    return sorted(found, key=lambda line: line.at)[-LINES:]


def _tail(file: Path) -> bytes:
    with file.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(0, size - TAIL_BYTES))
        return log.read()


def _read(raw: bytes, trace_id: str) -> LogLine | None:
    try:
        line: Any = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(line, dict) or line.get("trace_id") != trace_id:
        return None
    at, service, level, message = (str(line.pop(name, "")) for name in ("at", "service", "level", "message"))
    rest = {str(name): str(value) for name, value in line.items() if name != "trace_id"}
    return LogLine(at, service, level, message, rest)
