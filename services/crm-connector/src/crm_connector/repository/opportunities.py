"""What is known of each opportunity."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from kit.database import bulk
from kit.database.bulk import driver_of
from kit.database.rows import columns, record, records
from kit.database.sets import among
from sqlalchemy import ColumnElement, Select, case, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.models import opportunity
from crm_connector.records import OpportunityRecord, Reading

_CREATE = """
    INSERT INTO opportunity (
        tenant_id, opportunity_id, object_type, known, pipeline_key, pipeline_version, stage_key, mapped_stages,
        stage_is_ours, sequence
    )
    SELECT $1::varchar, wanted, 'opportunity', '{}', '', 0, '', '[]', false, 0
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

    async def not_seen_since(self, moment: datetime, object_types: Sequence[str], after: str, limit: int) -> list[str]:
        """Records of these types that are there as far as is known and were not written since then, by id."""
        o = opportunity.c
        statement = (
            select(o.opportunity_id)
            .where(
                o.tenant_id == self._tenant_id,
                among(o.object_type, object_types),
                o.opportunity_id > after,
                o.updated_at < moment,
                ~o.known.contains({"deleted": True}),
                o.known["facts"].astext.is_not(None),
            )
            .order_by(o.opportunity_id)
            .limit(limit)
        )
        return list((await self._session.execute(statement)).scalars())

    async def readings(self, behind: str, limit: int) -> list[Reading]:
        """How the stages of the next opportunities were read, by id."""
        o = opportunity.c
        stage = case((o.known["deleted"].as_boolean(), None), else_=o.known["facts"]["stage"].as_string())
        of_it = o.opportunity_id, o.object_type, o.pipeline_key, o.pipeline_version, o.stage_key, o.mapped_stages
        statement = select(*of_it, stage.label("crm_stage")).where(
            o.tenant_id == self._tenant_id, o.opportunity_id > behind
        )
        return await records(self._session, statement.order_by(o.opportunity_id).limit(limit), Reading)

    async def pipelines(self, ids: Iterable[str]) -> dict[str, tuple[str, int]]:
        """The pipeline versions that these opportunities are assigned to, as far as they are known."""
        o = opportunity.c
        statement = select(o.opportunity_id, o.pipeline_key, o.pipeline_version).where(
            o.tenant_id == self._tenant_id, self._among(set(ids))
        )
        return {
            opportunity_id: (key, version) for opportunity_id, key, version in await self._session.execute(statement)
        }

    def _select(self, condition: ColumnElement[bool]) -> Select[tuple[object, ...]]:
        chosen = columns(opportunity, OpportunityRecord)
        return select(*chosen).where(opportunity.c.tenant_id == self._tenant_id, condition)

    def _among(self, ids: Collection[str]) -> ColumnElement[bool]:
        return among(opportunity.c.opportunity_id, ids)

    async def _records(self, statement: Select[tuple[object, ...]]) -> dict[str, OpportunityRecord]:
        found = await records(self._session, statement, OpportunityRecord)
        return {row.opportunity_id: row for row in found}
