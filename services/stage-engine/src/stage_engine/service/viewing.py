"""What people look at, put together."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from stage_engine.domain.outlook import Way, ways_on
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.replay import StoredDecision, decode_instance, run_again
from stage_engine.domain.state import Instance
from stage_engine.errors import DecisionNotFound, OpportunityNotFound, PipelineNotFound
from stage_engine.repository.deals import DealRepository
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.repository.views import Row, ViewRepository
from stage_engine.service.rules import Rules

_RATIO = Decimal("0.0001")


def ratio(part: Any, whole: Any) -> Decimal | None:
    """The quotient to four places; None when there is nothing to divide by."""
    if not whole:
        return None
    return (Decimal(str(part)) / Decimal(str(whole))).quantize(_RATIO, ROUND_HALF_UP)


class Views:
    """`owner_id` None means whoever the owner is; somebody else's deals are as good as absent."""

    def __init__(self, uow: UnitOfWork, owner_id: str | None) -> None:
        self._repository = ViewRepository(uow.session)
        self._deals = DealRepository(uow.session, uow.tenant_id)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)
        self._rules = Rules(uow)
        self._owner_id = owner_id

    async def opportunity(self, opportunity_id: str) -> tuple[Row, Instance, tuple[Way, ...]]:
        """A deal with the rules that lead on from where it is."""
        row = await self._repository.opportunity(opportunity_id, self._owner_id)
        if row is None:
            raise OpportunityNotFound(f"there is no opportunity {opportunity_id!r}")
        version = row["pipeline_key"], row["pipeline_version"]
        instance = decode_instance(row["state"])
        return row, instance, ways_on(instance, (await self._rules.of([version]))[version])

    async def opportunities(self, stage: str | None, after: str, limit: int) -> list[Row]:
        return await self._repository.opportunities(stage, self._owner_id, after, limit)

    async def decisions(self, opportunity_id: str, after: int, limit: int) -> list[Row]:
        if await self._repository.opportunity(opportunity_id, self._owner_id) is None:
            raise OpportunityNotFound(f"there is no opportunity {opportunity_id!r}")
        return await self._repository.decisions(opportunity_id, after, limit)

    async def decision(self, decision_id: UUID) -> Row:
        row = await self._repository.decision(decision_id, self._owner_id)
        if row is None:
            raise DecisionNotFound(f"there is no decision {decision_id}")
        return row

    async def decision_near(self, place: float) -> UUID | None:
        """The decision at this place between the first of the log, 0, and the last, 1; None when there is none."""
        return await self._repository.decision_near(place)

    async def replay(self, decision_id: UUID) -> tuple[StoredDecision, StoredDecision, bool]:
        """What was stored, what deciding again gives, and whether the two are the same bytes."""
        row = await self.decision(decision_id)
        stored = StoredDecision(row["before"], row["given"], row["decision"], row["after"])
        version = row["pipeline_key"], row["pipeline_version"]
        again, identical = run_again(stored, (await self._rules.of([version]))[version], row["decided_at"])
        return stored, again, identical

    async def changes(self, opportunity_id: str | None, after: UUID, limit: int) -> list[Row]:
        return await self._deals.transitions_of(opportunity_id, after, limit, self._owner_id)

    async def funnel(
        self, pipeline_key: str | None, since: datetime, until: datetime, horizon_days: int
    ) -> tuple[Pipeline, Mapping[str, Row], Mapping[str, Row], Mapping[str, Row]]:
        """The newest version of the pipeline, or of the default one; by stage what is claimed, what is earned, and how
        deals got on that entered in the window."""
        newest, default = await self._pipelines.newest()
        key = pipeline_key or default
        if key is None or key not in newest:
            raise PipelineNotFound(f"no pipeline {key!r} is published" if key else "no default pipeline is published")
        pipeline = (await self._rules.of([(key, newest[key])]))[key, newest[key]].pipeline
        claimed = await self._repository.stage_totals(key, "stage_key")
        earned = await self._repository.stage_totals(key, "earned_stage")
        horizon = timedelta(days=horizon_days)
        return pipeline, claimed, earned, await self._repository.conversions(key, since, until, horizon, utc_now())

    async def optimism(self, pipeline_key: str | None) -> list[Row]:
        return await self._repository.optimism(pipeline_key)
