"""What is known of each opportunity."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from kit.database import bulk
from kit.database.bulk import driver_of
from kit.database.rows import columns, record, records
from sqlalchemy import ARRAY, ColumnElement, Select, String, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.models import opportunity
from crm_connector.records import OpportunityRecord

_CREATE = """
    INSERT INTO opportunity (tenant_id, opportunity_id, known, pipeline_key, stage_key, stage_is_ours, sequence)
    SELECT $1::varchar, wanted, '{}', '', '', false, 0
    FROM unnest($2::varchar[]) AS wanted
    ON CONFLICT DO NOTHING
"""


class OpportunityRepository:
    """The opportunities of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def lock(self, ids: Iterable[str]) -> dict[str, OpportunityRecord]:
        """These opportunities, created where missing, for the rest of the transaction. Always taken before anything of
        write_intent and in one order, so that transactions do not block each other."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        rows = self._select(self._among(wanted)).order_by(opportunity.c.opportunity_id).with_for_update()
        found = await self._records(rows)
        missing = [key for key in wanted if key not in found]
        if missing:
            await (await driver_of(self._session)).execute(_CREATE, self._tenant_id, missing)
            found = await self._records(rows)
        return found

    async def save(self, rows: Sequence[OpportunityRecord], now: datetime) -> None:
        """Write the rows back."""
        written = [replace(row, updated_at=now) for row in rows]
        await bulk.update(self._session, opportunity, self._tenant_id, "opportunity_id", written)

    async def get(self, opportunity_id: str) -> OpportunityRecord | None:
        """One opportunity."""
        statement = self._select(opportunity.c.opportunity_id == opportunity_id)
        return await record(self._session, statement, OpportunityRecord)

    async def read(self, ids: Iterable[str]) -> dict[str, OpportunityRecord]:
        """These opportunities, as far as there are any."""
        return await self._records(self._select(self._among(set(ids))))

    async def in_pipeline(self, pipeline_key: str) -> dict[str, OpportunityRecord]:
        """The opportunities of a pipeline."""
        return await self._records(self._select(opportunity.c.pipeline_key == pipeline_key))

    async def pipeline_keys(self, ids: Iterable[str]) -> dict[str, str]:
        """The pipelines that these opportunities are assigned to, as far as they are known."""
        o = opportunity.c
        statement = select(o.opportunity_id, o.pipeline_key).where(
            o.tenant_id == self._tenant_id, self._among(set(ids))
        )
        return {opportunity_id: key for opportunity_id, key in await self._session.execute(statement)}

    def _select(self, condition: ColumnElement[bool]) -> Select[tuple[object, ...]]:
        chosen = columns(opportunity, OpportunityRecord)
        return select(*chosen).where(opportunity.c.tenant_id == self._tenant_id, condition)

    def _among(self, ids: Collection[str]) -> ColumnElement[bool]:
        # One array parameter whatever the number of ids, so that the statement stays prepared.
        return opportunity.c.opportunity_id == any_(literal(sorted(ids), ARRAY(String)))

    async def _records(self, statement: Select[tuple[object, ...]]) -> dict[str, OpportunityRecord]:
        found = await records(self._session, statement, OpportunityRecord)
        return {row.opportunity_id: row for row in found}
