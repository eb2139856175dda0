"""One database with its own logins for each service, migrated to the newest schema.

`python -m sandbox.stack.databases` reads owners' URLs by package as JSON and migrates them one after the other: what
migrations import takes longer than they do, so one process does them all.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence

from sandbox.stack.errors import ProcessStartFailed
from sandbox.stack.run_dir import RunDir
from sandbox.stack.services import package_of

LOG_LINES = 25


async def prepare_databases(services: Sequence[str], admin_url: str, run: RunDir) -> dict[str, str]:
    """Create what is missing, migrate as the owner and return the application role's URL of each service.

    Raises ProcessStartFailed with the end of the migration's output.
    """
    from kit.provision import provision_database

    found = await asyncio.gather(
        *(
            asyncio.to_thread(
                provision_database,
                admin_url,
                package_of(service),
                app_password=run.secret(f"{package_of(service)}_app"),
                owner_password=run.secret(f"{package_of(service)}_owner"),
            )
            for service in services
        )
    )
    provisioned = dict(zip(services, found, strict=True))
    await _migrate({package_of(service): each.migration_url for service, each in provisioned.items()})
    return {service: each.database_url for service, each in provisioned.items()}


async def _migrate(owner_urls: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox.stack.databases"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    # Passwords go by standard input: arguments can be seen by everybody on the machine.
    output, _ = await process.communicate(json.dumps(owner_urls).encode())
    if process.returncode != 0:
        lines = [f"  {line}" for line in output.decode(errors="replace").splitlines()[-LOG_LINES:]]
        reason = f"ended with exit code {process.returncode}"
        raise ProcessStartFailed("the migration of the databases", reason, "\n".join(lines))


def main() -> int:
    from kit.migrate import migrate

    for package, owner_url in json.load(sys.stdin).items():
        print(f"migrating {package}", flush=True)
        migrate(package, owner_url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
