"""The funnel and the optimism gap over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from kit.http.auth import requires
from kit.http.web import Uow, router
from kit.ids import utc_now

from stage_engine.domain.pipeline import Stage
from stage_engine.repository.views import Row
from stage_engine.schemas import kpis as schemas
from stage_engine.schemas.moments import Moment
from stage_engine.service.viewing import Views, ratio

router = router("kpis")

_YEAR = timedelta(days=365)
PipelineKey = Annotated[str | None, Query(max_length=64, description="the default pipeline when left out")]


@router.get("/funnel", dependencies=[requires("analytics:read")])
async def get_funnel(
    uow: Uow,
    pipeline: PipelineKey = None,
    since: Annotated[Moment | None, Query(description="entries from here; a year back when left out")] = None,
    until: Annotated[Moment | None, Query(description="entries before here; now when left out")] = None,
    horizon_days: Annotated[int, Query(ge=1, le=3650, description="time a deal has to get on")] = 90,
) -> schemas.Funnel:
    """Deals and value by stage, claimed beside earned; and of the deals that entered a stage within the window the
    share that got on within the horizon. Deals too young to judge are left out and counted as censored."""
    end = until or utc_now()
    start = since or end - _YEAR
    found, claimed, earned, moves = await Views(uow, None).funnel(pipeline, start, end, horizon_days)
    return schemas.Funnel(
        pipeline_key=found.key,
        pipeline_version=found.version,
        since=start,
        until=end,
        horizon_days=horizon_days,
        stages=[_stage(stage, claimed, earned, moves) for stage in found.stages],
    )


@router.get("/optimism-gap", dependencies=[requires("analytics:read")])
async def get_optimism_gap(
    uow: Uow, pipeline: Annotated[str | None, Query(max_length=64, description="all when left out")] = None
) -> schemas.OptimismGap:
    """The share of open value that is claimed further than the evidence reaches, overall and by owner."""
    owners = await Views(uow, None).optimism(pipeline)
    return schemas.OptimismGap(
        overall=schemas.Gap(**_gap(owners)),
        by_owner=[schemas.OwnerGap(owner_id=row["owner_id"], **_gap([row])) for row in owners],
    )


def _total(row: Mapping[str, Any] | None) -> schemas.Total:
    return schemas.Total(deals=row["deals"], amount=row["amount"]) if row else schemas.Total(deals=0, amount=0)  # pyright: ignore[reportArgumentType]


def _stage(
    stage: Stage, claimed: Mapping[str, Row], earned: Mapping[str, Row], moves: Mapping[str, Row]
) -> schemas.FunnelStage:
    found = moves.get(stage.key, {"entered": 0, "censored": 0, "reached": 0, "strictly": 0})
    judged = found["entered"] - found["censored"]
    return schemas.FunnelStage(
        key=stage.key,
        name=stage.name,
        category=stage.category,
        claimed=_total(claimed.get(stage.key)),
        earned=_total(earned.get(stage.key)),
        entered=found["entered"],
        censored=found["censored"],
        reached_later=found["reached"],
        reached_next=found["strictly"],
        conversion=ratio(found["reached"], judged),
        strict_conversion=ratio(found["strictly"], judged),
    )


def _gap(rows: Sequence[Row]) -> dict[str, Any]:
    def total(name: str) -> Any:
        return sum(row[name] for row in rows)

    return {
        "open": {"deals": total("open_deals"), "amount": total("open_amount")},
        "ahead": {"deals": total("ahead_deals"), "amount": total("ahead_amount")},
        "gap": ratio(total("ahead_amount"), total("open_amount")),
        "mean_rank_gap": ratio(total("rank_gap"), total("open_deals")),
    }
