"""Where tests find PostgreSQL and Kafka: addresses given → containers → the local stack."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Infrastructure:
    """The administrator's login of a PostgreSQL cluster, and a broker."""

    admin_url: str
    bootstrap_servers: str
    idempotence: bool = True


@contextmanager
def infrastructure(run_dir: Path, owner_pid: int) -> Iterator[Infrastructure]:
    """PostgreSQL and Kafka for one test run, shared by all its workers through `run_dir`, gone with `owner_pid`."""
    admin_url = os.environ.get("DATABASE_URL", "")
    bootstrap_servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    if admin_url and bootstrap_servers:
        yield Infrastructure(admin_url, bootstrap_servers)
    elif _docker_answers():
        with _containers() as found:
            yield found
    else:
        yield _local_stack(run_dir, owner_pid)


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None or os.environ.get("KAFKA_BACKEND", "docker") != "docker":
        return False
    try:
        return subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def _containers() -> Iterator[Infrastructure]:
    from testcontainers.kafka import KafkaContainer
    from testcontainers.postgres import PostgresContainer

    with (
        PostgresContainer("postgres:18", driver=None) as postgres,
        KafkaContainer("apache/kafka:4.3.1").with_kraft() as kafka,
    ):
        yield Infrastructure(postgres.get_connection_url(), kafka.get_bootstrap_server())


def _local_stack(run_dir: Path, owner_pid: int) -> Infrastructure:
    from sandbox.stack.control import Stack

    environment = Stack(run_dir, durable=False).up_infrastructure(owner_pid)
    return Infrastructure(
        environment["POSTGRES_ADMIN_URL"],
        environment["KAFKA_BOOTSTRAP_SERVERS"],
        environment.get("KAFKA_IDEMPOTENCE", "true") == "true",
    )
