"""Bringing PostgreSQL and Kafka up and down from outside, through the supervisor process and the command line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sandbox.stack import Stack
from sandbox.stack.cli import main
from sandbox.stack.errors import StackStartFailed
from sandbox.stack.run_dir import Phase
from sandbox.stack.supervisor import ProcessState, find_process

DEADLINE_SECONDS = 60


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    # Tansu starts in a tenth of Kafka's time, and what is tested here is not the broker.
    monkeypatch.setenv("KAFKA_BACKEND", "tansu")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    stack = Stack(tmp_path / "run")
    yield stack
    stack.down()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def pids(stack: Stack) -> dict[str, int | None]:
    return {process.name: process.pid for process in stack.status().processes}


@pytest.mark.stack
class TestLifetime:
    def test_up_again_changes_nothing(self, stack: Stack) -> None:
        first = stack.up_infrastructure()
        supervisor, started = stack.run.supervisor_pid(), pids(stack)
        assert stack.up_infrastructure() == first
        assert (stack.run.supervisor_pid(), pids(stack)) == (supervisor, started)

    def test_addresses_survive_down_and_up(self, stack: Stack) -> None:
        first = stack.up_infrastructure()
        stack.down()
        assert stack.status().phase is Phase.STOPPED
        assert stack.up_infrastructure() == first

    def test_two_starts_at_once_share_one_supervisor(self, stack: Stack) -> None:
        others = [Stack(stack.run.root) for _ in range(3)]
        with ThreadPoolExecutor() as pool:
            environments = list(pool.map(lambda other: other.up_infrastructure(), others))
        assert environments == [environments[0]] * 3
        assert (stack.run.logs / "supervisor.log").read_text().count("ready after") == 1

    def test_down_leaves_nothing_running(self, stack: Stack) -> None:
        stack.up_infrastructure()
        started = stack.status().processes
        stack.down()
        assert stack.run.supervisor_pid() is None
        assert [find_process(process) for process in started] == [None, None]
        stack.down()

    def test_a_killed_process_comes_back(self, stack: Stack) -> None:
        stack.up_infrastructure()
        killed = pids(stack)["kafka"]
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        def healed() -> bool:
            kafka = next(process for process in stack.status().processes if process.name == "kafka")
            return kafka.state is ProcessState.READY and kafka.restarts == 1

        eventually(healed)
        assert pids(stack)["kafka"] != killed

    def test_a_killed_supervisor_is_replaced_and_its_orphans_ended(self, stack: Stack) -> None:
        first = stack.up_infrastructure()
        orphans = stack.status().processes
        supervisor = stack.run.supervisor_pid()
        assert supervisor is not None
        os.kill(supervisor, signal.SIGKILL)
        eventually(lambda: stack.run.supervisor_pid() is None)
        assert stack.status().phase is Phase.STOPPED
        assert len(stack.status().processes) == 2
        assert stack.up_infrastructure() == first
        assert [find_process(process) for process in orphans] == [None, None]

    def test_it_ends_with_its_owner(self, stack: Stack) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
            stack.up_infrastructure(owner_pid=owner.pid)
            assert stack.run.supervisor_pid() is not None
            owner.kill()
        eventually(lambda: stack.run.supervisor_pid() is None)

    def test_throwaway_data_are_gone_and_durable_ones_stay(self, stack: Stack) -> None:
        stack.up_infrastructure()
        stack.down()
        assert (stack.run.root / "postgres" / "data" / "PG_VERSION").exists()
        throwaway = Stack(stack.run.root, durable=False)
        throwaway.up_infrastructure()
        throwaway.down()
        assert not (stack.run.root / "postgres").exists()

    def test_a_failed_start_says_why_and_leaves_nothing(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KAFKA_BACKEND", "redpanda")
        with pytest.raises(StackStartFailed, match="KAFKA_BACKEND=redpanda is unknown"):
            stack.up_infrastructure()
        assert stack.status().phase is Phase.FAILED
        assert stack.status().processes == []
        monkeypatch.setenv("KAFKA_BACKEND", "tansu")
        stack.up_infrastructure()

    def test_a_given_server_that_is_not_there_fails_loudly(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        [port] = stack.run.ports("nobody")
        monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres:x@127.0.0.1:{port}/postgres")
        with pytest.raises(StackStartFailed, match="no PostgreSQL answers at DATABASE_URL"):
            stack.up_infrastructure()
        monkeypatch.delenv("DATABASE_URL")
        monkeypatch.delenv("KAFKA_BACKEND")
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}")
        with pytest.raises(StackStartFailed, match="no Kafka broker answers"):
            stack.up_infrastructure()

    def test_everything_listens_on_loopback_only(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KAFKA_BACKEND", "jvm")
        stack.up_infrastructure()
        addresses = {
            connection.laddr.ip.removeprefix("::ffff:")
            for pid in pids(stack).values()
            for connection in psutil.Process(pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}


@pytest.mark.stack
class TestCommands:
    def test_status_logs_and_reset(
        self, stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_dir = ["--run-dir", str(stack.run.root)]
        assert main([*run_dir, "status"]) == 1
        assert main([*run_dir, "up", "--infrastructure"]) == 0
        assert "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:" in capsys.readouterr().out
        assert main([*run_dir, "status"]) == 0
        assert "postgres         ready" in capsys.readouterr().out
        held = pids(stack)["postgres"]
        assert held is not None
        os.kill(held, signal.SIGSTOP)
        try:
            # A signal takes a moment to arrive.
            assert any(main([*run_dir, "status"]) == 1 or time.sleep(0.2) for _ in range(50))
            assert "stack is up, but postgres is suspended" in capsys.readouterr().out
        finally:
            os.kill(held, signal.SIGCONT)
        assert main([*run_dir, "logs", "postgres"]) == 0
        assert "postgres | " in capsys.readouterr().out
        assert main([*run_dir, "logs", "nothing"]) == 1
        assert "there are: " in capsys.readouterr().err
        monkeypatch.setenv("YES", "1")
        assert main([*run_dir, "reset"]) == 0
        assert list(stack.run.root.iterdir()) == []

    def test_reset_asks_first(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("YES", raising=False)
        monkeypatch.setattr("builtins.input", lambda _: "")
        secret = stack.run.secret("postgres")
        assert main(["--run-dir", str(stack.run.root), "reset"]) == 1
        assert stack.run.secret("postgres") == secret

    def test_a_token_is_accepted_by_the_issuers_keys(self, stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["--run-dir", str(stack.run.root), "token", "--role", "rep", "--tenant", "acme"]
        assert main(command) == 0
        shown = capsys.readouterr()
        assert len(shown.out.strip().split(".")) == 3
        assert "SUBJECT" in shown.err
        assert main([*command, "--subject", "005Sg0000000008IAA"]) == 0
        assert capsys.readouterr().err == ""
        assert (stack.run.issuer / "jwks.json").exists()
