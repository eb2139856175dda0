"""The five databases, read by their superuser without any service."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sandbox.stack.services import SERVICES, package_of

PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 120
# Also while every database is read only for everybody else.
_WRITES = {"default_transaction_read_only": "off"}


class Databases:
    """A question is repeated while PostgreSQL is away, or has no room."""

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
        """Events that wait for the broker, or that it refused, by service, where there are any."""
        waiting = (
            "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM quarantined_event WHERE dismissed_at IS NULL)"
        )
        left = {service: await self.value(service, waiting) for service in SERVICES}
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

    async def hold_locks(self, seconds: float) -> None:
        """Be the session of a host that died without a word: it holds locks that all writers need, and is silent."""
        async with AsyncExitStack() as stack:
            for service in SERVICES:
                try:
                    connection = await asyncpg.connect(self._url(package_of(service)), timeout=10)
                    stack.push_async_callback(connection.close, timeout=5)
                    await connection.execute("BEGIN; LOCK TABLE outbox, inbox IN EXCLUSIVE MODE")
                except (OSError, TimeoutError, asyncpg.PostgresError):
                    continue
            await asyncio.sleep(seconds)

    async def be_read_only(self, seconds: float) -> None:
        """Take no writes for a while, as a primary that was demoted."""
        for state in ("on", "off"):
            await self._ask("postgres", f"ALTER SYSTEM SET default_transaction_read_only = {state}")
            await self._ask("postgres", "SELECT pg_reload_conf()")
            await asyncio.sleep(seconds if state == "on" else 0)

    def _url(self, database: str) -> str:
        return urlsplit(self._admin_url)._replace(path=f"/{database}").geturl()

    async def _ask(self, database: str, query: str, arguments: tuple[Any, ...] = ()) -> list[asyncpg.Record]:
        url = self._url(database)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    connection = await asyncpg.connect(url, timeout=10, server_settings=_WRITES)
                    try:
                        return await connection.fetch(query, *arguments)
                    finally:
                        await connection.close(timeout=5)
                except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
                    await asyncio.sleep(PAUSE_SECONDS)
                except (asyncpg.InterfaceError, asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.DiskFullError):
                    # Its disk is full for a while, too: so it writes down no setting.
                    await asyncio.sleep(PAUSE_SECONDS)
