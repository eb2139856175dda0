"""The funnel and the optimism gap over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from fastapi import Query
from kit.http.auth import requires
from kit.http.web import Uow, router
from kit.ids import utc_now

from stage_engine.domain.pipeline import Stage
from stage_engine.records import Conversion, OwnerTotal, StageTotal
from stage_engine.schemas import kpis as schemas
from stage_engine.schemas.moments import Moment
from stage_engine.service.kpis import Funnel, Kpis, ratio

router = router("kpis")

_YEAR = timedelta(days=365)
PipelineKey = Annotated[str | None, Query(max_length=64, description="the default pipeline when left out")]


@router.get("/funnel", dependencies=[requires("analytics:read")])
async def get_funnel(
    uow: Uow,
    pipeline: PipelineKey = None,
    since: Annotated[Moment | None, Query(description="entries from here; a year back when left out")] = None,
    until: Annotated[Moment | None, Query(description="entries before here; now when left out")] = None,
    horizon_days: Annotated[int, Query(ge=1, le=3650, description="time an opportunity has to get on")] = 90,
) -> schemas.Funnel:
    """Opportunities and value by stage, claimed beside earned; and of those that entered a stage within the window the
    share that got on within the horizon. Those too young to judge are left out and counted as censored."""
    end = until or utc_now()
    start = since or end - _YEAR
    funnel = await Kpis(uow).funnel(pipeline, start, end, horizon_days)
    return schemas.Funnel(
        pipeline_key=funnel.pipeline.key,
        pipeline_version=funnel.pipeline.version,
        since=start,
        until=end,
        horizon_days=horizon_days,
        stages=[_stage(stage, funnel) for stage in funnel.pipeline.stages],
    )


@router.get("/optimism-gap", dependencies=[requires("analytics:read")])
async def get_optimism_gap(
    uow: Uow, pipeline: Annotated[str | None, Query(max_length=64, description="all when left out")] = None
) -> schemas.OptimismGap:
    """The share of open value that is claimed further than the evidence reaches, overall and by owner."""
    owners = await Kpis(uow).owner_totals(pipeline)
    return schemas.OptimismGap(
        overall=_gap(owners),
        by_owner=[schemas.OwnerGap(owner_id=each.owner_id, **dict(_gap([each]))) for each in owners],
    )


def _total(stage_key: str, totals: Mapping[str, StageTotal]) -> schemas.Total:
    total = totals.get(stage_key, StageTotal(stage_key, 0, Decimal(0)))
    return schemas.Total(opportunities=total.opportunities, amount=total.amount)


def _stage(stage: Stage, funnel: Funnel) -> schemas.FunnelStage:
    found = funnel.conversions.get(stage.key, Conversion(stage.key, 0, 0, 0, 0))
    return schemas.FunnelStage(
        key=stage.key,
        name=stage.name,
        category=stage.category,
        claimed=_total(stage.key, funnel.claimed),
        earned=_total(stage.key, funnel.earned),
        entered=found.entered,
        censored=found.censored,
        reached_later=found.reached,
        reached_next=found.reached_next,
        conversion=ratio(found.reached, found.judged),
        strict_conversion=ratio(found.reached_next, found.judged),
    )


def _gap(owners: Sequence[OwnerTotal]) -> schemas.Gap:
    count = sum(each.open_opportunities for each in owners)
    amount = sum((each.open_amount for each in owners), Decimal(0))
    ahead = sum((each.ahead_amount for each in owners), Decimal(0))
    return schemas.Gap(
        open=schemas.Total(opportunities=count, amount=amount),
        ahead=schemas.Total(opportunities=sum(each.ahead_opportunities for each in owners), amount=ahead),
        gap=ratio(ahead, amount),
        mean_rank_gap=ratio(sum(each.rank_gap for each in owners), count),
    )
