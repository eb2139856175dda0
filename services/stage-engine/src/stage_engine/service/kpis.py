"""The funnel and the optimism gap, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners
from kit.ids import utc_now

from stage_engine.domain.conversion import Conversion, conversion_of
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Stage
from stage_engine.errors.pipelines import PipelineNotPublished
from stage_engine.records.figures import AsideTotal, OwnerTotal, StageTotal
from stage_engine.records.pipelines import default_of
from stage_engine.repository.kpis import KpiRepository
from stage_engine.repository.migrations import MigrationRepository
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.repository.unplaced import UnplacedRepository
from stage_engine.service.rulesets import Rulesets

_RATIO = Decimal("0.0001")


def ratio(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """The quotient to four places; None when there is nothing to divide by."""
    return rounded(Decimal(part) / Decimal(whole)) if whole else None


def rounded(share: Decimal | float) -> Decimal:
    """A share to four places."""
    return Decimal(share).quantize(_RATIO, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Aside:
    """What no stage counts, by reason: records that no pipeline takes, and quarantined ones."""

    unplaced: Sequence[AsideTotal]
    quarantined: Sequence[AsideTotal]


@dataclass(frozen=True, slots=True)
class Funnel:
    """By stage what is claimed, what is earned, and how opportunities got on that entered in the window. `stages` are
    those of the newest version, then those of versions before in which open opportunities still are."""

    pipeline: Pipeline
    stages: Sequence[Stage]
    claimed: Sequence[StageTotal]
    earned: Sequence[StageTotal]
    conversions: Mapping[str, Conversion]
    aside: Aside
    reassigned: int


class Kpis:
    """Totals of the opportunities of these owners."""

    def __init__(self, uow: UnitOfWork, owners: Owners) -> None:
        self._repository = KpiRepository(uow.session, owners)
        self._unplaced = UnplacedRepository(uow.session, uow.tenant_id)
        self._owners = owners
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)
        self._migrations = MigrationRepository(uow.session, uow.tenant_id)
        self._rulesets = Rulesets(uow)

    async def funnel(
        self, object_type: str, pipeline_key: str | None, since: datetime, until: datetime, horizon_days: int
    ) -> Funnel:
        """The funnel of the newest version of the pipeline, or of the default one for this type of object, or the only
        one."""
        found = await self._pipelines.newest()
        newest = {each.pipeline_key: each.version for each in found if each.object_type == object_type}
        key = pipeline_key or default_of(found, object_type) or (next(iter(newest)) if len(newest) == 1 else None)
        if key is None or key not in newest:
            raise PipelineNotPublished(key)
        version = key, newest[key]
        held = await self._migrations.held(key, besides=newest[key])
        rulesets = await self._rulesets.of({(key, each.version) for each in held} | {version})
        pipeline = rulesets[version].pipeline
        older = {
            stage_key: rulesets[key, each.version].pipeline.stage(stage_key)
            for each in held
            for stage_key in (each.stage_key, each.earned_stage)
            if stage_key and stage_key not in pipeline
        }
        return Funnel(
            pipeline=pipeline,
            stages=[*pipeline.stages, *older.values()],
            claimed=await self._repository.stage_totals(key, "stage_key"),
            earned=await self._repository.stage_totals(key, "earned_stage"),
            conversions={
                stage_key: conversion_of(watched, horizon_days)
                for stage_key, watched in (
                    await self._repository.entries(key, since, until, horizon_days, utc_now())
                ).items()
            },
            aside=await self.aside(object_type),
            reassigned=await self._repository.reassigned(key, since, until),
        )

    async def aside(self, object_type: str) -> Aside:
        """What no stage counts."""
        return Aside(
            await self._unplaced.totals(object_type, self._owners),
            await self._unplaced.quarantined(object_type, self._owners),
        )

    async def owner_totals(self, object_type: str, pipeline_key: str | None) -> list[OwnerTotal]:
        """Open opportunities by owner and currency."""
        return await self._repository.owner_totals(object_type, pipeline_key)
