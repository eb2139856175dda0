"""One database with its own logins for each service, migrated to the newest schema."""

from __future__ import annotations

import asyncio
import os
import sys
from urllib.parse import urlsplit, urlunsplit

from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.run_dir import RunDir
from sandbox.stack.services import package_of

LOG_LINES = 25


async def prepare_database(service: str, admin_url: str, run: RunDir) -> str:
    """Create what is missing, migrate as the owner and return the application role's URL.

    Raises ProcessStartFailed with the end of the migration's output.
    """
    from kit.provision import provision_database

    name = package_of(service)
    passwords = {role: run.secret(role) for role in (f"{name}_owner", f"{name}_app")}
    await provision_database(admin_url, service, passwords)
    await _migrate(service, login_url(admin_url, f"{name}_owner", passwords[f"{name}_owner"], name))
    return login_url(admin_url, f"{name}_app", passwords[f"{name}_app"], name)


def login_url(admin_url: str, user: str, password: str, database: str) -> str:
    """The same server as SQLAlchemy's asyncpg dialect reaches it with another login."""
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(("postgresql+asyncpg", f"{user}:{password}@{address}", f"/{database}", parts.query, ""))


async def _migrate(service: str, owner_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kit.migrate", package_of(service)),
        env={**os.environ, "MIGRATION_DATABASE_URL": owner_url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        lines = [f"  {line}" for line in output.decode(errors="replace").splitlines()[-LOG_LINES:]]
        reason = f"ended with exit code {process.returncode}"
        raise ProcessStartFailed(f"the migration of {service}", reason, "\n".join(lines))
