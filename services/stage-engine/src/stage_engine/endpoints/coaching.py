"""Coaching and the activity funnel over HTTP."""

from typing import Annotated, Literal

from fastapi import Query, Response
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.web import Uow, router

from stage_engine.domain.figures.coaching import FEWEST_CASES, Comparison
from stage_engine.domain.figures.kinds import Group
from stage_engine.endpoints.figures import AS_TABLE, Asked, AsTable, Counting, table
from stage_engine.schemas import coaching as schemas
from stage_engine.service.coaching import Coaching

router = router("figures")

Period = Annotated[Literal["week", "month", "quarter", "year"], Query(description="cut the time into these")]


@router.get("/activity-funnel", responses={200: {"model": schemas.ActivityFunnel} | AS_TABLE}, response_model=None)
async def get_activity_funnel(
    uow: Uow, owners: Counting, asked: Asked, in_table: AsTable, period: Period = "month"
) -> Response | schemas.ActivityFunnel:
    """Activities, meetings, opportunities created and won, by person and period, of the people whom the caller sees."""
    found = await Coaching(uow, owners).funnel(asked, Group(period))
    rows = [schemas.FunnelRow.model_validate(each, from_attributes=True) for each in found]
    if in_table:
        return table(schemas.FunnelRow, rows, "activity-funnel")
    return schemas.ActivityFunnel(since=asked.since, until=asked.until, period=Group(period), rows=rows)


@router.get("/coaching", dependencies=[requires("opportunities:read")], response_model=None,
            responses={200: {"model": schemas.CoachingOut} | AS_TABLE})  # fmt: skip
async def get_coaching(uow: Uow, caller: Caller, asked: Asked, in_table: AsTable) -> Response | schemas.CoachingOut:
    """A person's figures beside the median of the team, each with the cases it rests on; the caller's own when no
    `person` is named. With too few cases there is no verdict."""
    person_id = asked.person or caller.person_id
    found = await Coaching(uow, Owners.seen_by(caller)).of(person_id, asked)
    rows = [_comparison(each) for each in found]
    if in_table:
        return table(schemas.Comparison, rows, "coaching")
    return schemas.CoachingOut(
        person=person_id, since=asked.since, until=asked.until, fewest_cases=FEWEST_CASES, figures=rows
    )


def _comparison(found: Comparison) -> schemas.Comparison:
    return schemas.Comparison(
        key=found.figure.key,
        title=found.figure.title,
        unit=found.figure.unit,
        currency=found.currency,
        value=found.value,
        n=found.n,
        team_median=found.team_median,
        people=found.people,
        verdict=found.verdict,
    )
