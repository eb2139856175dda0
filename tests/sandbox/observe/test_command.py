"""`make observe` beside a whole running stack, until Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest
from sandbox.observe.__main__ import main
from sandbox.stack import Stack
from sandbox.stack.run_dir import Phase
from sandbox.stack.services import SERVICES

DEADLINE_SECONDS = 90
T = TypeVar("T")


def eventually(found: Callable[[], T]) -> T:
    """The first result that is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return result


@contextmanager
def observing(run_dir: Path, output: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m sandbox.observe` as a process of its own, once it has printed its addresses."""
    command = [sys.executable, "-m", "sandbox.observe", "--run-dir", str(run_dir)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **environment})
    try:
        eventually(lambda: "Ctrl-C stops" in output.read_text() or process.poll() is not None)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(DEADLINE_SECONDS)


def address_of(output: Path, what: str) -> str:
    found = re.search(rf"^  {what} +(http://\S+)$", output.read_text(), re.MULTILINE)
    assert found is not None, output.read_text()
    return found[1]


def sends_to(stack: Stack) -> set[str]:
    """Where the running services were told to send their spans."""
    pids = {process.name: process.pid for process in stack.status().processes}
    return {psutil.Process(pids[name]).environ().get("OTEL_EXPORTER_OTLP_ENDPOINT", "") for name in SERVICES}


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "examples:" in printed
    assert "--run-dir .run/demo" in printed


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("observed") / "run", durable=False) as stack:
        yield stack


@pytest.mark.stack
@pytest.mark.e2e
class TestBesideAStack:
    def test_traces_arrive_and_all_is_left_as_it_was(self, stack: Stack, tmp_path: Path) -> None:
        output = tmp_path / "output"
        org = next(process.pid for process in stack.status().processes if process.name == "salesforce-org")
        # Without Prometheus: what the page shows with one, other tests hold.
        with (
            observing(stack.run.root, output, PROMETHEUS=str(tmp_path / "absent")) as observe,
            httpx.Client(timeout=DEADLINE_SECONDS) as http,
        ):
            page = address_of(output, "dashboards")
            assert "without dashboards: PROMETHEUS=" in output.read_text()
            assert sends_to(stack) == {page}
            assert stack.environment["TRACES_URL"] == page

            token = stack.token("acme", "admin", "sre")
            url = f"{stack.urls['assessment']}/v1/assessment-templates/prospecting"
            assert http.get(url, headers={"Authorization": f"Bearer {token}"}).is_success
            (trace,) = eventually(lambda: http.get(f"{page}/api/traces", params={"q": "prospecting"}).json()["traces"])
            assert trace["services"] == ["assessment"]
            logged = http.get(f"{page}/api/traces/{trace['trace_id']}").json()["logs"]
            assert [line["service"] for line in logged] == ["assessment"]

            variables = http.get(f"{page}/api/dashboards/stagecraft-overview/variables").json()
            assert "is not a program that can be run" in variables[0]["error"]

            with observing(stack.run.root, tmp_path / "second") as second:
                assert second.wait() == 1
            assert f"error: `make observe` runs already: {page}" in (tmp_path / "second").read_text()

            assert stop(observe) == 0
        assert stack.status().phase is Phase.READY
        assert sends_to(stack) == {""}
        assert "TRACES_URL" not in stack.environment
        assert org == next(process.pid for process in stack.status().processes if process.name == "salesforce-org")
        with pytest.raises(httpx.ConnectError):
            httpx.get(page)
