"""Many rows in one statement: an array a column, so the statement is the same whatever the number of rows.

One statement a row costs driver and server many times as much; one with every row's values spelt out is another
statement for every number of rows, compiled and planned anew. The hot paths write through here, past SQLAlchemy, in
the transaction of its session.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, cast

import asyncpg
from pydantic_core import to_json
from sqlalchemy import ARRAY, JSON, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

# Rows of one kind: frozen dataclasses whose fields are columns, or dictionaries by column.
Rows = Sequence[Any]

_DRIVER = "kit.driver"
_DEFERRED = "kit.deferred"
_DIALECT = postgresql.dialect()


async def driver_of(session: AsyncSession) -> asyncpg.Connection:
    """The driver's connection below the session, in the same transaction; it has begun."""
    held = session.info.get(_DRIVER)
    if held is None:
        held = session.info[_DRIVER] = await driver_below(await session.connection())
    return cast(asyncpg.Connection, held)


async def driver_below(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's connection below SQLAlchemy's."""
    return cast(asyncpg.Connection, (await connection.get_raw_connection()).driver_connection)


async def insert(
    session: AsyncSession, table: Table, tenant_id: str, rows: Rows, *, conflict: str = "", returning: str = ""
) -> list[Any]:
    """Insert the tenant's rows, in their order; the values of the `returning` column. All rows have the columns of the
    first. `conflict` is SQL: what follows ON CONFLICT; where it updates, no two rows may have the same key."""
    if not rows:
        return []
    names = _names(rows[0])
    statement = _insert(table, names, conflict, returning)
    found = await (await driver_of(session)).fetch(statement, tenant_id, *_arrays(table, names, rows))
    return [row[0] for row in found]


class _Insert(NamedTuple):
    table: Table
    names: tuple[str, ...]
    conflict: str


def defer(session: AsyncSession, table: Table, rows: Rows, *, conflict: str = "") -> None:
    """Insert the tenant's rows with the transaction's other deferred ones: each message to the server and back costs
    more than what it carries. To read them in the same transaction, call `write_deferred` before."""
    if rows:
        deferred = session.info.setdefault(_DEFERRED, [])
        deferred.append((_Insert(table, _names(rows[0]), conflict), rows))


def deferred_until_now(session: AsyncSession) -> int:
    """How much is deferred so far."""
    return len(session.info.get(_DEFERRED, ()))


def forget_deferred(session: AsyncSession, count: int) -> None:
    """Leave out what was deferred after the first `count`."""
    del session.info.get(_DEFERRED, [])[count:]


async def write_deferred(session: AsyncSession, tenant_id: str) -> None:
    """Write what was deferred, all in one statement, but for a second insert into the same table: a statement must not
    update a row twice."""
    deferred: list[tuple[_Insert, Rows]] = session.info.pop(_DEFERRED, [])
    while deferred:
        tables = [insert.table for insert, _ in deferred]
        count = next((n for n, table in enumerate(tables) if table in tables[:n]), len(tables))
        together, deferred = deferred[:count], deferred[count:]
        arrays = [array for (table, names, _), rows in together for array in _arrays(table, names, rows)]
        statement = _insert_all(tuple(insert for insert, _ in together))
        await (await driver_of(session)).fetch(statement, tenant_id, *arrays)


async def update(
    session: AsyncSession,
    table: Table,
    tenant_id: str,
    key: str,
    rows: Rows,
    *,
    where: str = "true",
    values: Sequence[Any] = (),
) -> set[Any]:
    """Set the other columns of each of the tenant's rows where `key` equals the row's and the condition holds; the keys
    of the rows that were changed. `where` is SQL that may name `values` as $1 and so on."""
    if not rows:
        return set()
    names = _names(rows[0])
    statement = _update(table, key, names, where, len(values))
    found = await (await driver_of(session)).fetch(statement, *values, tenant_id, *_arrays(table, names, rows))
    return {row[0] for row in found}


def replace(table: Table, *names: str, newer: str = "") -> str:
    """What `conflict` says to take over these columns from a row with the same key; only from one that has a greater
    value of `newer`, if that is given. The row's `updated_at`, where it has one and none is given, is then now."""
    keys = ", ".join(column.name for column in table.primary_key)
    if not names:
        return f"({keys}) DO NOTHING"
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in names)
    if "updated_at" in table.c and "updated_at" not in names:
        changes += ", updated_at = now()"
    condition = f' WHERE excluded."{newer}" > "{table.name}"."{newer}"' if newer else ""
    return f"({keys}) DO UPDATE SET {changes}{condition}"


