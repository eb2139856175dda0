"""Rows as typed values: what a select returns becomes frozen dataclasses."""

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Executable, Table
from sqlalchemy.ext.asyncio import AsyncSession

from kit.database import bulk

K = TypeVar("K")


@lru_cache
def _reader(kind: type[K]) -> TypeAdapter[K]:
    return TypeAdapter(kind)


def columns(table: Table, kind: type) -> list[ColumnElement[Any]]:
    """The columns of a table that a dataclass of rows has as fields, for a select."""
    return [table.c[name] for name in bulk.column_names(kind)]


async def records(session: AsyncSession, statement: Executable, kind: type[K]) -> list[K]:
    """The result as values of a dataclass whose fields are the selected columns; JSON columns become the types of
    their fields."""
    read = _reader(kind).validate_python
    return [read(dict(row)) for row in (await session.execute(statement)).mappings()]


async def record(session: AsyncSession, statement: Executable, kind: type[K]) -> K | None:
    """The first row of the result as a value; None when there is none."""
    found = await records(session, statement, kind)
    return found[0] if found else None


async def rows(session: AsyncSession, statement: Executable) -> list[dict[str, Any]]:
    """The result as plain dictionaries, for column selects on hot paths."""
    return [dict(row) for row in (await session.execute(statement)).mappings()]
