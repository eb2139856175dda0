"""What every repository does with its tenant's tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kit.db import rows
from sqlalchemy import ColumnElement, String, Table, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

Row = dict[str, Any]


def among(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """One array parameter whatever the number of values, so that the statement stays prepared."""
    return column == any_(literal(sorted(values), ARRAY(String)))


def columns(fact: Any) -> Row:
    """The fields of a dataclass by name, its values as they are: on hot paths `asdict` copies them too deeply."""
    return {name: getattr(fact, name) for name in fact.__dataclass_fields__}


class TenantRepository:
    """Tables of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def _own(self, table: Table) -> ColumnElement[bool]:
        """Rows of the tenant, so that its indexes serve; row-level security would hide the others anyway."""
        return table.c.tenant_id == self._tenant_id

    async def _rows(self, statement: Any) -> list[Row]:
        return await rows(self._session, statement)

    async def _upsert(
        self,
        table: Table,
        values: Sequence[Mapping[str, Any]],
        *,
        newer: str | None = None,
        add: str | None = None,
        update_only: Sequence[str] | None = None,
    ) -> None:
        """Insert these, or replace what has their key: only by greater values of `newer`, adding to `add`."""
        if not values:
            return
        statement = insert(table)
        keys = [column.name for column in table.primary_key]
        given = update_only if update_only is not None else [name for name in values[0] if name not in keys]
        changes: dict[str, Any] = {name: statement.excluded[name] for name in given}
        if add is not None:
            changes = {add: table.c[add] + statement.excluded[add]}
        if changes:
            condition = statement.excluded[newer] > table.c[newer] if newer else None
            statement = statement.on_conflict_do_update(index_elements=keys, set_=changes, where=condition)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        owned = [{"tenant_id": self._tenant_id, **value} for value in values]
        await self._session.execute(statement, owned)