@lru_cache
def _insert(table: Table, names: tuple[str, ...], conflict: str, returning: str, first: int = 2) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    statement = (
        f'INSERT INTO "{table.name}" (tenant_id, {columns})'  # noqa: S608 - names of our own tables
        f" SELECT $1::varchar, {columns} FROM unnest({_unnest(table, names, first)}) AS given ({columns})"
    )
    statement += f" ON CONFLICT {conflict}" if conflict else ""
    return statement + (f' RETURNING "{returning}"' if returning else "")


@lru_cache
def _insert_all(inserts: tuple[_Insert, ...]) -> str:
    """Of several, all but the last are in a WITH, which the server carries out just as completely."""
    statements: list[str] = []
    first = 2
    for table, names, conflict in inserts:
        statements.append(_insert(table, names, conflict, "", first))
        first += len(names)
    *others, last = statements
    before = ", ".join(f"written_{number} AS ({statement})" for number, statement in enumerate(others))
    return f"WITH {before} {last}" if others else last


@lru_cache
def _update(table: Table, key: str, names: tuple[str, ...], where: str, values: int) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    changes = ", ".join(f'"{name}" = given."{name}"' for name in names if name != key)
    tenant, first = f"${values + 1}", values + 2
    # All rows are locked in the order of their keys before the first is changed. So two transactions that change the
    # same rows wait for each other in turn, and never both for the other.
    return f"""
        WITH locked AS (
            SELECT count(*) FROM (
                SELECT FROM "{table.name}"
                WHERE tenant_id = {tenant} AND "{key}" = ANY(${first + names.index(key)})
                ORDER BY "{key}"
                FOR UPDATE
            ) AS one_by_one
        )
        UPDATE "{table.name}" AS kept
        SET {changes}
        FROM locked, unnest({_unnest(table, names, first)}) AS given ({columns})
        WHERE kept.tenant_id = {tenant} AND kept."{key}" = given."{key}" AND ({where})
        RETURNING kept."{key}"
    """  # noqa: S608 - names of our own tables


def _unnest(table: Table, names: tuple[str, ...], first: int) -> str:
    return ", ".join(f"${place}::{_type(table, name)}[]" for place, name in enumerate(names, first))


def _type(table: Table, name: str) -> str:
    kind = table.c[name].type
    assert not isinstance(kind, ARRAY), f"{table.name}.{name}: unnest would flatten an array of arrays"
    return kind.compile(_DIALECT)


def _names(row: Any) -> tuple[str, ...]:
    return tuple(row) if isinstance(row, dict) else column_names(type(row))


@lru_cache
def column_names(kind: type) -> tuple[str, ...]:
    """The columns that a dataclass of rows has: its fields."""
    return tuple(field.name for field in fields(kind))


def _arrays(table: Table, names: tuple[str, ...], rows: Rows) -> list[list[Any]]:
    get = itemgetter if isinstance(rows[0], dict) else attrgetter
    return [_array(table.c[name].type, map(get(name), rows)) for name in names]


def _array(kind: Any, values: Iterable[Any]) -> list[Any]:
    if isinstance(kind, JSON):
        return [None if value is None else to_json(value).decode() for value in values]
    return list(values)
