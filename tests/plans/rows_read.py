"""How many rows of each table the services read, as PostgreSQL counts them."""

import asyncio

import uvloop
from sandbox.stack.services import SERVICES

from tools.bench.system import System

# An idle connection reports what it has read after ten seconds.
REPORT_SECONDS = 12
_READ = "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_user_tables"
# The connector's queue is empty at rest: how it is read is not a question of size.
_QUEUE = {("crm-connector", "write_intent"), ("crm-connector", "write_attempt")}
# Their BRIN indexes are summed up in the background, which reads whole page ranges.
_SUMMED_UP = {"inbox", "idempotency"}


class RowsRead:
    """Counts from one look to the next."""

    def __init__(self, running: System) -> None:
        self._databases = running.databases
        self._before = uvloop.run(self._now())

    def since(self, times: int = 1) -> dict[tuple[str, str], float]:
        """Rows read of each table since the look before, divided by how often something was done."""
        before, self._before = self._before, uvloop.run(self._now())
        return {place: (rows - before.get(place, 0)) / times for place, rows in self._before.items()}

    async def _now(self) -> dict[tuple[str, str], int]:
        await asyncio.sleep(REPORT_SECONDS)
        return {
            (service, row["relname"]): row["rows"]
            for service in SERVICES
            for row in await self._databases.rows(service, _READ)
            if (service, row["relname"]) not in _QUEUE and row["relname"] not in _SUMMED_UP
        }
