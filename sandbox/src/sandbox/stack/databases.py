"""One database with its own logins for each service, migrated to the newest schema."""

from __future__ import annotations

import asyncio
import os
import sys

from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.run_dir import RunDir
from sandbox.stack.services import package_of

LOG_LINES = 25


async def prepare_database(service: str, admin_url: str, run: RunDir) -> str:
    """Create what is missing, migrate as the owner and return the application role's URL.

    Raises ProcessStartFailed with the end of the migration's output.
    """
    from kit.provision import provision_database

    package = package_of(service)
    provisioned = await asyncio.to_thread(
        provision_database,
        admin_url,
        package,
        app_password=run.secret(f"{package}_app"),
        owner_password=run.secret(f"{package}_owner"),
    )
    await _migrate(package, provisioned.migration_url)
    return provisioned.database_url


async def _migrate(package: str, owner_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kit.migrate", package),
        env={**os.environ, "MIGRATION_DATABASE_URL": owner_url},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        lines = [f"  {line}" for line in output.decode(errors="replace").splitlines()[-LOG_LINES:]]
        reason = f"ended with exit code {process.returncode}"
        raise ProcessStartFailed(f"the migration of {package}", reason, "\n".join(lines))
