"""Has PostgreSQL itself tell the plan of every statement, whichever way it was sent: its module auto_explain reports
each to the connection that asked."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import sql

from tests.plans.judging import Statement

_SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_parameter_max_length": "0",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}


def tell_plans(admin_url: str, database: str) -> None:
    """From here on every new session of the database tells the plans of its statements."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("LOAD 'auto_explain'")
        for name, value in _SETTINGS.items():
            parts = sql.SQL(".").join(map(sql.Identifier, name.split(".")))
            change = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(change.format(sql.Identifier(database), parts, sql.Literal(value)))


class Recorder:
    """Collects the statements of this process's connections."""

    def __init__(self, services: Mapping[str, str]) -> None:
        self._services = services
        self._statements: list[Statement] = []

    def take(self) -> list[Statement]:
        """The statements since the last call."""
        taken, self._statements = self._statements, []
        return taken

    def listen(self, connection: Any, database: str) -> None:
        """Hear the connection, if its database is one of the services'."""
        if database in self._services:
            connection.add_log_listener(partial(self._hear, self._services[database]))

    def _hear(self, service: str, connection: Any, message: Any) -> None:
        head, separator, document = message.message.partition("plan:\n")
        if separator and head.startswith("duration:"):
            told = json.loads(document)
            self._statements.append(Statement(service, told["Query Text"], told["Plan"]))


@contextmanager
def recording(services: Mapping[str, str]) -> Iterator[Recorder]:
    """Hear all connections that are opened inside; `services` by the names of their databases."""
    recorder = Recorder(services)
    original = asyncpg.connection.connect

    async def connect(*arguments: Any, **options: Any) -> Any:
        connection = await original(*arguments, **options)
        recorder.listen(connection, await connection.fetchval("SELECT current_database()"))
        return connection

    with pytest.MonkeyPatch.context() as patch:
        # The one function behind single connections and behind pools, under both its names.
        patch.setattr(asyncpg, "connect", connect)
        patch.setattr(asyncpg.connection, "connect", connect)
        yield recorder
