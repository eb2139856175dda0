"""What one transaction hands to the database: how many parameters a statement has, and how many values an array."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from kit.database.unit_of_work import Database
from sqlalchemy import event

_watcher: ContextVar[Any] = ContextVar("watcher", default=None)


@dataclass
class Largest:
    """The largest of all statements so far; and how many there were without those of tasks in the background, which
    come as time passes."""

    parameters: int = 0
    values: int = 0
    statements: int = 0

    def saw(self, parameters: Any) -> None:
        given = list(parameters.values() if isinstance(parameters, dict) else parameters or ())
        self.statements += _watcher.get() is self
        self.parameters = max(self.parameters, len(given))
        self.values = max([self.values, *(len(each) for each in given if isinstance(each, list | tuple))])


@contextmanager
def largest_statement(database: Database) -> Iterator[Largest]:
    """Watches every statement of a database until the end of the block, past SQLAlchemy too."""
    largest = Largest()

    def before(_: Any, __: Any, ___: Any, parameters: Any, ____: Any, many: bool) -> None:
        for each in parameters if many else [parameters]:
            largest.saw(each)

    fetch = asyncpg.Connection.fetch

    async def watched(self: Any, query: str, *args: Any, **options: Any) -> Any:
        largest.saw(args)
        return await fetch(self, query, *args, **options)

    event.listen(database.engine.sync_engine, "before_cursor_execute", before)
    watching = _watcher.set(largest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncpg.Connection, "fetch", watched)
        yield largest
    _watcher.reset(watching)
    event.remove(database.engine.sync_engine, "before_cursor_execute", before)
