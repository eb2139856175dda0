"""Forgets what no longer can come twice."""

import asyncio
import logging

from sqlalchemy import text

from kit.db import Database
from kit.pace import pause

log = logging.getLogger(__name__)

# Longer than any topic keeps events, or an old event replayed from the log would be handled again.
INBOX_DAYS = 30
IDEMPOTENCY_DAYS = 7
_EVERY_SECONDS = 3600.0

_STATEMENTS = (
    text("DELETE FROM inbox WHERE received_at < now() - make_interval(days => :inbox_days)"),
    text("DELETE FROM idempotency WHERE created_at < now() - make_interval(days => :idempotency_days)"),
)


async def prune(database: Database, stop: asyncio.Event) -> None:
    """Once an hour, delete what is past its time, of all tenants."""
    while not stop.is_set():
        try:
            async with database.as_relay() as connection:
                await connection.execute(_STATEMENTS[0], {"inbox_days": INBOX_DAYS})
                await connection.execute(_STATEMENTS[1], {"idempotency_days": IDEMPOTENCY_DAYS})
        except Exception as error:
            log.warning("pruning failed and will be repeated: %s", error)
        await pause(stop, _EVERY_SECONDS)
