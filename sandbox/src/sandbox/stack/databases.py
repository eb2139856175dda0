"""One database with its own logins for each service, migrated to the newest schema."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.run_dir import RunDir
from sandbox.stack.services import package_of

LOG_LINES = 25


async def prepare_databases(services: Sequence[str], admin_url: str, run: RunDir) -> dict[str, str]:
    """Create what is missing, migrate as the owners and return the application role's URL of each service.

    Raises ProcessStartFailed with the end of the migrations' output.
    """
    from sandbox.provision import provision_database

    urls: dict[str, str] = {}
    owners: dict[str, str] = {}
    for service in services:
        package = package_of(service)
        provisioned = await asyncio.to_thread(
            provision_database,
            admin_url,
            package,
            app_password=run.secret(f"{package}_app"),
            owner_password=run.secret(f"{package}_owner"),
        )
        urls[service], owners[package] = provisioned.database_url, provisioned.migration_url
    await _migrate(owners)
    return urls


async def _migrate(owners: Mapping[str, str]) -> None:
    # One process for all: most of a migration's time is the start of Python.
    logins = {f"{package.upper()}_MIGRATION_DATABASE_URL": url for package, url in owners.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kit", "migrate", *owners),
        env={**os.environ, **logins},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        lines = [f"  {line}" for line in output.decode(errors="replace").splitlines()[-LOG_LINES:]]
        reason = f"ended with exit code {process.returncode}"
        raise ProcessStartFailed(f"the migration of {', '.join(owners)}", reason, "\n".join(lines))
