"""Updating many rows, each to values of its own, in one statement."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Table, bindparam, cast, func, update
from sqlalchemy.ext.asyncio import AsyncSession


async def update_each(
    session: AsyncSession,
    table: Table,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    *conditions: ColumnElement[bool],
) -> set[Any]:
    """Set the other columns of each row where `key` equals the row's and the conditions hold; the keys of the rows
    that were changed. All rows have the same columns."""
    if not rows:
        return set()
    names = list(rows[0])
    # One array a column: the statement stays the same whatever the number of rows, and is compiled once.
    arrays = [cast(bindparam(f"all_{name}", [row[name] for row in rows]), ARRAY(table.c[name].type)) for name in names]
    given = func.unnest(*arrays).table_valued(*(table.c[name] for name in names), name="given").render_derived()
    statement = (
        update(table)
        .where(table.c[key] == given.c[key], *conditions)
        .values({name: given.c[name] for name in names if name != key})
        .returning(table.c[key])
    )
    return set((await session.execute(statement)).scalars())
