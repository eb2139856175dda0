"""What became of writes: the ledger of attempts, echoes, conflicts, and why opportunities were moved."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from kit.database.rows import columns, records
from kit.database.sets import among
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from crm_connector.domain.intents import IntentState, Move
from crm_connector.models import write_attempt, write_intent
from crm_connector.records import Attempt, Conflict

_i = write_intent.c


class SettledRepository:
    """What one tenant's writes led to."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def ledger(self, write_ids: Iterable[str]) -> dict[str, Attempt]:
        """What we sent under these ids, as far as they are ours."""
        a = write_attempt.c
        statement = select(*columns(write_attempt, Attempt)).where(
            a.tenant_id == self._tenant_id, among(a.write_id, write_ids)
        )
        return {attempt.write_id: attempt for attempt in await records(self._session, statement, Attempt)}

    async def echo(self, intent_ids: Iterable[UUID], now: datetime) -> None:
        """Note that confirmed writes came back."""
        statement = update(write_intent).where(
            _i.tenant_id == self._tenant_id, among(_i.intent_id, intent_ids), among(_i.outcome, Move.ECHO.sources)
        )
        await self._session.execute(statement.values(outcome=Move.ECHO.target, echoed_at=now))

    async def unechoed(self, since: datetime, until: datetime, limit: int) -> list[str]:
        """Opportunities with a write confirmed in that time whose echo has not come; of the first so many writes."""
        first = (
            select(_i.opportunity_id)
            .where(
                _i.tenant_id == self._tenant_id,
                _i.outcome == IntentState.CONFIRMED,
                _i.settled_at >= since,
                _i.settled_at < until,
            )
            .order_by(_i.settled_at)
            .limit(limit)
            .subquery()
        )
        return list((await self._session.execute(select(first.c.opportunity_id).distinct())).scalars())

    async def conflicts(self, limit: int) -> list[Conflict]:
        """Conflicts for which it was not published yet what the CRM holds instead."""
        statement = (
            select(*columns(write_intent, Conflict))
            .where(
                _i.tenant_id == self._tenant_id,
                _i.outcome == IntentState.CONFLICT,
                _i.conflict_observed_at.is_(None),
            )
            .order_by(_i.position)
            .limit(limit)
        )
        return await records(self._session, statement, Conflict)

    async def conflicts_observed(self, intent_ids: Iterable[UUID], now: datetime) -> None:
        """Note that this was published."""
        statement = update(write_intent).where(_i.tenant_id == self._tenant_id, among(_i.intent_id, intent_ids))
        await self._session.execute(statement.values(conflict_observed_at=now))

    async def attempts_of(self, intent_ids: Iterable[UUID]) -> dict[UUID, dict[str, Attempt]]:
        """All attempts of each write, by write id."""
        a = write_attempt.c
        wanted = list(intent_ids)
        statement = select(*columns(write_attempt, Attempt)).where(
            a.tenant_id == self._tenant_id, among(a.intent_id, wanted)
        )
        found: dict[UUID, dict[str, Attempt]] = {intent_id: {} for intent_id in wanted}
        for attempt in await records(self._session, statement, Attempt):
            found[attempt.intent_id][attempt.write_id] = attempt
        return found

    async def last_reasons(self, opportunity_ids: Collection[str]) -> dict[tuple[str, str], str]:
        """Why each of these opportunities was last moved for a reason, by opportunity and target stage."""
        statement = (
            select(_i.opportunity_id, _i.target_stage, _i.reason_code)
            .ext(distinct_on(_i.opportunity_id))
            .where(_i.tenant_id == self._tenant_id, among(_i.opportunity_id, opportunity_ids), _i.reason_code != "")
            .order_by(_i.opportunity_id, _i.position.desc())
        )
        return {(each, target): reason for each, target, reason in await self._session.execute(statement)}
