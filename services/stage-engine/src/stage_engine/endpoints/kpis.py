"""The funnel and the optimism gap over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import Annotated

from fastapi import Query
from kit.http.auth import Caller, Principal, requires
from kit.http.ownership import Owners
from kit.http.web import Uow, router
from kit.ids import utc_now

from stage_engine.domain.conversion import NOTHING, Estimate
from stage_engine.domain.pipeline import OPPORTUNITY
from stage_engine.domain.stages import Category, Stage
from stage_engine.records.figures import OwnerTotal, StageTotal
from stage_engine.schemas import kpis as schemas
from stage_engine.schemas import unplaced as shown
from stage_engine.schemas.moments import Moment
from stage_engine.service.kpis import Aside, Funnel, Kpis, ratio, rounded

router = router("kpis")

_YEAR = timedelta(days=365)
ObjectType = Annotated[str, Query(max_length=64, examples=["lead"])]
PipelineKey = Annotated[str | None, Query(max_length=64, description="the default pipeline when left out")]


@router.get("/funnel", dependencies=[requires("analytics:read")])
async def get_funnel(
    uow: Uow,
    caller: Caller,
    object_type: ObjectType = OPPORTUNITY,
    pipeline: PipelineKey = None,
    since: Annotated[Moment | None, Query(description="entries from here; a year back when left out")] = None,
    until: Annotated[Moment | None, Query(description="entries before here; now when left out")] = None,
    horizon_days: Annotated[int, Query(ge=1, le=3650, description="time an opportunity has to get on")] = 90,
) -> schemas.Funnel:
    """Opportunities and value by stage, claimed beside earned, of those that the caller sees; and of all that entered a
    stage within the window the share that gets on within the horizon, estimated with those that are too young to judge
    (Aalen-Johansen)."""
    end = until or utc_now()
    start = since or end - _YEAR
    funnel = await Kpis(uow, _counted(caller)).funnel(object_type, pipeline, start, end, horizon_days)
    return schemas.Funnel(
        object_type=object_type,
        pipeline_key=funnel.pipeline.key,
        pipeline_version=funnel.pipeline.version,
        since=start,
        until=end,
        horizon_days=horizon_days,
        stages=[_stage(stage, funnel) for stage in funnel.stages],
        reassigned=funnel.reassigned,
        **_aside(funnel.aside),
    )


@router.get("/optimism-gap", dependencies=[requires("analytics:read")])
async def get_optimism_gap(
    uow: Uow,
    caller: Caller,
    object_type: ObjectType = OPPORTUNITY,
    pipeline: Annotated[str | None, Query(max_length=64, description="all when left out")] = None,
) -> schemas.OptimismGap:
    """The share of open value that is claimed further than the evidence reaches, overall and by owner, of the
    opportunities that the caller sees."""
    kpis = Kpis(uow, _counted(caller))
    owners = await kpis.owner_totals(object_type, pipeline)
    return schemas.OptimismGap(
        overall=_gap(owners),
        by_owner=[
            schemas.OwnerGap(owner_id=owner_id, **dict(_gap(list(own))))
            for owner_id, own in groupby(owners, key=lambda each: each.owner_id)
        ],
        **_aside(await kpis.aside(object_type)),
    )


def _counted(caller: Principal) -> Owners:
    """Operators, who read no opportunity, see the totals of all."""
    return Owners.seen_by(caller) if caller.may("opportunities:read") else Owners(None)


def _aside(found: Aside) -> dict[str, list[shown.Aside]]:
    read = shown.Aside.model_validate
    return {
        "unplaced": [read(each, from_attributes=True) for each in found.unplaced],
        "quarantined": [read(each, from_attributes=True) for each in found.quarantined],
    }


def _total(stage_key: str, totals: Sequence[StageTotal]) -> schemas.Total:
    own = [each for each in totals if each.stage_key == stage_key]
    money = [schemas.Money(currency=each.currency, amount=each.amount) for each in own]
    return schemas.Total(opportunities=sum(each.opportunities for each in own), amounts=money)


def _stage(stage: Stage, funnel: Funnel) -> schemas.FunnelStage:
    found = funnel.conversions.get(stage.key, NOTHING)
    is_open = stage.category is Category.OPEN
    return schemas.FunnelStage(
        key=stage.key,
        name=stage.name,
        category=stage.category,
        claimed=_total(stage.key, funnel.claimed),
        earned=_total(stage.key, funnel.earned),
        entered=found.entered,
        judged=found.judged,
        censored=found.censored,
        reached_later=found.reached,
        reached_next=found.reached_next,
        conversion=_share(found.conversion) if is_open else None,
        strict_conversion=_share(found.strict) if is_open else None,
        median_days=found.median_days if is_open else None,
    )


def _share(estimate: Estimate | None) -> schemas.Share | None:
    if estimate is None:
        return None
    return schemas.Share(value=rounded(estimate.value), low=rounded(estimate.low), high=rounded(estimate.high))


def _gap(owners: Sequence[OwnerTotal]) -> schemas.Gap:
    """Of one owner or of all: each total is of one currency."""
    count = sum(each.open_opportunities for each in owners)
    whole: dict[str, Decimal] = {}
    ahead: dict[str, Decimal] = {}
    for each in owners:
        whole[each.currency] = whole.get(each.currency, Decimal(0)) + each.open_amount
        ahead[each.currency] = ahead.get(each.currency, Decimal(0)) + each.ahead_amount
    return schemas.Gap(
        open=schemas.Total(opportunities=count, amounts=_money(whole)),
        ahead=schemas.Total(opportunities=sum(each.ahead_opportunities for each in owners), amounts=_money(ahead)),
        gaps=[schemas.CurrencyGap(currency=key, gap=ratio(ahead[key], whole[key])) for key in sorted(whole)],
        mean_rank_gap=ratio(sum(each.rank_gap for each in owners), count),
    )


def _money(sums: Mapping[str, Decimal]) -> list[schemas.Money]:
    return [schemas.Money(currency=key, amount=sums[key]) for key in sorted(sums)]
