"""A whole system with a real Prometheus beside it, watched while it works and while it is broken on purpose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import yaml
from sandbox.observe.prometheus import Prometheus, rule_files, targets_of
from sandbox.observe.query import PrometheusClient
from sandbox.stack import Stack
from sandbox.story.api import Caller
from sandbox.story.play import loopback_client

TENANT = "acme"
SCRAPE_SECONDS = 1.0
POLL_SECONDS = 0.2
PATIENCE_SECONDS = 60.0
# The stage engine checks a stored decision so often; the default of 10 s would show too few in a short run.
ENVIRONMENT = {"REPLAY_CHECK_SECONDS": "1"}


@dataclass
class Observed:
    """The running system. `environment` holds what commands of runbooks need: the addresses of `.run/env`, the URL of
    Prometheus, and a token of an administrator."""

    stack: Stack
    http: httpx.AsyncClient
    client: PrometheusClient
    began: datetime
    environment: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @property
    def org_url(self) -> str:
        return self.environment["ORG_URL"]

    @property
    def admin(self) -> Caller:
        return Caller(self.http, self.stack.urls, self.environment["TOKEN"])

    def caller(self, role: str, subject: str, tenant: str = TENANT) -> Caller:
        return Caller(self.http, self.stack.urls, self.stack.token(tenant, role, subject))

    async def value(self, expression: str) -> float:
        """The sum of what the expression gives now; 0 when it gives nothing."""
        return sum(sample.value for sample in await self.client.instant(expression))

    async def until(self, what: str, expression: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until Prometheus finds the expression true. Raises AssertionError naming what did not happen."""

        async def found() -> bool:
            return bool(await self.client.instant(expression))

        await eventually(what, found, seconds)

    async def raised(self, alert: str) -> None:
        """Wait until the alert was pending or firing, now or earlier in this run."""
        await self.until(f"{alert} is raised", f'max_over_time(ALERTS{{alertname="{alert}"}}[1h])')

    def note(self, words: str) -> None:
        """Remember how far the run was, for the message of a failure."""
        self.notes.append(f"{(datetime.now(UTC) - self.began).total_seconds():6.1f} s  {words}")


async def eventually(what: str, check: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the check holds. Raises AssertionError naming what did not happen."""
    try:
        async with asyncio.timeout(seconds):
            while not await check():  # noqa: ASYNC110 - it is another process that must change
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise AssertionError(f"after {seconds:.0f} s still not: {what}") from None


def hastened(rules: list[Path], directory: Path) -> list[Path]:
    """Copies of the rules for a run of minutes: the same expressions and thresholds, but an alert fires a second after
    its condition holds, every group is evaluated each second, and what compares with an hour ago compares with ten
    seconds ago."""
    directory.mkdir()
    copies: list[Path] = []
    for file in rules:
        content = yaml.safe_load(file.read_text())
        for group in content["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = "1s"
                if "record" in rule:
                    rule["expr"] = rule["expr"].replace("offset 1h", "offset 10s")
        copies.append(directory / file.name)
        copies[-1].write_text(yaml.safe_dump(content, sort_keys=False))
    return copies


@asynccontextmanager
async def observed(run_dir: Path) -> AsyncIterator[Observed]:
    """Start everything on throwaway data and watch it every second; all of it ends with the block."""
    stack = Stack(run_dir, durable=False)
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        await asyncio.to_thread(stack.up, os.getpid())
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    try:
        environment = stack.environment
        prometheus = Prometheus(
            run_dir / "prometheus",
            targets_of(environment),
            rules=hastened(rule_files(), run_dir / "rules"),
            scrape_seconds=SCRAPE_SECONDS,
            evaluation_seconds=SCRAPE_SECONDS,
        )
        async with prometheus, loopback_client() as http:
            await prometheus.until_up()
            environment |= {"PROMETHEUS_URL": prometheus.url, "TOKEN": stack.token(TENANT, "admin", "sre")}
            yield Observed(stack, http, prometheus.client, datetime.now(UTC), environment)
    finally:
        await asyncio.to_thread(stack.down)
