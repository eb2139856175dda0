"""A real Prometheus beside a running stack: finds the program, writes its configuration, runs it, stops it.

```python
async with Prometheus(directory, targets_of(stack.environment), rules=rule_files()) as prometheus:
    await prometheus.until_up()
    samples = await prometheus.client.instant("up")
```
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from sandbox.observe.query import PrometheusClient
from sandbox.stack.errors import StackError
from sandbox.stack.ports import free_ports
from sandbox.stack.services import SERVICES, variable_of
from sandbox.stack.supervisor import ProcessSpec, ProcessState, ProcessStatus, Supervisor, end_orphans

JOB = "stagecraft"
RULES_DIR = Path(__file__).parents[4] / "deploy" / "prometheus"
USUAL_PLACES = (Path("/usr/bin/prometheus"), Path("/usr/local/bin/prometheus"), Path("/opt/homebrew/bin/prometheus"))
RETENTION = "15d"
POLL_SECONDS = 0.2
# The first scrape comes about 5 s after the start, whatever the interval.
UP_SECONDS = 60.0
HOW_TO_GET_IT = (
    "Install it (Debian, Ubuntu: apt-get install prometheus; macOS: brew install prometheus; "
    "elsewhere: https://prometheus.io/download), or name the program: PROMETHEUS=/path/to/prometheus"
)


class PrometheusUnavailable(StackError):
    """There is no Prometheus, or it does not start; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """An instance of a service to scrape, as host:port."""

    service: str
    address: str


def find_prometheus() -> Path:
    """The program: what PROMETHEUS names, else `prometheus` on PATH or where packages put it.

    Raises PrometheusUnavailable, which says how to get it.
    """
    named = os.environ.get("PROMETHEUS")
    if named:
        program = shutil.which(named)
        if program is None:
            raise PrometheusUnavailable(f"PROMETHEUS={named} is not a program that can be run. {HOW_TO_GET_IT}")
        return Path(program)
    on_path = shutil.which("prometheus")
    found = [Path(on_path)] if on_path else [place for place in USUAL_PLACES if os.access(place, os.X_OK)]
    if not found:
        raise PrometheusUnavailable(f"Prometheus is not installed. {HOW_TO_GET_IT}")
    return found[0]


def targets_of(environment: Mapping[str, str]) -> list[Target]:
    """The five services of a running stack, from what `.run/env` holds.

    Raises PrometheusUnavailable when no stack with services runs.
    """
    urls = {service: environment.get(variable_of(service, "URL"), "") for service in SERVICES}
    missing = [service for service, url in urls.items() if not url]
    if missing:
        raise PrometheusUnavailable(f"the stack has no address of {', '.join(missing)}: start it with `make up`")
    return [Target(service, url.removeprefix("http://")) for service, url in urls.items()]


def rule_files(directory: Path = RULES_DIR) -> list[Path]:
    """The committed recording and alerting rules."""
    return sorted(directory.glob("*.yaml"))


def configuration(
    targets: Sequence[Target], rules: Sequence[Path], *, scrape_seconds: float, evaluation_seconds: float
) -> str:
    """Prometheus' configuration file. Every target has the labels `job` and `service`, as in a cluster."""
    document: dict[str, Any] = {
        "global": {
            "scrape_interval": _duration(scrape_seconds),
            # A timeout above the interval is refused.
            "scrape_timeout": _duration(min(scrape_seconds, 10.0)),
            "evaluation_interval": _duration(evaluation_seconds),
        },
        "rule_files": [str(file.resolve()) for file in rules],
        "scrape_configs": [
            {
                "job_name": JOB,
                "honor_labels": True,
                "static_configs": [
                    {"targets": [target.address], "labels": {"service": target.service}} for target in targets
                ],
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


class Prometheus:
    """A Prometheus that runs for the block, on a free port of 127.0.0.1.

    It keeps its configuration, data, log and pid in `directory`; one that a killed process left behind there is
    ended first. `client` queries it.
    """

    def __init__(
        self,
        directory: Path,
        targets: Sequence[Target],
        *,
        rules: Sequence[Path] = (),
        scrape_seconds: float = 5.0,
        evaluation_seconds: float = 5.0,
        port: int | None = None,
    ) -> None:
        self._program = find_prometheus()
        self._directory = directory
        self._targets = targets
        self._configuration = configuration(
            targets, rules, scrape_seconds=scrape_seconds, evaluation_seconds=evaluation_seconds
        )
        self._port = port or free_ports(1)[0]
        self._supervisor = Supervisor(directory / "logs", self._remember)
        self.url = f"http://127.0.0.1:{self._port}"
        self.client = PrometheusClient(self.url)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it answers. Raises ProcessStartFailed with the end of its log."""
        end_orphans(self._left_behind())
        (self._directory / "data").mkdir(parents=True, exist_ok=True)
        file = self._directory / "prometheus.yml"
        file.write_text(self._configuration)
        try:
            await self._supervisor.start(self._process(file))
        except BaseException:
            await self.client.close()
            raise

    async def stop(self) -> None:
        await self._supervisor.stop()
        await self.client.close()

    async def until_up(self, seconds: float = UP_SECONDS) -> None:
        """Wait until every target was scraped with success. Raises PrometheusUnavailable naming those that were not."""
        try:
            async with asyncio.timeout(seconds):
                while await self._not_up():  # noqa: ASYNC110 - it is another process that must change
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            words = "; ".join(await self._not_up())
            raise PrometheusUnavailable(f"after {seconds:.0f} s not every target is up: {words}") from None

    async def _not_up(self) -> list[str]:
        seen = {target.address: target for target in await self.client.targets()}
        complaints: list[str] = []
        for target in self._targets:
            health = seen.get(target.address)
            if health is None or health.health != "up":
                reason = (health.last_error if health else "") or "not scraped yet"
                complaints.append(f"{target.service} at {target.address}: {reason}")
        return complaints

    def _process(self, file: Path) -> ProcessSpec:
        command = [
            str(self._program),
            f"--config.file={file}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        return ProcessSpec(name="prometheus", command=command, ready=self.client.ready)

    @property
    def _pid_file(self) -> Path:
        return self._directory / "processes.json"

    def _remember(self, processes: list[ProcessStatus]) -> None:
        self._pid_file.write_text(json.dumps([asdict(process) for process in processes]))

    def _left_behind(self) -> list[ProcessStatus]:
        if not self._pid_file.exists():
            return []
        return [
            ProcessStatus(**{**process, "state": ProcessState(process["state"])})
            for process in json.loads(self._pid_file.read_text())
        ]


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
