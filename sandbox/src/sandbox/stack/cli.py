"""`python -m sandbox.stack`: the commands behind `make up`, `down`, `status`, `logs`, `token` and `reset`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from kit.http.auth import SCOPES_OF

from sandbox.stack.control import Stack
from sandbox.stack.errors import StackError
from sandbox.stack.health import Health, health_of
from sandbox.stack.run_dir import Phase
from sandbox.stack.supervisor import ProcessState

DEFAULT_RUN_DIR = Path(".run")
DEFAULT_LINES = 50
# Who sees what belongs to a person of the CRM.
OF_A_PERSON = ("rep", "manager")
FOLLOW_SECONDS = 0.3
EXAMPLES = """examples:
  python -m sandbox.stack up                          start everything, leave it running
  python -m sandbox.stack status                      what runs, since when, how often restarted
  python -m sandbox.stack logs scoring --follow       what a service logs
  python -m sandbox.stack token --role admin          a bearer token for the APIs
  python -m sandbox.stack run -- pytest tests/e2e     a command with the addresses in its environment
  python -m sandbox.stack down                        stop everything, keep the data
  python -m sandbox.stack reset                       stop everything and delete the data
"""


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    stack = Stack(given.run_dir, durable=not getattr(given, "throwaway", False), report=_report)
    try:
        code = int(given.command(stack, given))
        sys.stdout.flush()
        return code
    except StackError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def up(stack: Stack, given: argparse.Namespace) -> int:
    try:
        if given.infrastructure:
            stack.up_infrastructure()
        else:
            stack.up()
    except KeyboardInterrupt:
        print("interrupted; what was started is stopped", file=sys.stderr)
        raise
    _print_addresses(stack)
    if not given.infrastructure:
        print("next: `make seed` gives it a small company and says what to try; `make down` stops it")
    return 0


def down(stack: Stack, _: argparse.Namespace) -> int:
    stack.down()
    print("stopped")
    return 0


def status(stack: Stack, _: argparse.Namespace) -> int:
    """Exit code 0 only when everything is ready, so that scripts can check."""
    shown = stack.status()
    ready = shown.phase is Phase.READY
    health = health_of(stack.urls) if ready and shown.services else Health([], [])
    unwell = [f"{each.name} is {each.state}" for each in shown.processes if each.state is not ProcessState.READY]
    unwell += [f"{service} is not ready" for service in health.unready]
    words = f"up, but {', '.join(unwell)}" if ready and unwell else str(shown.phase)
    print(f"stack is {words}" + (f": {shown.error}" if shown.error else ""))
    for process in shown.processes:
        memory = f"{_memory_mib(process.pid):5.0f} MiB" if process.pid else ""
        crashes = f"restarted {process.restarts}x, last exit {process.last_exit}" if process.restarts else ""
        line = f"{process.name:16} {process.state:11} pid {process.pid or '-':<8} {memory:10} since"
        print(f"  {line} {process.since}  {crashes}".rstrip())
    if ready:
        if health.lines:
            print("\n" + "\n".join(health.lines) + "\n")
        _print_addresses(stack)
    return 0 if ready and not unwell else 1


def logs(stack: Stack, given: argparse.Namespace) -> int:
    """The last lines of one or every log, each line after the name of its process."""
    files = sorted(stack.run.logs.glob(f"{given.name or '*'}.log"))
    if not files:
        there = ", ".join(sorted(file.stem for file in stack.run.logs.glob("*.log"))) or "none"
        print(f"no log of {given.name or 'anything'} in {stack.run.logs}; there are: {there}", file=sys.stderr)
        return 1
    width = max(len(file.stem) for file in files)
    offsets = {file: _print_tail(file, given.lines, width) for file in files}
    while given.follow:
        time.sleep(FOLLOW_SECONDS)
        offsets = {file: _print_since(file, offset, width) for file, offset in offsets.items()}
    return 0


def token(stack: Stack, given: argparse.Namespace) -> int:
    print(stack.token(given.tenant, given.role, given.subject or given.role))
    if given.role in OF_A_PERSON and not given.subject:
        print(f"note: this {given.role} is no person of the CRM, and so sees nothing.", file=sys.stderr)
        print("Give a SUBJECT, the id of a user in Salesforce; `make seed` names some.", file=sys.stderr)
    return 0


def run(stack: Stack, given: argparse.Namespace) -> int:
    """Run a command against the stack; one that was not running before ends with the command."""
    was_running = stack.status().phase is Phase.READY
    environment = stack.up(owner_pid=None if was_running else os.getpid())
    try:
        return subprocess.run(given.arguments, env={**os.environ, **environment}, check=False).returncode
    finally:
        if not was_running:
            stack.down()


def reset(stack: Stack, _: argparse.Namespace) -> int:
    if os.environ.get("YES") != "1":
        answer = input(f"Stop the stack and delete all data in {stack.run.root}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing deleted")
            return 1
    stack.reset()
    print("deleted")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stack",
        description="The whole platform on this machine, on 127.0.0.1 only, without Docker.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run-dir", type=Path, default=DEFAULT_RUN_DIR, help="where the stack keeps its files; default .run"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    start = commands.add_parser("up", help="start everything and return when it is ready")
    start.add_argument("--infrastructure", action="store_true", help="PostgreSQL and Kafka only")
    start.add_argument("--throwaway", action="store_true", help="faster, and no data survive")
    start.set_defaults(command=up)

    commands.add_parser("down", help="stop everything, keep the data").set_defaults(command=down)
    commands.add_parser("status", help="what runs and where").set_defaults(command=status)

    show = commands.add_parser("logs", help="print logs")
    show.add_argument("name", nargs="?", default="", help="one process, such as scoring or kafka")
    show.add_argument("-n", "--lines", type=int, default=DEFAULT_LINES)
    show.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    show.set_defaults(command=logs)

    commands.add_parser("reset", help="delete all data; YES=1 does not ask").set_defaults(command=reset)

    issue = commands.add_parser("token", help="print a bearer token")
    issue.add_argument("--role", default="admin", choices=sorted(SCOPES_OF), help="default: admin")
    issue.add_argument("--tenant", default="acme")
    issue.add_argument(
        "--subject",
        default="",
        help="whom it is for: of a rep or manager the user id in Salesforce; default: the role's name",
    )
    issue.set_defaults(command=token)

    execute = commands.add_parser("run", help="run a command with the addresses in its environment")
    execute.add_argument("arguments", nargs="+", metavar="ARGUMENT")
    execute.set_defaults(command=run)
    return parser


def _report(line: str) -> None:
    print(line, flush=True)


def _print_addresses(stack: Stack) -> None:
    for name, value in stack.environment.items():
        if not name.endswith(("DATABASE_URL", "ADMIN_URL", "PASSWORD")):
            print(f"  {name}={value}")
    print(f"with passwords: {stack.run.root / 'env'}")


def _memory_mib(pid: int) -> float:
    try:
        return psutil.Process(pid).memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def _print_tail(file: Path, count: int, width: int) -> int:
    content = file.read_bytes()
    for line in content.splitlines()[-count:] if count else []:
        _print_line(file, line, width)
    return len(content)


def _print_since(file: Path, offset: int, width: int) -> int:
    """A log shorter than before is a new one, read from its beginning."""
    size = file.stat().st_size if file.exists() else 0
    if size == offset:
        return offset
    with file.open("rb") as log:
        log.seek(offset if size > offset else 0)
        content = log.read()
        for line in content.splitlines():
            _print_line(file, line, width)
        return log.tell()


def _print_line(file: Path, line: bytes, width: int) -> None:
    _report(f"{file.stem:{width}} | {line.decode(errors='replace')}")
