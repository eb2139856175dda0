"""What every repository does with its tenant's tables."""

from collections.abc import Sequence
from typing import Any, TypeVar

from kit.database import bulk
from kit.database.rows import records
from sqlalchemy import ColumnElement, Executable, Table
from sqlalchemy.ext.asyncio import AsyncSession

K = TypeVar("K")


class TenantRepository:
    """Tables of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def _own(self, table: Table) -> ColumnElement[bool]:
        """Rows of the tenant, so that its indexes serve; row-level security would hide the others anyway."""
        return table.c.tenant_id == self._tenant_id

    async def _records(self, statement: Executable, kind: type[K]) -> list[K]:
        return await records(self._session, statement, kind)

    async def _upsert(
        self,
        table: Table,
        values: bulk.Rows,
        *,
        newer: str | None = None,
        add: str | None = None,
        update_only: Sequence[str] | None = None,
        with_commit: bool = False,
    ) -> None:
        """Insert these, or replace what has their key: only by greater values of `newer`, adding to `add`. What is read
        again only by later transactions can be written `with_commit`, which takes no message of its own."""
        if not values:
            return
        keys = [column.name for column in table.primary_key if column.name != "tenant_id"]
        if add is not None:
            conflict = f"(tenant_id, {', '.join(keys)}) DO UPDATE SET {add} = {table.name}.{add} + excluded.{add}"
        else:
            given = (
                update_only
                if update_only is not None
                else [name for name in bulk.column_names(type(values[0])) if name not in keys]
            )
            conflict = bulk.replace(table, *given, newer=newer or "")
            values = _last_of_each(values, keys, newer)
        if with_commit:
            bulk.defer(self._session, table, values, conflict=conflict)
        else:
            await bulk.insert(self._session, table, self._tenant_id, values, conflict=conflict)


def _last_of_each(values: bulk.Rows, keys: Sequence[str], newer: str | None) -> bulk.Rows:
    """What is left of these: of those with the same key the last, or the first with the greatest `newer`."""
    last: dict[tuple[Any, ...], Any] = {}
    for value in values:
        key = tuple(getattr(value, name) for name in keys)
        held = last.get(key)
        if held is None or newer is None or getattr(value, newer) > getattr(held, newer):
            last[key] = value
    return list(last.values())
