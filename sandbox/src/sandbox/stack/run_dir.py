"""What one stack remembers on disk: ports, passwords, addresses, the state of its processes.

```
.run/
  state.json         ports, chosen once so that URLs survive
  secrets.json       passwords, 0600
  env                KEY=value lines for shells and tests, 0600
  status.json        phase and processes, written by the supervisor at every change
  tracing.json       where the services are to send their spans, while something takes them
  supervisor.pid     locked for as long as the supervisor lives
  logs/ postgres/ kafka/ issuer/ org/ org-credentials/
```
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from sandbox.stack.ports import free_ports, is_free
from sandbox.stack.supervisor import ProcessState, ProcessStatus

logger = logging.getLogger(__name__)


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class Status:
    """The supervisor's phase, whether it runs the services too, and the status of each process."""

    phase: Phase = Phase.STOPPED
    services: bool = False
    error: str = ""
    processes: list[ProcessStatus] = field(default_factory=list)


class RunDir:
    """The folder of one stack; every method reads or writes a file in it."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def issuer(self) -> Path:
        return self.root / "issuer"

    @property
    def org_credentials(self) -> Path:
        return self.root / "org-credentials"

    @property
    def pid_file(self) -> Path:
        return self.root / "supervisor.pid"

    def ports(self, *names: str) -> list[int]:
        """A port of its own for each name: the remembered one, or another when something else took it."""
        remembered: dict[str, int] = self._read("state.json").get("ports", {})
        ports: list[int] = []
        for name in names:
            port = remembered.get(name)
            if port is None or not is_free(port):
                if port is not None:
                    logger.warning("port %d of %s is taken by another program", port, name)
                taken = set(remembered.values())
                port = next(free for free in free_ports(len(taken) + 1) if free not in taken)
                remembered[name] = port
            ports.append(port)
        self._write("state.json", {"ports": remembered})
        return ports

    def secret(self, name: str) -> str:
        """A generated password, the same at every start."""
        known = self._read("secrets.json")
        if name not in known:
            known[name] = secrets.token_urlsafe(24)
            self._write("secrets.json", known)
        return known[name]

    def write_environment(self, environment: Mapping[str, str]) -> None:
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment.items()]
        self._write_text("env", "".join(lines))

    def environment(self) -> dict[str, str]:
        """The addresses of the running stack; empty before the first start."""
        file = self.root / "env"
        lines = file.read_text().splitlines() if file.exists() else []
        pairs = [shlex.split(line)[0].partition("=") for line in lines]
        return {name: value for name, _, value in pairs}

    def write_trace_endpoint(self, endpoint: str) -> None:
        self._write("tracing.json", {"endpoint": endpoint})

    def trace_endpoint(self) -> str:
        """The OTLP/HTTP endpoint that wants the spans of the services; empty when none does."""
        return self._read("tracing.json").get("endpoint", "")

    def write_status(self, status: Status) -> None:
        self._write("status.json", asdict(status))

    def status(self) -> Status:
        """What the supervisor wrote last. A process that it left behind is still listed."""
        read = self._read("status.json")
        if not read:
            return Status()
        processes = [
            ProcessStatus(**{**process, "state": ProcessState(process["state"])}) for process in read["processes"]
        ]
        return Status(Phase(read["phase"]), read["services"], read["error"], processes)

    def supervisor_pid(self) -> int | None:
        """The supervisor's pid while it lives. A lock decides: a pid may have gone to another process."""
        if not self.pid_file.exists():
            return None
        with self.pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0)
        return None

    def _read(self, name: str) -> dict[str, Any]:
        file = self.root / name
        return json.loads(file.read_text()) if file.exists() else {}

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self._write_text(name, json.dumps(content, indent=2) + "\n")

    def _write_text(self, name: str, text: str) -> None:
        """Replaced in one step: readers never see half a file, nor anyone else a password."""
        unfinished = self.root / f".{name}.new"
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        unfinished.replace(self.root / name)
