"""What a stack remembers between starts."""

import fcntl
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.stack.ports import HIGHEST, LOWEST, free_ports, is_free
from sandbox.stack.run_dir import Phase, RunDir, Status
from sandbox.stack.supervisor import ProcessState, ProcessStatus

NAMES = st.from_regex(r"\A[A-Z][A-Z_]{0,20}\Z")
VALUES = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=40)


def test_ports_are_different_and_survive(tmp_path: Path) -> None:
    first = RunDir(tmp_path).ports("postgres", "kafka", "scoring")
    assert len(set(first)) == 3
    assert RunDir(tmp_path).ports("scoring", "kafka", "postgres") == first[::-1]


def test_a_port_taken_by_another_program_is_replaced_for_good(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    taken, kept = run.ports("postgres", "kafka")
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        assert not is_free(taken)
        replaced, still = run.ports("postgres", "kafka")
    assert replaced != taken
    assert still == kept
    assert run.ports("postgres") == [replaced]


def test_free_ports_stay_clear_of_outgoing_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(LOWEST <= port <= HIGHEST for port in ports)


def test_secrets_survive_and_differ(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert run.secret("postgres") == RunDir(tmp_path).secret("postgres")
    assert run.secret("postgres") != run.secret("scoring_app")


def test_only_the_owner_reads_passwords(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.secret("postgres")
    run.write_environment({"SCORING_DATABASE_URL": "postgresql://scoring_app:secret@127.0.0.1/scoring"})
    run.write_environment({"SCORING_DATABASE_URL": "postgresql://scoring_app:other@127.0.0.1/scoring"})
    for name in ("secrets.json", "env"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_the_environment_reads_back_as_written(environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run = RunDir(Path(directory))
        run.write_environment(environment)
        assert run.environment() == environment


def test_the_status_reads_back_as_written(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert run.status() == Status()
    process = ProcessStatus("scoring", ProcessState.RESTARTING, "2026-01-01T00:00:00+00:00", 42, 1.5, 3, -9)
    written = Status(Phase.FAILED, True, "scoring ended", [process])
    run.write_status(written)
    read = run.status()
    assert read == written
    assert read.phase is Phase.FAILED
    assert read.processes[0].state is ProcessState.RESTARTING


def test_a_supervisor_lives_while_it_holds_the_lock(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert run.supervisor_pid() is None
    with run.pid_file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(str(os.getpid()))
        held.flush()
        assert run.supervisor_pid() == os.getpid()
    # The file with a pid remains, as after a kill.
    assert run.pid_file.read_text() == str(os.getpid())
    assert run.supervisor_pid() is None


def test_too_many_ports_are_refused() -> None:
    with pytest.raises(OSError, match="fewer than"):
        free_ports(HIGHEST - LOWEST + 2)
