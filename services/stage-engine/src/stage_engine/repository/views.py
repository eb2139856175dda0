"""What people look at: opportunities, decisions and changes, of the owners that a caller sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database.rows import columns, record, records
from kit.database.sets import among
from kit.http.ownership import Owners
from sqlalchemy import ColumnElement, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models.opportunities import TO_CONFIRM, decision, opportunity, transition
from stage_engine.records.opportunities import ChangeRecord, DecisionRecord, OpportunityRecord, TransitionRecord

_OPPORTUNITY = columns(opportunity, OpportunityRecord)
_DECISION = columns(decision, DecisionRecord)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which subjects are listed: of one type, in one stage or any."""

    object_type: str
    stage: str | None = None
    to_confirm: bool = False
    quarantined: bool = False
    elsewhere: bool = False
    on_hold: bool = False


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    of = opportunity.c
    found: list[ColumnElement[bool]] = [of.object_type == wanted.object_type]
    if wanted.stage is not None:
        found.append(of.stage_key == wanted.stage)
    if wanted.to_confirm:
        found.append(text(TO_CONFIRM))  # pyright: ignore[reportArgumentType]
    if wanted.quarantined:
        found += [of.quarantined, ~of.deleted]
    if wanted.elsewhere:
        found += [of.other_pipeline != "", ~of.deleted]
    if wanted.on_hold:
        found.append(of.on_hold)
    return found


class ViewRepository:
    """Row-level security confines every statement to the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def opportunity(self, opportunity_id: str) -> OpportunityRecord | None:
        """One opportunity, of any owner."""
        statement = select(*_OPPORTUNITY).where(opportunity.c.opportunity_id == opportunity_id)
        return await record(self._session, statement, OpportunityRecord)

    async def opportunities(self, wanted: Wanted, owners: Owners, after: str, limit: int) -> list[OpportunityRecord]:
        of = opportunity.c
        statement = select(*_OPPORTUNITY).where(of.opportunity_id > after, owners.condition(of.owner_id))
        statement = statement.where(*_conditions(wanted)).order_by(of.opportunity_id).limit(limit)
        return await records(self._session, statement, OpportunityRecord)

    async def stalled(
        self, wanted: Wanted, owners: Owners, now: datetime, after: tuple[datetime, str] | None, limit: int
    ) -> list[OpportunityRecord]:
        """Those that are stalled, the longest first."""
        order = opportunity.c.stalled_at, opportunity.c.opportunity_id
        statement = select(*_OPPORTUNITY).where(order[0] <= now, owners.condition(opportunity.c.owner_id))
        if after is not None:
            statement = statement.where(tuple_(*order) > tuple_(*after))
        statement = statement.where(*_conditions(wanted)).order_by(*order).limit(limit)
        return await records(self._session, statement, OpportunityRecord)

    async def decisions(self, opportunity_id: str, after: int, limit: int) -> list[DecisionRecord]:
        statement = (
            select(*_DECISION)
            .where(decision.c.opportunity_id == opportunity_id, decision.c.decision_no > after)
            .order_by(decision.c.decision_no)
            .limit(limit)
        )
        return await records(self._session, statement, DecisionRecord)

    async def submission(self, opportunity_id: str, submission_id: str) -> str | None:
        """A submission that a decision on an opportunity was made on, as JSON."""
        of = decision.c
        named = of.identity.startswith(f"submission:{submission_id}:", autoescape=True)
        statement = select(of.given).where(of.opportunity_id == opportunity_id, named)
        return (await self._session.execute(statement.order_by(of.decision_no).limit(1))).scalar()

    async def submissions(self, opportunity_id: str, after: int, limit: int) -> list[tuple[int, str]]:
        """A page of the submissions that decisions on an opportunity were made on, as JSON, each with the number of its
        decision."""
        of = decision.c
        statement = select(of.decision_no, of.given).where(
            of.opportunity_id == opportunity_id, of.identity.like("submission:%"), of.decision_no > after
        )
        found = await self._session.execute(statement.order_by(of.decision_no).limit(limit))
        return [(number, given) for number, given in found]

    async def owner_of(self, opportunity_id: str) -> str | None:
        """The owner of an opportunity."""
        statement = select(opportunity.c.owner_id).where(opportunity.c.opportunity_id == opportunity_id)
        return (await self._session.execute(statement)).scalar()

    async def decision(self, decision_id: UUID) -> DecisionRecord | None:
        """One decision, on an opportunity of any owner."""
        statement = select(*_DECISION).where(decision.c.decision_id == decision_id)
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

    async def changes(self, opportunity_id: str | None, owners: Owners, after: UUID, limit: int) -> list[ChangeRecord]:
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
            .where(transition.c.transition_id > after, *_of_seen(transition.c.opportunity_id, owners))
            .order_by(transition.c.transition_id)
            .limit(limit)
        )
        if opportunity_id is not None:
            statement = statement.where(transition.c.opportunity_id == opportunity_id)
        return await records(self._session, statement, ChangeRecord)


def _of_seen(opportunity_id: ColumnElement[str], owners: Owners) -> Sequence[ColumnElement[bool]]:
    seen = select(opportunity.c.opportunity_id).where(owners.condition(opportunity.c.owner_id))
    return [] if owners.are_all else [among(opportunity_id, seen)]
