"""Starting, finding and stopping a stack from outside: the same for `make up`, the demo and the tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.stack.errors import StackStartFailed
from sandbox.stack.kafka_jvm import ADMIN
from sandbox.stack.run_dir import Phase, RunDir, Status
from sandbox.stack.services import SERVICES, variable_of
from sandbox.stack.supervisor import as_it_is, end_orphans, find_process, last_lines
from sandbox.stack.tracing import TRACES_URL, listening

POLL_SECONDS = 0.05
STOP_SECONDS = 90.0
OWNED = (
    *("state.json", "secrets.json", "env", "status.json", "tracing.json", "supervisor.pid", "up.lock", "observe.lock"),
    *("logs", "postgres", "kafka", "issuer", "org", "org-credentials", "prometheus"),
)


def _silently(line: str) -> None:
    """Drops the report of a stack that nothing watches."""


class Stack:
    """The whole platform on this machine, in `run_dir`.

    As a context manager it runs for the block and ends with it, or with this process should that die. `up`
    leaves it running. `durable` data survive `down`; the others are gone with it. `report` receives each line
    of progress.
    """

    def __init__(self, run_dir: Path, durable: bool = True, report: Callable[[str], None] = _silently) -> None:
        self.run = RunDir(run_dir)
        self._durable = durable
        self._report = report

    def __enter__(self) -> Self:
        self.up(owner_pid=os.getpid())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self, owner_pid: int | None = None) -> dict[str, str]:
        """Start everything and return its addresses once all is ready; does nothing when it is.

        The stack ends with the process `owner_pid`, if given. Raises StackStartFailed with the log of what
        failed.
        """
        return self._up(owner_pid, services=True)

    def up_infrastructure(self, owner_pid: int | None = None) -> dict[str, str]:
        """PostgreSQL and Kafka alone, as tests want them: KAFKA_* and POSTGRES_ADMIN_URL."""
        return self._up(owner_pid, services=False)

    def trace_to(self, endpoint: str) -> None:
        """Have the services send their spans to an OTLP/HTTP endpoint, or to none when it is empty.

        Those of a running stack are restarted for it and ready when this returns; one that is started later finds it
        in the run directory. Raises ValueError when nothing listens at the endpoint, and StackStartFailed.
        """
        if endpoint and not listening(endpoint):
            raise ValueError(f"nothing listens at {endpoint}")
        self.run.write_trace_endpoint(endpoint)
        pid, status = self.run.supervisor_pid(), self.run.status()
        # While they start, it is not known yet where they will send.
        if pid and status.services and (status.phase is not Phase.READY or self._traces_url != endpoint):
            seen = self._log_size()
            os.kill(pid, signal.SIGHUP)
            self._wait_until_ready(seen, lambda: self._traces_url == endpoint)

    def down(self) -> None:
        """Stop everything, including processes that a killed supervisor left behind."""
        if pid := self.run.supervisor_pid():
            os.kill(pid, signal.SIGTERM)
            if not self._wait_for_end():
                os.kill(pid, signal.SIGKILL)
        status = self.run.status()
        end_orphans(status.processes)
        self.run.write_status(Status(Phase.STOPPED))

    def reset(self) -> None:
        """Stop everything and delete all it has stored, its ports and passwords included."""
        self.down()
        for name in OWNED:
            path = self.run.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def status(self) -> Status:
        """The last status of the supervisor, with each process as it is now. If no supervisor runs: STOPPED or FAILED,
        with the processes it left behind."""
        status = self.run.status()
        if self.run.supervisor_pid() is None:
            phase = Phase.FAILED if status.phase is Phase.FAILED else Phase.STOPPED
            left = [process for process in status.processes if find_process(process) is not None]
            return Status(phase, status.services, status.error, left)
        return replace(status, processes=[as_it_is(process) for process in status.processes])

    @property
    def environment(self) -> dict[str, str]:
        """The content of `.run/env`."""
        return self.run.environment()

    @property
    def urls(self) -> dict[str, str]:
        """The base URL of each service."""
        environment = self.environment
        return {service: environment[variable_of(service, "URL")] for service in SERVICES}

    def kafka(self, user: str = ADMIN) -> dict[str, Any]:
        """How a client of aiokafka reaches the broker as that user: a service, a partner or the administrator."""
        from kit.delivery.kafka import login

        environment = self.environment
        password = environment.get(variable_of(user, "KAFKA_PASSWORD"))
        address = {"bootstrap_servers": environment["KAFKA_BOOTSTRAP_SERVERS"]}
        return address | (login(user, password) if password else {})

    def token(self, tenant: str, role: str, subject: str) -> str:
        """An access token every service of this stack accepts."""
        from sandbox.issuer import LocalIssuer

        return LocalIssuer(self.run.issuer).token(tenant, subject, [role])

    def _up(self, owner_pid: int | None, *, services: bool) -> dict[str, str]:
        with (self.run.root / "up.lock").open("w") as lock:
            # Two starts at once: the second waits and finds the stack running.
            fcntl.flock(lock, fcntl.LOCK_EX)
            status = self.status()
            suffices = status.services or not services
            if status.phase in (Phase.STARTING, Phase.READY) and suffices:
                seen = self._log_size()
            else:
                self.down()
                seen = 0
                self._launch(owner_pid, services=services)
            try:
                self._wait_until_ready(seen)
            except KeyboardInterrupt:
                self.down()
                raise
        return self.environment

    def _launch(self, owner_pid: int | None, *, services: bool) -> None:
        command = [sys.executable, "-m", "sandbox.stack.boot", str(self.run.root)]
        command += [] if self._durable else ["--throwaway"]
        command += [] if services else ["--infrastructure"]
        command += [] if owner_pid is None else ["--owner-pid", str(owner_pid)]
        self.run.logs.mkdir(exist_ok=True)
        with self._log.open("wb") as log:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, start_new_session=True
            )
        if done.returncode != 0:
            raise StackStartFailed(f"the supervisor did not start\n{last_lines(self._log)}")

    @property
    def _traces_url(self) -> str:
        return self.environment.get(TRACES_URL, "")

    def _wait_until_ready(self, seen: int, also: Callable[[], bool] = lambda: True) -> None:
        while True:
            alive = self.run.supervisor_pid() is not None
            status = self.run.status()
            seen = self._report_from(seen)
            if not alive:
                raise StackStartFailed(status.error or f"the supervisor ended\n{last_lines(self._log)}")
            if status.phase is Phase.READY and also():
                return
            time.sleep(POLL_SECONDS)

    def _wait_for_end(self) -> bool:
        deadline = time.monotonic() + STOP_SECONDS
        while self.run.supervisor_pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    @property
    def _log(self) -> Path:
        return self.run.logs / "supervisor.log"

    def _log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def _report_from(self, offset: int) -> int:
        """Pass on the whole lines written since, and return where they end."""
        with self._log.open("rb") as log:
            log.seek(offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                offset += len(line)
                self._report(line.decode(errors="replace").rstrip())
        return offset
