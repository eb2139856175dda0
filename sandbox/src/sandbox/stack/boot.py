"""The supervisor process: starts the stack in order, keeps it running, and stops it on request.

`python -m sandbox.stack.boot` detaches itself; `sandbox.stack.control` starts it and talks to it through the
files of the run directory and SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from kit.delivery.kafka import login

from sandbox.stack.acls import acls_of, users_of
from sandbox.stack.databases import prepare_databases
from sandbox.stack.errors import KafkaUnavailable, PostgresUnavailable, StackError
from sandbox.stack.kafka import Kafka, resolve_kafka
from sandbox.stack.kafka_jvm import ADMIN
from sandbox.stack.postgres import Postgres, resolve_postgres
from sandbox.stack.run_dir import Phase, RunDir, Status
from sandbox.stack.services import (
    SERVICES,
    OrgAddress,
    common_environment,
    connector_environment,
    logins_of,
    org_process,
    service_process,
    variable_of,
)
from sandbox.stack.supervisor import ProcessSpec, ProcessStatus, Supervisor, end_orphans
from sandbox.stack.topics import create_topics, load_topics
from sandbox.stack.tracing import TRACES_URL, listening, tracing_environment

logger = logging.getLogger("stack")

OWNER_POLL_SECONDS = 0.5
LOCK_SECONDS = 2.0
DATA = ("postgres", "kafka", "org", "org-credentials")


@dataclass(frozen=True)
class BootPlan:
    """What to run, and for how long.

    `durable` data outlive the stack; without `services` only PostgreSQL and Kafka run; with an `owner_pid`
    all ends when that process does.
    """

    durable: bool
    services: bool
    owner_pid: int | None


class Boot:
    """One run of the stack in `run`, from start to stop."""

    def __init__(self, run: RunDir, plan: BootPlan) -> None:
        self._run = run
        self._plan = plan
        self._status = Status(Phase.STARTING, plan.services)
        self._supervisor = Supervisor(run.logs, self._record)
        self._stop = asyncio.Event()
        self._retrace = asyncio.Event()
        self._environment: dict[str, str] = {}
        self._services: Callable[[], list[ProcessSpec]] = list
        self._tracing: dict[str, str] = {}

    async def until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._retrace.set)
        owner = asyncio.create_task(self._follow_owner())
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        retracing = asyncio.create_task(self._follow_tracing(starting))
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                self._reach(Phase.READY)
                await asyncio.wait([stopping, retracing], return_when=asyncio.FIRST_COMPLETED)
                if retracing.done():
                    retracing.result()
            self._reach(Phase.STOPPED)
        except Exception as group:
            problem = _first(group)
            trace = None if isinstance(problem, StackError) else problem
            logger.error("the stack did not start", exc_info=trace)
            self._reach(Phase.FAILED, str(problem) or repr(problem))
        finally:
            tasks = [starting, stopping, retracing, owner]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self._supervisor.stop()
            if not self._plan.durable:
                for name in DATA:
                    shutil.rmtree(self._run.root / name, ignore_errors=True)

    async def _start(self) -> None:
        began = time.monotonic()
        ports = self._run.ports("postgres", "kafka", "kafka-controller", "org", "org-pubsub", *SERVICES)
        postgres_port, broker_port, controller_port, org_port, pubsub_port, *service_ports = ports
        org = OrgAddress(org_port, pubsub_port)
        # PostgreSQL with its migrations and Kafka with its topics do not depend on each other.
        async with asyncio.TaskGroup() as group:
            databases = group.create_task(self._start_postgres(postgres_port))
            brokers = group.create_task(self._start_kafka(broker_port, controller_port))
            if self._plan.services:
                group.create_task(self._supervisor.start(org_process(self._run, org)))
        postgres, database_urls = databases.result()
        kafka, passwords = brokers.result()
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_BACKEND": kafka.backend.value,
            "KAFKA_IDEMPOTENCE": str(kafka.supports_idempotence).lower(),
            "POSTGRES_ADMIN_URL": postgres.admin_url,
        }
        if self._plan.services:
            addresses = dict(zip(SERVICES, service_ports, strict=True))
            for name, port in addresses.items():
                environment[variable_of(name, "URL")] = f"http://127.0.0.1:{port}"
            environment |= {variable_of(name, "DATABASE_URL"): database_urls[name] for name in SERVICES}
            environment |= {"ORG_URL": org.url, "ORG_PUBSUB_ENDPOINT": org.pubsub_endpoint}
            environment |= {variable_of(user, "KAFKA_PASSWORD"): password for user, password in passwords.items()}
            await self._start_services(kafka, environment, addresses, org)
        self._environment = environment
        self._write_environment()
        logger.info("ready after %.1f s", time.monotonic() - began)

    async def _start_postgres(self, port: int) -> tuple[Postgres, dict[str, str]]:
        password = self._run.secret("postgres")
        directory = self._run.root / "postgres"
        postgres = await asyncio.to_thread(resolve_postgres, directory, port, password, durable=self._plan.durable)
        if postgres.process is not None:
            await self._supervisor.start(postgres.process)
        elif not await postgres.answers():
            raise PostgresUnavailable("no PostgreSQL answers at DATABASE_URL")
        if not self._plan.services:
            return postgres, {}
        urls = await prepare_databases(SERVICES, postgres.admin_url, self._run)
        logger.info("PostgreSQL: %d databases provisioned and migrated", len(urls))
        return postgres, urls

    async def _start_kafka(self, broker_port: int, controller_port: int) -> tuple[Kafka, dict[str, str]]:
        # Topics of tests have prefixes of their own, so a broker that serves tests alone needs no logins.
        password = self._run.secret("kafka-broker") if self._plan.services else ""
        directory = self._run.root / "kafka"
        kafka = await asyncio.to_thread(
            resolve_kafka, directory, broker_port, controller_port, broker_password=password
        )
        if kafka.process is not None:
            await self._supervisor.start(kafka.process)
        else:
            await _expect_answer(kafka)
        if not self._plan.services:
            return kafka, {}
        topics = load_topics()
        passwords: dict[str, str] = {}
        if kafka.guard is not None:
            passwords = {user: self._run.secret(f"kafka-{user}") for user in (ADMIN, *sorted(users_of(topics)))}
            acls = acls_of(topics)
            await kafka.guard.admit(passwords, acls)
            logger.info("Kafka: %d users with %d rights", len(passwords), len(acls))
        administrator = login(ADMIN, passwords[ADMIN]) if passwords else {}
        created = await create_topics(kafka.bootstrap_servers, topics, **administrator)
        logger.info("Kafka: %d topics created", len(created))
        return kafka, passwords

    async def _start_services(
        self, kafka: Kafka, known: dict[str, str], ports: dict[str, int], org: OrgAddress
    ) -> None:
        common = common_environment(self._run, kafka.bootstrap_servers, idempotence=kafka.supports_idempotence)
        environments = {service: common | logins_of(service, known) for service in SERVICES}
        environments["crm-connector"] |= connector_environment(self._run, org)

        def specs() -> list[ProcessSpec]:
            self._tracing = tracing_environment(listening(self._run.trace_endpoint()))
            return [service_process(name, ports[name], environments[name] | self._tracing) for name in SERVICES]

        self._services = specs
        logger.info("starting %s", ", ".join(SERVICES))
        await self._supervisor.start(*specs())

    async def _follow_tracing(self, starting: asyncio.Task[None]) -> None:
        """On SIGHUP, restart the services so that they send their spans where the run directory says now."""
        await asyncio.wait([starting])
        while True:
            await self._retrace.wait()
            self._retrace.clear()
            self._reach(Phase.STARTING)
            specs = self._services()
            logger.info("restarting the services %s traces", "with" if self._tracing else "without")
            await self._supervisor.replace(*specs)
            self._write_environment()
            self._reach(Phase.READY)

    def _write_environment(self) -> None:
        traces = self._tracing.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        self._run.write_environment(self._environment | ({TRACES_URL: traces} if traces else {}))

    async def _follow_owner(self) -> None:
        if self._plan.owner_pid is None:
            return
        try:
            owner = psutil.Process(self._plan.owner_pid)
            while owner.is_running():  # noqa: ASYNC110 - a foreign process raises no event here
                await asyncio.sleep(OWNER_POLL_SECONDS)
        except psutil.NoSuchProcess:
            pass
        logger.info("the process that started the stack has ended")
        self._stop.set()

    def _record(self, processes: list[ProcessStatus]) -> None:
        self._status.processes = processes
        self._run.write_status(self._status)

    def _reach(self, phase: Phase, error: str = "") -> None:
        self._status.phase = phase
        self._status.error = error
        self._run.write_status(self._status)


def _first(problem: BaseException) -> BaseException:
    """What went wrong first among the things started side by side."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


async def _expect_answer(kafka: Kafka) -> None:
    try:
        if await kafka.answers():
            return
    except OSError:
        pass
    raise KafkaUnavailable(f"no Kafka broker answers at {kafka.bootstrap_servers}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--throwaway", action="store_true")
    parser.add_argument("--infrastructure", action="store_true")
    parser.add_argument("--owner-pid", type=int)
    arguments = parser.parse_args()
    run = RunDir(arguments.run_dir)
    plan = BootPlan(not arguments.throwaway, not arguments.infrastructure, arguments.owner_pid)

    lock = run.pid_file.open("a+")
    if not _lock(lock.fileno()):
        return 1
    end_orphans(run.status().processes)
    run.write_status(Status(Phase.STARTING, plan.services))
    # The lock belongs to the open file, so it passes to the child and is held at every moment.
    if os.fork():
        return 0
    os.setsid()
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for name in ("stack", "sandbox"):
        logging.getLogger(name).setLevel(logging.INFO)
    asyncio.run(Boot(run, plan).until_stopped())
    return 0


def _lock(file: int) -> bool:
    """Another reader holds the lock for microseconds; another supervisor keeps it."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        else:
            return True


if __name__ == "__main__":
    sys.exit(main())
