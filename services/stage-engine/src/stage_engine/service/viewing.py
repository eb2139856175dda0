"""What people look at, put together."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners
from kit.ids import utc_now

from stage_engine.domain.actions import ActionKind
from stage_engine.domain.criteria import CriterionState, criteria_now
from stage_engine.domain.earning import Support, support_of
from stage_engine.domain.holds import Staleness, business_age, staleness_of
from stage_engine.domain.next_steps import OpenTask, Step, next_steps
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.outlook import Way, ways_on
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.replay import StoredDecision, decode_decision, decode_opportunity, run_again
from stage_engine.errors.opportunities import DecisionNotFound, OpportunityNotFound
from stage_engine.records.opportunities import ChangeRecord, DecisionRecord, OpportunityRecord, UnplacedRecord
from stage_engine.records.work import ActionRecord
from stage_engine.repository.actions import ActionRepository
from stage_engine.repository.unplaced import UnplacedRepository
from stage_engine.repository.views import ViewRepository, Wanted
from stage_engine.service.calendars import Calendars
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.subjects import demand_subject

# Open actions that are looked at for next steps: more would hide the rest.
_MOST_TASKS = 50


@dataclass(frozen=True, slots=True)
class OpportunityView:
    """An opportunity with the rules that lead on from where it is, and the criteria of its stage."""

    record: OpportunityRecord
    opportunity: Opportunity
    ways_on: tuple[Way, ...]
    criteria: tuple[CriterionState, ...]
    support: Support
    stale: Staleness
    business_age: Decimal
    pipeline: Pipeline
    at: datetime
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What was stored, what deciding again gives, and whether the two are the same bytes."""

    stored: StoredDecision
    replayed: StoredDecision
    identical: bool


class Viewing:
    """On behalf of a caller who sees the opportunities of these owners; all others count as absent."""

    def __init__(self, uow: UnitOfWork, owners: Owners) -> None:
        self._tenant_id = uow.tenant_id
        self._repository = ViewRepository(uow.session)
        self._actions = ActionRepository(uow.session, uow.tenant_id)
        self._unplaced = UnplacedRepository(uow.session, uow.tenant_id)
        self._rulesets = Rulesets(uow)
        self._calendars = Calendars(uow)
        self._owners = owners

    async def opportunity(self, object_type: str, record_id: str) -> OpportunityView:
        record = await self._one(object_type, record_id)
        version = record.pipeline_key, record.pipeline_version
        opportunity = decode_opportunity(record.state)
        rulesets = await self._rulesets.of([version])
        rules, now = rulesets[version], utc_now()
        if rules.pipeline.uses_calendar:
            calendars = await self._calendars.of_owners([record.owner_id])
            rules = rules.in_calendar(calendars[record.owner_id])
        criteria = criteria_now(opportunity, rules, now)
        return OpportunityView(
            record,
            opportunity,
            ways_on(opportunity, rules, now),
            criteria,
            support_of(opportunity, rules, now),
            staleness_of(opportunity, rules.pipeline),
            business_age(opportunity, rules.pipeline, now),
            rules.pipeline,
            now,
            self._tenant_id,
        )

    async def opportunities(self, wanted: Wanted, after: str, limit: int) -> list[OpportunityRecord]:
        return await self._repository.opportunities(wanted, self._owners, after, limit)

    async def stalled(self, wanted: Wanted, after: tuple[datetime, str] | None, limit: int) -> list[OpportunityRecord]:
        """Those that are stalled now, the longest first."""
        return await self._repository.stalled(wanted, self._owners, utc_now(), after, limit)

    async def unplaced(self, object_type: str | None, code: str | None, after: str, limit: int) -> list[UnplacedRecord]:
        return await self._unplaced.many(object_type, code, self._owners, after, limit)

    async def decisions(self, object_type: str, record_id: str, after: int, limit: int) -> list[DecisionRecord]:
        await self._one(object_type, record_id)
        return await self._repository.decisions(record_id, after, limit)

    async def actions_of(self, object_type: str, record_id: str, after: UUID, limit: int) -> list[ActionRecord]:
        await self._one(object_type, record_id)
        return await self._actions.of(record_id, after, limit)

    async def next_steps(self, object_type: str, record_id: str) -> tuple[Step, ...]:
        """What to do next about a subject, what goes first in front."""
        view = await self.opportunity(object_type, record_id)
        found = await self._actions.open_of(record_id, _MOST_TASKS)
        tasks = [
            OpenTask(str(a.action_id), ActionKind(a.kind), a.text or a.action_key, a.due_at)
            for a in found
            if a.kind == ActionKind.TASK
        ]
        return next_steps(view.opportunity, view.pipeline, view.criteria, view.ways_on, tasks, view.at)

    async def actions(self, state: str | None, kind: str | None, after: UUID, limit: int) -> list[ActionRecord]:
        return await self._actions.many(state, kind, self._owners, after, limit)

    async def decision(self, decision_id: UUID) -> DecisionRecord:
        found = await self._repository.decision(decision_id)
        if found is None:
            raise DecisionNotFound(decision_id)
        self._owners.demand(await self._repository.owner_of(found.opportunity_id), DecisionNotFound(decision_id))
        return found

    async def decision_near(self, place: float) -> UUID | None:
        """The decision at this place between the first of the log, 0, and the last, 1; None when there is none."""
        return await self._repository.decision_near(place)

    async def replay(self, decision_id: UUID) -> Replay:
        """Decide a stored decision again."""
        found = await self.decision(decision_id)
        stored = StoredDecision(found.before, found.given, found.decision, found.after)
        version = found.pipeline_key, found.pipeline_version
        decision = decode_decision(found.decision)
        ruleset = await self._rulesets.at(version, decision.modes_revision)
        if decision.calendar:
            ruleset = ruleset.in_calendar(await self._calendars.named(decision.calendar))
        replayed, identical = run_again(stored, ruleset, found.decided_at)
        return Replay(stored, replayed, identical)

    async def changes(self, opportunity_id: str | None, after: UUID, limit: int) -> list[ChangeRecord]:
        return await self._repository.changes(opportunity_id, self._owners, after, limit)

    async def _one(self, object_type: str, record_id: str) -> OpportunityRecord:
        found = await self._repository.opportunity(record_id)
        if found is None:
            raise OpportunityNotFound(record_id, object_type)
        demand_subject(self._owners, object_type, record_id, found.owner_id, found.object_type)
        return found
