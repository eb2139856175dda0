"""Forgets what no longer can come twice."""

import asyncio
import logging
import time

from sqlalchemy import text

from kit.aside.parking import expire
from kit.database.unit_of_work import Database
from kit.delivery.pace import pause

log = logging.getLogger(__name__)

# Longer than any topic keeps events, or an old event replayed from the log would be handled again.
INBOX_DAYS = 30
IDEMPOTENCY_DAYS = 7
_EVERY_SECONDS = 3600.0
# These read much, and hold up no one.
_LONG = text("SET LOCAL statement_timeout = '15min'")

_STATEMENTS = (
    text("DELETE FROM inbox WHERE received_at < now() - make_interval(days => :inbox_days)"),
    text("DELETE FROM idempotency WHERE created_at < now() - make_interval(days => :idempotency_days)"),
)


class Housekeeping:
    """Deletes, once an hour, what is past its time, of all tenants, and sets aside what has waited too long."""

    def __init__(self, database: Database, parked_days: int) -> None:
        self._database = database
        self._parked_days = parked_days
        self._done_at = time.monotonic()

    @property
    def age_seconds(self) -> float:
        """Time since it was last done, or since the start."""
        return time.monotonic() - self._done_at

    async def run(self, stop: asyncio.Event) -> None:
        """Prune until `stop`."""
        while not stop.is_set():
            try:
                expired = await expire(self._database, self._parked_days)
                if expired:
                    log.warning("%d parked events have waited too long and became dead letters", expired)
                async with self._database.as_relay() as connection:
                    await connection.execute(_LONG)
                    await connection.execute(_STATEMENTS[0], {"inbox_days": INBOX_DAYS})
                    await connection.execute(_STATEMENTS[1], {"idempotency_days": IDEMPOTENCY_DAYS})
                self._done_at = time.monotonic()
            except Exception as error:
                log.warning("pruning failed and will be repeated: %s", error)
            await pause(stop, _EVERY_SECONDS)
