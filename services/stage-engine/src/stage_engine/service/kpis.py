"""The funnel and the optimism gap, put together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from stage_engine.domain.pipeline import Pipeline
from stage_engine.errors import PipelineNotPublished
from stage_engine.records import Conversion, OwnerTotal, StageTotal
from stage_engine.repository.kpis import KpiRepository
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.rulesets import Rulesets

_RATIO = Decimal("0.0001")


def ratio(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """The quotient to four places; None when there is nothing to divide by."""
    return (Decimal(part) / Decimal(whole)).quantize(_RATIO, ROUND_HALF_UP) if whole else None


@dataclass(frozen=True, slots=True)
class Funnel:
    """By stage what is claimed, what is earned, and how opportunities got on that entered in the window."""

    pipeline: Pipeline
    claimed: Mapping[str, StageTotal]
    earned: Mapping[str, StageTotal]
    conversions: Mapping[str, Conversion]


class Kpis:
    def __init__(self, uow: UnitOfWork) -> None:
        self._repository = KpiRepository(uow.session)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)
        self._rulesets = Rulesets(uow)

    async def funnel(self, pipeline_key: str | None, since: datetime, until: datetime, horizon_days: int) -> Funnel:
        """The funnel of the newest version of the pipeline, or of the default one."""
        newest, default = await self._pipelines.newest()
        key = pipeline_key or default
        if key is None or key not in newest:
            raise PipelineNotPublished(key)
        version = key, newest[key]
        rulesets = await self._rulesets.of([version])
        horizon = timedelta(days=horizon_days)
        return Funnel(
            pipeline=rulesets[version].pipeline,
            claimed=await self._repository.stage_totals(key, "stage_key"),
            earned=await self._repository.stage_totals(key, "earned_stage"),
            conversions=await self._repository.conversions(key, since, until, horizon, utc_now()),
        )

    async def owner_totals(self, pipeline_key: str | None) -> list[OwnerTotal]:
        """Open opportunities by owner."""
        return await self._repository.owner_totals(pipeline_key)
