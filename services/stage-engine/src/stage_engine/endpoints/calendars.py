"""Business hours over HTTP."""

from typing import Annotated

from fastapi import Path, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.web import Uow, router

from stage_engine.schemas.calendars import SCOPE, CalendarBody, CalendarOut, shown
from stage_engine.service.calendars import Calendars

router = router("calendars")

Scope = Annotated[
    str,
    Path(
        pattern=SCOPE,
        max_length=80,
        description="the tenant's, those of all who report to a person, or a person's own",
        examples=["tenant", "team:005Qy00000AbCdEIAV", "person:005Qy00000AbCdEIAV"],
    ),
]


@router.get("/calendars/{scope}", dependencies=[requires("pipelines:read")])
async def get_calendar(scope: Scope, uow: Uow, response: Response) -> CalendarOut:
    """When people work: a person's own hours go before those of the nearest team, and these before the tenant's. The
    ETag is the revision."""
    found = await Calendars(uow).one(scope)
    response.headers["ETag"] = etag(found.revision)
    return shown(found.scope, found.revision, found.calendar)


@router.put("/calendars/{scope}", dependencies=[requires("pipelines:write")])
async def put_calendar(
    scope: Scope, body: CalendarBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
) -> CalendarOut:
    """Set the hours for what is timed from now on; the first ones with If-Match "0". Timers that run
    keep the hours that they were set by."""
    put = await Calendars(uow).put(scope, body.calendar(), expected, caller)
    response.headers["ETag"] = etag(put.revision)
    return shown(put.scope, put.revision, put.calendar)
