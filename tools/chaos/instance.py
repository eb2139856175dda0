"""One more instance of a service of a running stack, with a port of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from urllib.parse import urlsplit

from sandbox.stack import Stack
from sandbox.stack.ports import free_ports
from sandbox.stack.services import (
    OrgAddress,
    answers_ready,
    common_environment,
    connector_environment,
    logins_of,
    service_process,
)

POLL_SECONDS = 0.1


class Instance:
    """Runs from `start` until `stop` or `kill`; its log is beside those of the stack."""

    def __init__(self, stack: Stack, service: str) -> None:
        self.service = service
        (self.port,) = free_ports(1)
        self._log = stack.run.logs / f"{service}-second.log"
        self._spec = service_process(service, self.port, _environment(stack, service))
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._spec.command,
                env={**os.environ, **self._spec.environment},
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def until_ready(self, seconds: float = 60) -> None:
        ready = answers_ready(self.port)
        async with asyncio.timeout(seconds):
            while True:
                try:
                    if await ready():
                        return
                except OSError:
                    pass
                await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            os.kill(process.pid, number)
        await process.wait()


def _environment(stack: Stack, service: str) -> dict[str, str]:
    known = stack.environment
    idempotence = known["KAFKA_IDEMPOTENCE"] == "true"
    environment = common_environment(stack.run, known["KAFKA_BOOTSTRAP_SERVERS"], idempotence=idempotence)
    environment |= logins_of(service, known)
    if service == "crm-connector":
        ports = (urlsplit(known["ORG_URL"]).port, urlsplit(f"//{known['ORG_PUBSUB_ENDPOINT']}").port)
        assert ports[0] and ports[1]
        environment |= connector_environment(stack.run, OrgAddress(ports[0], ports[1]))
    return environment


def port_of(stack: Stack, service: str) -> int:
    """Where the stack's own instance listens."""
    port = urlsplit(stack.urls[service]).port
    assert port
    return port
