"""What owners owe, over HTTP."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import available_timezones

from fastapi import Depends, Query
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router
from kit.ids import utc_now

from stage_engine.domain.owed import OwedState
from stage_engine.errors.figures import PeriodEmpty
from stage_engine.errors.work import ZoneUnknown
from stage_engine.records.figures import LeadTime
from stage_engine.records.work import ObligationRecord
from stage_engine.repository.obligations import Period, Wanted, Window
from stage_engine.schemas import obligations as schemas
from stage_engine.schemas.moments import Moment
from stage_engine.service.kpis import ratio
from stage_engine.service.obligations import Obligations

router = router("obligations")

_YEAR = timedelta(days=365)
Key = Annotated[str | None, Query(max_length=64, description="of this obligation only", examples=["first_call"])]
Person = Annotated[str | None, Query(max_length=64, examples=["005Qy00000AbCdEIAV"])]
Since = Annotated[Moment | None, Query(description="from here; a year before the end when left out")]
Until = Annotated[Moment | None, Query(description="before here; now when left out")]


def _wanted(
    state: Annotated[OwedState | None, Query(description="in this state only")] = None,
    owner_id: Person = None,
    team: Annotated[str | None, Query(max_length=64, description="of all who report to this person")] = None,
    key: Key = None,
    due_from: Annotated[Moment | None, Query(description="due from here")] = None,
    due_to: Annotated[Moment | None, Query(description="due before here")] = None,
) -> Wanted:
    return Wanted(state, owner_id, team, key, due_from, due_to)


@router.get("/obligations", dependencies=[requires("opportunities:read")])
async def list_obligations(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    wanted: Annotated[Wanted, Depends(_wanted)],
) -> Page[schemas.Obligation]:
    """What owners owe and owed, by the time it is due; a rep sees their own."""
    after = paging.after(datetime, str, str, datetime)
    found = await Obligations(uow, Owners.seen_by(caller)).many(wanted, after, paging.limit + 1)
    return paging.page(found, lambda each: [each.due, each.opportunity_id, each.key, each.made_at], _shown)


@router.get("/obligations/not", dependencies=[requires("analytics:read"), requires("opportunities:read")])
async def get_not_report(
    uow: Uow,
    caller: Caller,
    by: Annotated[Literal["person", "team"], Query(description="each owner, or each owner's manager")] = "person",
    period: Annotated[Period, Query(description="cut the time into these")] = "month",
    key: Key = None,
    since: Since = None,
    until: Until = None,
    zone: Annotated[str, Query(max_length=64, description="whose clock cuts it", examples=["Europe/Berlin"])] = "UTC",
) -> schemas.NotReport:
    """Who did not do all that was owed: what came due by person or team and period, how much of it was met, met late or
    missed, and of which subjects. A manager sees the team."""
    if zone not in available_timezones():
        raise ZoneUnknown(zone)
    window = _window(since, until, zone, key)
    found = await Obligations(uow, Owners.seen_by(caller)).totals(window, period, by)
    totals = [schemas.OwedTotal.model_validate(each, from_attributes=True) for each in found]
    return schemas.NotReport(since=window.since, until=window.until, totals=totals)


@router.get("/speed-to-lead", dependencies=[requires("analytics:read"), requires("opportunities:read")])
async def get_speed_to_lead(
    uow: Uow,
    caller: Caller,
    key: Annotated[
        str, Query(max_length=64, description="the obligation that is the first call", examples=["first_call"])
    ],
    since: Since = None,
    until: Until = None,
) -> schemas.SpeedToLead:
    """How long it took from the making of an obligation, such as a call within two hours, until it was met: median,
    p90 and the share in time, by the wall clock and in working hours, by owner, hour of day and source."""
    window = _window(since, until, "UTC", key)
    found = await Obligations(uow, Owners.seen_by(caller)).speed_to_lead(window)
    return schemas.SpeedToLead(
        key=key,
        since=window.since,
        until=window.until,
        overall=_time(found.overall),
        by_owner=_times(found.by_owner),
        by_hour=_times(found.by_hour),
        by_source=_times(found.by_source),
    )


def _window(since: datetime | None, until: datetime | None, zone: str, key: str | None) -> Window:
    end = until or utc_now()
    if since is not None and since >= end:
        raise PeriodEmpty("since", "until")
    return Window(since or end - _YEAR, end, zone, key)


def _shown(record: ObligationRecord) -> schemas.Obligation:
    return schemas.Obligation.model_validate(record, from_attributes=True)


def _times(found: Sequence[LeadTime]) -> list[schemas.LeadTime]:
    return [_time(each) for each in found]


def _time(found: LeadTime) -> schemas.LeadTime:
    share = ratio(found.in_time, found.judged)
    return schemas.LeadTime.model_validate({**asdict(found), "share_in_time": share})
