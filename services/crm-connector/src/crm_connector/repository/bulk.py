"""Updating many rows, each to values of its own, in one statement."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Table, cast, column, update, values
from sqlalchemy.ext.asyncio import AsyncSession

# PostgreSQL takes at most 32,767 parameters in a statement.
_PARAMETERS = 30_000


async def update_each(
    session: AsyncSession,
    table: Table,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    *conditions: ColumnElement[bool],
) -> set[Any]:
    """Set the other columns of each row where `key` equals the row's and the conditions hold; the keys of the rows
    that were changed. All rows have the same columns."""
    changed: set[Any] = set()
    for chunk in _chunks(rows):
        names = list(chunk[0])
        given = values(*(column(name, table.c[name].type) for name in names), name="given").data(
            [tuple(row[name] for name in names) for row in chunk]
        )
        # A column that is null in every row has no type of its own, hence the casts.
        statement = (
            update(table)
            .where(table.c[key] == given.c[key], *conditions)
            .values({name: cast(given.c[name], table.c[name].type) for name in names if name != key})
            .returning(table.c[key])
        )
        changed |= set((await session.execute(statement)).scalars())
    return changed


def _chunks(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    if not rows:
        return
    size = _PARAMETERS // len(rows[0])
    remaining = iter(rows)
    while chunk := list(islice(remaining, size)):
        yield chunk
