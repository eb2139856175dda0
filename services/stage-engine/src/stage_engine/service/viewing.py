"""What people look at, put together."""

from dataclasses import dataclass
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.outlook import Way, ways_on
from stage_engine.domain.replay import StoredDecision, decode_opportunity, run_again
from stage_engine.errors import DecisionNotFound, OpportunityNotFound
from stage_engine.records import ChangeRecord, DecisionRecord, OpportunityRecord
from stage_engine.repository.views import ViewRepository
from stage_engine.service.rulesets import Rulesets


@dataclass(frozen=True, slots=True)
class OpportunityView:
    """An opportunity with the rules that lead on from where it is."""

    record: OpportunityRecord
    opportunity: Opportunity
    ways_on: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """What was stored, what deciding again gives, and whether the two are the same bytes."""

    stored: StoredDecision
    replayed: StoredDecision
    identical: bool


class Viewing:
    """`owner_id` None means every owner; an opportunity of another owner counts as absent."""

    def __init__(self, uow: UnitOfWork, owner_id: str | None) -> None:
        self._repository = ViewRepository(uow.session)
        self._rulesets = Rulesets(uow)
        self._owner_id = owner_id

    async def opportunity(self, opportunity_id: str) -> OpportunityView:
        record = await self._one(opportunity_id)
        version = record.pipeline_key, record.pipeline_version
        opportunity = decode_opportunity(record.state)
        rulesets = await self._rulesets.of([version])
        return OpportunityView(record, opportunity, ways_on(opportunity, rulesets[version]))

    async def opportunities(self, stage: str | None, after: str, limit: int) -> list[OpportunityRecord]:
        return await self._repository.opportunities(stage, self._owner_id, after, limit)

    async def decisions(self, opportunity_id: str, after: int, limit: int) -> list[DecisionRecord]:
        await self._one(opportunity_id)
        return await self._repository.decisions(opportunity_id, after, limit)

    async def decision(self, decision_id: UUID) -> DecisionRecord:
        found = await self._repository.decision(decision_id, self._owner_id)
        if found is None:
            raise DecisionNotFound(decision_id)
        return found

    async def decision_near(self, place: float) -> UUID | None:
        """The decision at this place between the first of the log, 0, and the last, 1; None when there is none."""
        return await self._repository.decision_near(place)

    async def replay(self, decision_id: UUID) -> Replay:
        """Decide a stored decision again."""
        found = await self.decision(decision_id)
        stored = StoredDecision(found.before, found.given, found.decision, found.after)
        version = found.pipeline_key, found.pipeline_version
        replayed, identical = run_again(stored, (await self._rulesets.of([version]))[version], found.decided_at)
        return Replay(stored, replayed, identical)

    async def changes(self, opportunity_id: str | None, after: UUID, limit: int) -> list[ChangeRecord]:
        return await self._repository.changes(opportunity_id, self._owner_id, after, limit)

    async def _one(self, opportunity_id: str) -> OpportunityRecord:
        found = await self._repository.opportunity(opportunity_id, self._owner_id)
        if found is None:
            raise OpportunityNotFound(opportunity_id)
        return found
