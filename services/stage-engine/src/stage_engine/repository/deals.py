"""Deals, their decisions and what waits for them: set-based, for whole batches."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from kit.database import bulk
from kit.database.rows import rows
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models import decision, opportunity, parked_event, partner_feed, transition

Row = dict[str, Any]

_LOCK = text("SELECT pg_advisory_xact_lock(k) FROM unnest(CAST(:keys AS bigint[])) AS k")
_STATES = """
    SELECT opportunity_id, state FROM opportunity
    WHERE tenant_id = $1 AND opportunity_id = any($2) ORDER BY opportunity_id FOR UPDATE
"""
# Looked up one by one, in an order that just one index has: of rows since the last ANALYZE the planner knows nothing,
# and takes whatever index lets it read all of a deal.
_DECIDED = """
    SELECT given.identity FROM unnest($2::varchar[], $3::varchar[]) AS given (opportunity_id, identity)
    CROSS JOIN LATERAL (
        SELECT d.identity, d.opportunity_id FROM decision d
        WHERE d.tenant_id = $1 AND (d.identity, d.opportunity_id) >= (given.identity, given.opportunity_id)
        ORDER BY d.identity, d.opportunity_id LIMIT 1
    ) AS found
    WHERE (found.identity, found.opportunity_id) = (given.identity, given.opportunity_id)
"""
_AS_IT_STANDS = bulk.replace(
    opportunity, *(name for name in opportunity.c.keys() if name not in ("tenant_id", "opportunity_id", "created_at"))
)


class DealRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def states(self, opportunity_ids: Collection[str]) -> dict[str, str]:
        """The deals' states by id, locked until the transaction ends.

        Locks are taken in the order of ids, by everybody, so that batches and commands never deadlock. A deal that does
        not exist is locked by its name: of two transactions that bring the deal and its first score at the same time,
        the second sees what the first did.
        """
        found = await self._locked_states(opportunity_ids)
        missing = sorted(set(opportunity_ids) - found.keys())
        if missing:
            await self._session.execute(_LOCK, {"keys": sorted(self._lock_key(f"deal:{each}") for each in missing)})
            found |= await self._locked_states(missing)
        return found

    async def _locked_states(self, opportunity_ids: Collection[str]) -> dict[str, str]:
        driver = await bulk.driver_of(self._session)
        return dict(await driver.fetch(_STATES, self._tenant_id, sorted(opportunity_ids)))

    def _lock_key(self, name: str) -> int:
        digest = hashlib.blake2b(f"{self._tenant_id}:{name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, signed=True)

    async def lock_pipelines(self, *, exclusively: bool) -> None:
        """Nobody publishes a pipeline while somebody decides that there is none to park for, and the other way."""
        call = "pg_advisory_xact_lock" if exclusively else "pg_advisory_xact_lock_shared"
        await self._session.execute(select(getattr(func, call)(self._lock_key("pipelines"))))

    async def decided(self, inputs: Collection[tuple[str, str]]) -> set[str]:
        """Which of these inputs, each an opportunity's id and an identity, had their decision before."""
        driver = await bulk.driver_of(self._session)
        ids, identities = zip(*inputs, strict=True) if inputs else ((), ())
        return {row[0] for row in await driver.fetch(_DECIDED, self._tenant_id, ids, identities)}

    def save(self, deals: Sequence[Row]) -> None:
        """Write deals as they stand now, with the commit."""
        bulk.defer(self._session, opportunity, deals, conflict=_AS_IT_STANDS)

    def add_decisions(self, decisions: Sequence[Row], transitions: Sequence[Row]) -> None:
        """Append to the log, with the commit."""
        bulk.defer(self._session, decision, decisions)
        bulk.defer(self._session, transition, transitions)

    async def partner_topics(self) -> list[str]:
        """Topics that get every change of the tenant."""
        statement = select(partner_feed.c.topic).order_by(partner_feed.c.partner_key)
        return list((await self._session.execute(statement)).scalars())

    # Parked events

    async def park(self, kind: str, events: Sequence[tuple[str, bytes]]) -> None:
        """Keep events, each with its opportunity, in this order."""
        given = [{"kind": kind, "opportunity_id": each, "payload": payload} for each, payload in events]
        await bulk.insert(self._session, parked_event, self._tenant_id, given)

    async def parked_count(self, kind: str, at_most: int) -> int:
        """How many events of this kind wait; counted no further than asked."""
        some = select(parked_event.c.parked_no).where(parked_event.c.kind == kind).limit(at_most).subquery()
        return (await self._session.execute(select(func.count()).select_from(some))).scalar_one()

    async def take_parked(
        self, kind: str, opportunity_ids: Collection[str] | None = None, limit: int = 1000
    ) -> list[bytes]:
        """Remove waiting events and return them in the order they came; of these opportunities, or of all."""
        chosen = select(parked_event.c.parked_no).where(parked_event.c.kind == kind)
        if opportunity_ids is not None:
            chosen = chosen.where(parked_event.c.opportunity_id.in_(sorted(opportunity_ids)))
        chosen = chosen.order_by(parked_event.c.parked_no).limit(limit)
        statement = (
            delete(parked_event)
            .where(parked_event.c.tenant_id == self._tenant_id, parked_event.c.parked_no.in_(chosen))
            .returning(parked_event.c.parked_no, parked_event.c.payload)
        )
        found = sorted((await self._session.execute(statement)).all())
        return [payload for _, payload in found]

    async def parked_opportunities(self, kind: str, opportunity_ids: Collection[str]) -> set[str]:
        """Which of these opportunities have events waiting."""
        statement = select(parked_event.c.opportunity_id).where(
            parked_event.c.kind == kind, parked_event.c.opportunity_id.in_(sorted(opportunity_ids))
        )
        return set((await self._session.execute(statement.distinct())).scalars())

    # One deal

    async def transitions_of(
        self, opportunity_id: str | None, after: UUID, limit: int, owner_id: str | None
    ) -> list[Row]:
        """Moves in the order they were made, each with the end of the visit it opened."""
        following = transition.alias()
        statement = (
            select(transition, following.c.changed_at.label("visit_closed_at"))
            .outerjoin(
                following,
                (following.c.tenant_id == transition.c.tenant_id)
                & (following.c.opportunity_id == transition.c.opportunity_id)
                & (following.c.revision == transition.c.revision + 1),
            )
            .where(transition.c.transition_id > after)
            .order_by(transition.c.transition_id)
            .limit(limit)
        )
        if opportunity_id is not None:
            statement = statement.where(transition.c.opportunity_id == opportunity_id)
        if owner_id is not None:
            own = select(opportunity.c.opportunity_id).where(opportunity.c.owner_id == owner_id)
            statement = statement.where(transition.c.opportunity_id.in_(own))
        return await rows(self._session, statement)
