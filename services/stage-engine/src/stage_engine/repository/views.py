"""What people look at: opportunities, decisions and changes. `owner_id` None means every owner."""

from collections.abc import Sequence
from uuid import UUID

from kit.database.rows import columns, record, records
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models import decision, opportunity, transition
from stage_engine.records import ChangeRecord, DecisionRecord, OpportunityRecord, TransitionRecord

_OPPORTUNITY = columns(opportunity, OpportunityRecord)
_DECISION = columns(decision, DecisionRecord)


class ViewRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def opportunity(self, opportunity_id: str, owner_id: str | None) -> OpportunityRecord | None:
        statement = select(*_OPPORTUNITY).where(opportunity.c.opportunity_id == opportunity_id, *_owned(owner_id))
        return await record(self._session, statement, OpportunityRecord)

    async def opportunities(
        self, stage: str | None, owner_id: str | None, after: str, limit: int
    ) -> list[OpportunityRecord]:
        statement = select(*_OPPORTUNITY).where(opportunity.c.opportunity_id > after, *_owned(owner_id))
        if stage is not None:
            statement = statement.where(opportunity.c.stage_key == stage)
        statement = statement.order_by(opportunity.c.opportunity_id).limit(limit)
        return await records(self._session, statement, OpportunityRecord)

    async def decisions(self, opportunity_id: str, after: int, limit: int) -> list[DecisionRecord]:
        statement = (
            select(*_DECISION)
            .where(decision.c.opportunity_id == opportunity_id, decision.c.decision_no > after)
            .order_by(decision.c.decision_no)
            .limit(limit)
        )
        return await records(self._session, statement, DecisionRecord)

    async def decision(self, decision_id: UUID, owner_id: str | None) -> DecisionRecord | None:
        statement = select(*_DECISION).where(decision.c.decision_id == decision_id)
        statement = statement.where(*_of_owned(decision.c.opportunity_id, owner_id))
        return await record(self._session, statement, DecisionRecord)

    async def decision_near(self, place: float) -> UUID | None:
        """The decision at this place between the oldest, 0, and the newest, 1: ids are ordered by time."""
        ids = decision.c.decision_id
        oldest = (await self._session.execute(select(ids).order_by(ids).limit(1))).scalar()
        newest = (await self._session.execute(select(ids).order_by(ids.desc()).limit(1))).scalar()
        if oldest is None or newest is None:
            return None
        # In whole numbers: a float would not hold all digits of an id.
        wanted = UUID(int=oldest.int + ((newest.int - oldest.int) * int(place * 2**32) >> 32))
        statement = select(ids).where(ids >= wanted).order_by(ids).limit(1)
        return (await self._session.execute(statement)).scalar()

    async def changes(
        self, opportunity_id: str | None, owner_id: str | None, after: UUID, limit: int
    ) -> list[ChangeRecord]:
        """Moves in the order they were made, each with the end of the visit it opened."""
        following = transition.alias()
        statement = (
            select(*columns(transition, TransitionRecord), following.c.changed_at.label("visit_closed_at"))
            .outerjoin(
                following,
                (following.c.tenant_id == transition.c.tenant_id)
                & (following.c.opportunity_id == transition.c.opportunity_id)
                & (following.c.revision == transition.c.revision + 1),
            )
            .where(transition.c.transition_id > after, *_of_owned(transition.c.opportunity_id, owner_id))
            .order_by(transition.c.transition_id)
            .limit(limit)
        )
        if opportunity_id is not None:
            statement = statement.where(transition.c.opportunity_id == opportunity_id)
        return await records(self._session, statement, ChangeRecord)


def _owned(owner_id: str | None) -> Sequence[ColumnElement[bool]]:
    return [] if owner_id is None else [opportunity.c.owner_id == owner_id]


def _of_owned(opportunity_id: ColumnElement[str], owner_id: str | None) -> Sequence[ColumnElement[bool]]:
    own = select(opportunity.c.opportunity_id).where(*_owned(owner_id))
    return [] if owner_id is None else [opportunity_id.in_(own)]
