"""Opportunities and their decisions: set-based, for whole batches."""

from collections.abc import Collection, Sequence

from kit.database import bulk
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models.opportunities import decision, opportunity, transition
from stage_engine.records.opportunities import DecisionRecord, OpportunityRecord, TransitionRecord
from stage_engine.repository.locks import lock

_STATES = """
    SELECT opportunity.opportunity_id, opportunity.state, opportunity.pipeline_key, pipeline.modes_revision,
        opportunity.owner_id, coalesce(person.manager_id, '')
    FROM opportunity
    JOIN pipeline USING (tenant_id, pipeline_key)
    LEFT JOIN person ON person.tenant_id = opportunity.tenant_id AND person.person_id = opportunity.owner_id
    WHERE opportunity.tenant_id = $1 AND opportunity.opportunity_id = ANY($2)
    ORDER BY opportunity.opportunity_id
    FOR UPDATE OF opportunity
"""
_OF_INPUTS = """
    FROM unnest($2::varchar[], $3::varchar[]) AS given (opportunity_id, identity)
    JOIN decision USING (opportunity_id, identity)
    WHERE decision.tenant_id = $1
"""
_DECIDED = f"SELECT opportunity_id, decision.identity {_OF_INPUTS}"
_GIVEN = f"SELECT identity, decision.given {_OF_INPUTS}"
_REPLACE = bulk.replace(
    opportunity, *(name for name in bulk.column_names(OpportunityRecord) if name != "opportunity_id")
)


class OpportunityRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def states(self, opportunity_ids: Collection[str]) -> tuple[dict[str, str], dict[str, int], dict[str, str]]:
        """The opportunities' states by id, locked until the transaction ends, the revisions of what is switched in
        their pipelines, and to whom their owners report.

        All transactions take locks in the order of ids, so that batches and commands never deadlock. An opportunity
        that does not exist is locked by its name: of two transactions that bring the opportunity and its first score
        at the same time, the second sees what the first did.
        """
        found, modes, teams = await self._locked_states(opportunity_ids)
        missing = set(opportunity_ids) - found.keys()
        if missing:
            await lock(self._session, self._tenant_id, [f"opportunity:{each}" for each in missing])
            others, other_modes, other_teams = await self._locked_states(missing)
            return found | others, modes | other_modes, teams | other_teams
        return found, modes, teams

    async def _locked_states(
        self, opportunity_ids: Collection[str]
    ) -> tuple[dict[str, str], dict[str, int], dict[str, str]]:
        driver = await bulk.driver_of(self._session)
        found = await driver.fetch(_STATES, self._tenant_id, sorted(opportunity_ids))
        states, modes = {row[0]: row[1] for row in found}, {row[2]: row[3] for row in found}
        return states, modes, {row[4]: row[5] for row in found}

    async def decided(self, inputs: Collection[tuple[str, str]]) -> dict[str, set[str]]:
        """Of these inputs, each an opportunity's id and an identity, those that had their decision before: identities
        by opportunity."""
        driver = await bulk.driver_of(self._session)
        ids, identities = zip(*inputs, strict=True) if inputs else ((), ())
        found: dict[str, set[str]] = {}
        for opportunity_id, identity in await driver.fetch(_DECIDED, self._tenant_id, ids, identities):
            found.setdefault(opportunity_id, set()).add(identity)
        return found

    async def given(self, inputs: Collection[tuple[str, str]]) -> dict[str, str]:
        """What was decided on under these identities, each with its opportunity's id: inputs as JSON, by identity."""
        if not inputs:
            return {}
        driver = await bulk.driver_of(self._session)
        ids, identities = zip(*inputs, strict=True)
        return {row[0]: row[1] for row in await driver.fetch(_GIVEN, self._tenant_id, ids, identities)}

    def save(self, opportunities: Sequence[OpportunityRecord]) -> None:
        """Write opportunities as they are now, with the commit."""
        bulk.defer(self._session, opportunity, opportunities, conflict=_REPLACE)

    def add_decisions(self, decisions: Sequence[DecisionRecord], transitions: Sequence[TransitionRecord]) -> None:
        """Append to the log, with the commit."""
        bulk.defer(self._session, decision, decisions)
        bulk.defer(self._session, transition, transitions)
