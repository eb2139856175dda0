"""Connections to the database: every one of them has deadlines, at both ends, and is replaced before it grows old."""

import socket
import ssl
import time
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kit.database.faults import DatabaseUnreachable
from kit.observability.health import in_words
from kit.settings import ServiceSettings

# What the driver sends to commit.
_COMMIT = "COMMIT;"
_CONNECT_SECONDS = 10
# A peer that is gone without a word is noticed after idle + count times interval.
_IDLE_SECONDS, _INTERVAL_SECONDS, _PROBES, _UNACKNOWLEDGED_SECONDS = 10, 5, 3, 25


def new_engine(settings: ServiceSettings, connections: int) -> AsyncEngine:
    """A pool of at most so many connections of the application's role."""
    # Left to itself the driver would encrypt where the server offers it, and not check which server it is.
    tls = {"ssl": ssl.create_default_context(cafile=settings.database_tls_ca_file)} if settings.database_tls else {}
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        pool_size=connections,
        # Without a free one a caller waits: a connection beyond the pool would be opened and closed for each use.
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=settings.database_age_seconds,
        connect_args={
            "async_creator_fn": _connect,
            "connection_class": _Connection,
            "server_settings": _session(settings),
            "timeout": _CONNECT_SECONDS,
            # A primary that was demoted is no use; with several hosts in the URL, the next one may be.
            "target_session_attrs": "read-write",
            **tls,
        },
        # Errors go to logs, to /statusz and into dead letters; parameters are payloads.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _renew_if_closed)
    event.listen(engine.sync_engine, "checkin", _close_if_unfinished)
    return engine


def renew(engine: AsyncEngine) -> None:
    """Replace every connection of the pool by a new one before its next use."""
    # SQLAlchemy recycles a connection that is older than this moment; it has no public name for it.
    engine.sync_engine.pool._invalidate_time = time.time()


def _session(settings: ServiceSettings) -> dict[str, str]:
    return {
        "application_name": settings.service,
        # Each execution is planned for its parameters and for the size that tables have by then. A plan kept from when
        # a table was small would read all of it when it is large.
        "plan_cache_mode": "force_custom_plan",
        "statement_timeout": f"{settings.database_statement_seconds}s",
        "lock_timeout": f"{settings.database_lock_seconds}s",
        "idle_in_transaction_session_timeout": f"{settings.database_idle_seconds}s",
        "client_connection_check_interval": f"{_INTERVAL_SECONDS}s",
        "tcp_keepalives_idle": str(_IDLE_SECONDS),
        "tcp_keepalives_interval": str(_INTERVAL_SECONDS),
        "tcp_keepalives_count": str(_PROBES),
        "tcp_user_timeout": f"{_UNACKNOWLEDGED_SECONDS}s",
    }


async def _connect(**given: Any) -> asyncpg.Connection:
    try:
        connection = await asyncpg.connect(**given)
    except Exception as error:
        raise DatabaseUnreachable(in_words(error)) from error
    _keep_alive(connection)
    return connection


def _keep_alive(connection: asyncpg.Connection) -> None:
    """Notice from this end, too, that the other is gone."""
    held: socket.socket = connection._transport.get_extra_info("socket")
    if held.family not in (socket.AF_INET, socket.AF_INET6):
        return
    held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": _IDLE_SECONDS,
        "TCP_KEEPINTVL": _INTERVAL_SECONDS,
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": _UNACKNOWLEDGED_SECONDS * 1000,
    }
    for name, value in options.items():
        # macOS lacks some.
        if hasattr(socket, name):
            held.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class _Connection(asyncpg.Connection):
    """A connection whose commit fails when the transaction cannot be committed."""

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """The server's reply. After a failed statement PostgreSQL answers COMMIT with ROLLBACK, and no error: a
        handler that swallowed the failure would pass for one that succeeded."""
        reply = await super().execute(query, *args, **options)
        if query == _COMMIT and reply != "COMMIT":
            raise asyncpg.InFailedSQLTransactionError("The transaction was rolled back: a statement in it had failed.")
        return reply


def _renew_if_closed(connection: Any, *_: Any) -> None:
    """Lend no connection that the server has closed; the others of its age are most likely closed as well."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


def _close_if_unfinished(connection: Any, record: Any) -> None:
    """Keep no connection whose transaction was not ended, as when a rollback was interrupted."""
    if connection is not None and connection.driver_connection.is_in_transaction():
        record.invalidate()
