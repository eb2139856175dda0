"""What we last knew of each opportunity."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kit.database import bulk
from kit.database.bulk import driver_of
from sqlalchemy import ARRAY, String, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.observation import Facts, Known
from crm_connector.models import opportunity

_CREATE = """
    INSERT INTO opportunity (tenant_id, opportunity_id, pipeline_key, stage_key, stage_is_ours, owner_id, deleted,
                             awaited, sequence)
    SELECT $1::varchar, i, '', '', false, '', false, '', 0 FROM unnest($2::varchar[]) AS i
    WHERE NOT EXISTS (SELECT FROM opportunity WHERE tenant_id = $1 AND opportunity_id = i)
    ON CONFLICT DO NOTHING
"""
_LOCK = """
    SELECT opportunity_id, pipeline_key, stage_key, stage_is_ours, crm_stage, amount, close_date, owner_id, deleted,
           state_at, awaited, awaited_since, sequence, updated_at
    FROM opportunity WHERE tenant_id = $1 AND opportunity_id = any($2) ORDER BY opportunity_id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class OpportunityRow:
    """An opportunity's row. `stage_key` is ours for the facts' stage as it was last published; `stage_is_ours` tells
    that our own write put the stage there."""

    opportunity_id: str
    known: Known
    pipeline_key: str
    stage_key: str
    stage_is_ours: bool
    sequence: int
    updated_at: datetime | None = None

    def next(self, **changes: Any) -> "OpportunityRow":
        """The row after one more publication about it."""
        return replace(self, sequence=self.sequence + 1, **changes)


class OpportunityRepository:
    """The opportunities of one tenant."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def lock(self, ids: Iterable[str]) -> dict[str, OpportunityRow]:
        """The rows of these opportunities, created where missing, for the rest of the transaction. Always taken
        before anything of write_intent and in one order, so that transactions do not block each other."""
        wanted = sorted(set(ids))
        if not wanted:
            return {}
        driver = await driver_of(self._session)
        rows = await driver.fetch(_LOCK, self._tenant_id, wanted)
        if len(rows) < len(wanted):
            await driver.execute(_CREATE, self._tenant_id, wanted)
            rows = await driver.fetch(_LOCK, self._tenant_id, wanted)
        return {row["opportunity_id"]: _row(row) for row in rows}

    async def save(self, rows: Sequence[OpportunityRow], now: datetime) -> None:
        """Write the rows back."""
        await bulk.update(
            self._session, opportunity, self._tenant_id, "opportunity_id", [_columns(row, now) for row in rows]
        )

    async def get(self, opportunity_id: str) -> OpportunityRow | None:
        """One opportunity."""
        o = opportunity.c
        statement = select(opportunity).where(o.tenant_id == self._tenant_id, o.opportunity_id == opportunity_id)
        row = (await self._session.execute(statement)).mappings().one_or_none()
        return _row(row) if row else None

    async def read(self, ids: Iterable[str]) -> dict[str, OpportunityRow]:
        """The rows of these opportunities, as far as there are any."""
        o = opportunity.c
        statement = select(opportunity).where(o.tenant_id == self._tenant_id, o.opportunity_id.in_(sorted(set(ids))))
        rows = (await self._session.execute(statement)).mappings()
        return {row["opportunity_id"]: _row(row) for row in rows}

    async def pipeline_keys(self, ids: Iterable[str]) -> dict[str, str]:
        """The pipelines these opportunities are assigned to, as far as they are known."""
        o = opportunity.c
        statement = select(o.opportunity_id, o.pipeline_key).where(
            o.tenant_id == self._tenant_id, o.opportunity_id == any_(literal(sorted(set(ids)), ARRAY(String)))
        )
        return {row[0]: row[1] for row in await self._session.execute(statement)}

    async def seen_in(self, pipeline_key: str) -> list[str]:
        """Ids of the opportunities of a pipeline that the CRM has shown and not deleted."""
        o = opportunity.c
        statement = select(o.opportunity_id).where(
            o.tenant_id == self._tenant_id,
            o.pipeline_key == pipeline_key,
            o.crm_stage.is_not(None),
            o.deleted.is_(False),
        )
        return list((await self._session.execute(statement)).scalars())


def _row(row: Any) -> OpportunityRow:
    facts = (
        Facts(row["crm_stage"], row["amount"], row["close_date"], row["owner_id"])
        if row["crm_stage"] is not None
        else None
    )
    known = Known(facts, row["deleted"], row["state_at"], row["awaited"], row["awaited_since"])
    return OpportunityRow(
        row["opportunity_id"],
        known,
        row["pipeline_key"],
        row["stage_key"],
        row["stage_is_ours"],
        row["sequence"],
        row["updated_at"],
    )


def _columns(row: OpportunityRow, now: datetime) -> dict[str, Any]:
    facts = row.known.facts
    return {
        "opportunity_id": row.opportunity_id,
        "pipeline_key": row.pipeline_key,
        "stage_key": row.stage_key,
        "stage_is_ours": row.stage_is_ours,
        "crm_stage": facts.stage if facts else None,
        "amount": facts.amount if facts else None,
        "close_date": facts.close_date if facts else None,
        "owner_id": facts.owner_id if facts else "",
        "deleted": row.known.deleted,
        "state_at": row.known.state_at,
        "awaited": row.known.awaited,
        "awaited_since": row.known.awaited_since,
        "sequence": row.sequence,
        "updated_at": now,
    }
