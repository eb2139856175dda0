"""The supervisor over tiny stand-in processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.supervisor import (
    ProcessSpec,
    ProcessState,
    ProcessStatus,
    Supervisor,
    as_it_is,
    end_orphans,
    find_process,
    last_lines,
)

DEADLINE_SECONDS = 30


@asynccontextmanager
async def supervising(logs: Path) -> AsyncIterator[tuple[Supervisor, list[list[tuple[str, ProcessState]]]]]:
    """A supervisor, and every state it reported, in order."""
    reported: list[list[tuple[str, ProcessState]]] = []
    supervisor = Supervisor(logs, lambda all_: reported.append([(one.name, one.state) for one in all_]))
    try:
        yield supervisor, reported
    finally:
        await supervisor.stop()


def sleeper(directory: Path, name: str, before: str = "", **settings: Any) -> ProcessSpec:
    """A process that appends its pid to `<name>.started` and then waits for a signal."""
    marker = directory / f"{name}.started"
    program = (
        "import os, signal, sys, time\n"
        f"{before}\n"
        f"open({str(marker)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(600)\n"
    )

    async def ready() -> bool:
        pids = marker.read_text().split()
        return bool(pids) and psutil.pid_exists(int(pids[-1]))

    return ProcessSpec(name=name, command=[sys.executable, "-c", program], ready=ready, **settings)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - processes raise no event here
            await asyncio.sleep(0.02)


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = next(status.pid for status in supervisor.statuses() if status.name == name)
    assert pid is not None
    return pid


async def test_started_processes_are_ready_and_stopped_ones_are_gone(tmp_path: Path) -> None:
    async with supervising(tmp_path / "logs") as (supervisor, _):
        await supervisor.start(sleeper(tmp_path, "one"), sleeper(tmp_path, "two"))
        assert [status.state for status in supervisor.statuses()] == [ProcessState.READY] * 2
        pids = [pid_of(supervisor, "one"), pid_of(supervisor, "two")]
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert [status.state for status in supervisor.statuses()] == [ProcessState.STOPPED] * 2


async def test_what_was_started_last_is_stopped_first(tmp_path: Path) -> None:
    async with supervising(tmp_path / "logs") as (supervisor, reported):
        await supervisor.start(sleeper(tmp_path, "database"))
        await supervisor.start(sleeper(tmp_path, "service"))
    stopped = [{name for name, state in states if state is ProcessState.STOPPED} for states in reported]
    assert stopped[-2:] == [{"service"}, {"database", "service"}]


async def test_a_process_that_ends_before_it_is_ready_fails_with_its_last_words(tmp_path: Path) -> None:
    program = "import sys; print('no such table'); sys.exit(3)"

    async def never() -> bool:
        return False

    broken = ProcessSpec(name="broken", command=[sys.executable, "-c", program], ready=never)
    async with supervising(tmp_path / "logs") as (supervisor, _):
        with pytest.raises(ProcessStartFailed, match=r"broken ended with exit code 3(?s:.*)no such table"):
            await supervisor.start(broken)


async def test_a_process_that_stays_unready_is_ended(tmp_path: Path) -> None:
    async def never() -> bool:
        raise ConnectionRefusedError

    spec = sleeper(tmp_path, "slow", ready_seconds=0.3)
    slow = ProcessSpec(name="slow", command=spec.command, ready=never, ready_seconds=0.3)
    async with supervising(tmp_path / "logs") as (supervisor, _):
        with pytest.raises(ProcessStartFailed, match="slow was not ready within"):
            await supervisor.start(slow)
        assert supervisor.statuses()[0].pid is None


async def test_a_missing_program_fails_by_name(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    missing = ProcessSpec(name="missing", command=[str(tmp_path / "nowhere")], ready=never)
    async with supervising(tmp_path / "logs") as (supervisor, _):
        with pytest.raises(ProcessStartFailed, match="missing cannot be started"):
            await supervisor.start(missing)


async def test_a_killed_process_comes_back_and_the_restart_shows(tmp_path: Path) -> None:
    async with supervising(tmp_path / "logs") as (supervisor, reported):
        await supervisor.start(sleeper(tmp_path, "scoring"))
        killed = pid_of(supervisor, "scoring")
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: supervisor.statuses()[0].restarts == 1)
        await eventually(lambda: supervisor.statuses()[0].state is ProcessState.READY)
        status = supervisor.statuses()[0]
        assert status.last_exit == -signal.SIGKILL
        assert status.pid not in (killed, None)
    assert [("scoring", ProcessState.RESTARTING)] in reported


async def test_a_process_that_crashes_while_restarting_is_tried_again(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.touch()
    check = f"if not os.path.exists({str(allowed)!r}): sys.exit(4)"
    async with supervising(tmp_path / "logs") as (supervisor, _):
        await supervisor.start(sleeper(tmp_path, "scoring", before=check))
        allowed.unlink()
        os.kill(pid_of(supervisor, "scoring"), signal.SIGKILL)
        await eventually(lambda: supervisor.statuses()[0].restarts >= 2)
        assert supervisor.statuses()[0].state is ProcessState.RESTARTING
        assert supervisor.statuses()[0].last_exit == 4
        allowed.touch()
        await eventually(lambda: supervisor.statuses()[0].state is ProcessState.READY)


async def test_a_process_that_ignores_its_stop_signal_is_killed(tmp_path: Path) -> None:
    deaf = sleeper(tmp_path, "deaf", before="signal.signal(signal.SIGTERM, signal.SIG_IGN)", stop_seconds=0.2)
    async with supervising(tmp_path / "logs") as (supervisor, _):
        await supervisor.start(deaf)
        pid = pid_of(supervisor, "deaf")
    assert not psutil.pid_exists(pid)


async def test_the_environment_of_a_process_is_laid_over_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("DATABASE_URL", "postgresql://developer/own")
    show = "print(os.environ['LOG_LEVEL'], os.environ['DATABASE_URL'], flush=True)"
    spec = sleeper(tmp_path, "scoring", before=show, environment={"DATABASE_URL": "postgresql://scoring_app"})
    async with supervising(tmp_path / "logs") as (supervisor, _):
        await supervisor.start(spec)
    assert (tmp_path / "logs" / "scoring.log").read_text().strip() == "DEBUG postgresql://scoring_app"


async def test_the_log_of_the_run_before_is_kept_beside(tmp_path: Path) -> None:
    for run in ("first", "second"):
        async with supervising(tmp_path / "logs") as (supervisor, _):
            await supervisor.start(sleeper(tmp_path, "scoring", before=f"print({run!r}, flush=True)"))
    assert (tmp_path / "logs" / "scoring.log").read_text() == "second\n"
    assert (tmp_path / "logs" / "scoring.log.1").read_text() == "first\n"


@pytest.fixture
async def orphan() -> AsyncIterator[ProcessStatus]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
    created = psutil.Process(process.pid).create_time()
    yield ProcessStatus("orphan", ProcessState.READY, "", process.pid, created)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_orphans_are_ended(orphan: ProcessStatus) -> None:
    await asyncio.to_thread(end_orphans, [orphan])
    assert find_process(orphan) is None


async def test_a_later_process_with_the_same_pid_is_left_alone(orphan: ProcessStatus) -> None:
    assert orphan.pid is not None and orphan.pid_created is not None
    later = ProcessStatus("gone", ProcessState.READY, "", orphan.pid, orphan.pid_created - 1)
    await asyncio.to_thread(end_orphans, [later])
    assert find_process(orphan) is not None


def test_last_lines_are_the_end_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_lines(log) == ""
    log.write_bytes(b"one\ntwo\n\xff\nfour\n")
    assert last_lines(log, 2) == "  \ufffd\n  four"


async def test_a_status_tells_what_the_process_does_now(tmp_path: Path) -> None:
    async with supervising(tmp_path) as (supervisor, _):
        await supervisor.start(sleeper(tmp_path, "one"))
        # As it was written down: the supervisor's own goes on to change.
        status = replace(supervisor.statuses()[0])
        assert as_it_is(status) == status
        assert status.pid is not None
        os.kill(status.pid, signal.SIGSTOP)
        await eventually(lambda: as_it_is(status).state is ProcessState.SUSPENDED)
        os.kill(status.pid, signal.SIGKILL)
        await eventually(lambda: as_it_is(status).state is ProcessState.GONE)
