"""Where the services of a stack send their spans, and how a process is started anew."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sandbox.stack import Stack
from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.ports import free_ports
from sandbox.stack.supervisor import ProcessSpec, ProcessState, Supervisor
from sandbox.stack.tracing import listening, tracing_environment


@pytest.fixture
def endpoint() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def writer(directory: Path, text: str, *, fails: bool = False) -> ProcessSpec:
    """A process that writes the text to a file and then sleeps."""
    file = directory / text
    program = f"import sys, time; open({str(file)!r}, 'w').close(); {'sys.exit(3)' if fails else 'time.sleep(600)'}"

    async def ready() -> bool:
        return file.exists() and not fails

    return ProcessSpec(name="writer", command=[sys.executable, "-c", program], ready=ready)


class TestEndpoint:
    def test_nothing_is_sent_without_one(self) -> None:
        assert tracing_environment("") == {}

    def test_everything_is_sent_to_one(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "example.org")
        environment = tracing_environment(endpoint)
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == endpoint
        assert environment["TRACE_SAMPLE_RATIO"] == "1"
        assert environment["NO_PROXY"] == "example.org,127.0.0.1"

    def test_one_that_nothing_listens_at_is_forgotten(self, endpoint: str) -> None:
        (port,) = free_ports(1)
        assert listening(endpoint) == endpoint
        assert listening(f"http://127.0.0.1:{port}") == ""
        assert listening("") == ""

    def test_the_wish_waits_in_the_run_directory(self, endpoint: str, tmp_path: Path) -> None:
        stack = Stack(tmp_path)
        assert stack.run.trace_endpoint() == ""
        stack.trace_to(endpoint)
        assert stack.run.trace_endpoint() == endpoint
        stack.reset()
        assert stack.run.trace_endpoint() == ""

    def test_a_stack_is_not_sent_where_nothing_listens(self, tmp_path: Path) -> None:
        (port,) = free_ports(1)
        stack = Stack(tmp_path)
        with pytest.raises(ValueError, match=f"nothing listens at http://127.0.0.1:{port}"):
            stack.trace_to(f"http://127.0.0.1:{port}")
        assert stack.run.trace_endpoint() == ""


class TestReplace:
    async def test_the_process_of_that_name_starts_as_told_now(self, tmp_path: Path) -> None:
        supervisor = Supervisor(tmp_path / "logs", lambda _: None)
        await supervisor.start(writer(tmp_path, "first"))
        (status,) = supervisor.statuses()
        before = status.pid
        await supervisor.replace(writer(tmp_path, "second"))
        assert before is not None and not psutil.pid_exists(before)
        assert (tmp_path / "second").exists()
        assert (status.state, status.restarts) == (ProcessState.READY, 0)
        await supervisor.stop()
        assert status.state is ProcessState.STOPPED

    async def test_one_that_does_not_start_is_told_and_nothing_runs(self, tmp_path: Path) -> None:
        supervisor = Supervisor(tmp_path / "logs", lambda _: None)
        await supervisor.start(writer(tmp_path, "first"))
        with pytest.raises(ProcessStartFailed, match="exit code 3"):
            await supervisor.replace(writer(tmp_path, "second", fails=True))
        assert supervisor.statuses()[0].pid is None
        await supervisor.stop()

    async def test_it_is_watched_as_before(self, tmp_path: Path) -> None:
        supervisor = Supervisor(tmp_path / "logs", lambda _: None)
        await supervisor.start(writer(tmp_path, "first"))
        await supervisor.replace(writer(tmp_path, "second"))
        (status,) = supervisor.statuses()
        assert status.pid is not None
        os.kill(status.pid, 9)
        async with asyncio.timeout(30):
            while status.restarts == 0 or status.state is not ProcessState.READY:  # noqa: ASYNC110 - no event here
                await asyncio.sleep(0.02)
        await supervisor.stop()
