"""The five databases, read by their superuser without any service."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sandbox.stack.services import SERVICES, package_of

PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 120


class Databases:
    """A question is repeated while PostgreSQL is away."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url

    async def rows(self, service: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._ask(package_of(service), query, arguments)

    async def value(self, service: str, query: str, *arguments: Any) -> Any:
        return (await self.rows(service, query, *arguments))[0][0]

    async def counts(self, service: str, query: str) -> dict[str, int]:
        """A query of keys and numbers."""
        return {str(row[0]): row[1] for row in await self.rows(service, query)}

    async def outbox_left(self) -> dict[str, int]:
        """Events that wait for the broker, by service, where there are any."""
        left = {service: await self.value(service, "SELECT count(*) FROM outbox") for service in SERVICES}
        return {service: count for service, count in left.items() if count}

    async def refuse_connections(self, seconds: float) -> None:
        """End every connection to the five databases and refuse new ones for a while."""
        names = [package_of(service) for service in SERVICES]
        for name in names:
            await self._ask("postgres", f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY($1)"
        await self._ask("postgres", ended, (names,))
        await asyncio.sleep(seconds)
        for name in names:
            await self._ask("postgres", f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    async def _ask(self, database: str, query: str, arguments: tuple[Any, ...] = ()) -> list[asyncpg.Record]:
        url = urlsplit(self._admin_url)._replace(path=f"/{database}").geturl()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    connection = await asyncpg.connect(url, timeout=10)
                    try:
                        return await connection.fetch(query, *arguments)
                    finally:
                        await connection.close(timeout=5)
                except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
                    await asyncio.sleep(PAUSE_SECONDS)
                except (asyncpg.InterfaceError, asyncpg.ObjectNotInPrerequisiteStateError):
                    await asyncio.sleep(PAUSE_SECONDS)
