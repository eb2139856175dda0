"""Releases over HTTP."""

from fastapi import Response
from kit.http.auth import Caller, requires
from kit.http.web import Uow, router

from stage_engine.endpoints.versions import published_out
from stage_engine.schemas.releases import Release
from stage_engine.schemas.versions import PublishedOut
from stage_engine.service.releases import Releases

router = router("versions")


@router.post("/releases", status_code=201, dependencies=[requires("pipelines:write")])
async def release(body: Release, uow: Uow, caller: Caller, response: Response) -> PublishedOut:
    """Publish a pipeline together with versions of assessments and their points: readers see the old ones or the
    new ones, never some of each. 409 with all that is missing; otherwise refused as a publication is."""
    plan = body.migrate.plan() if body.migrate else None
    published = await Releases(uow, caller).release(
        body.pipeline, body.assessments, take_over_default=body.take_over_default, plan=plan
    )
    return published_out(body.pipeline, published, response)
