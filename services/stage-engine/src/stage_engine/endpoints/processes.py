"""Process templates over HTTP."""

import asyncio
from typing import Annotated

from fastapi import Body, Path, Response
from kit.http.auth import Caller, requires
from kit.http.pagination import Page
from kit.http.web import ManyUows, router
from kit.ids import uuid7

from stage_engine.endpoints.pipelines import findings_out
from stage_engine.processes import ProcessTemplate, process_templates
from stage_engine.schemas.processes import InstallBody, InstalledOut, ProcessTemplateOut
from stage_engine.service.installing import Installing, order_of

router = router("process templates")

Key = Annotated[str, Path(max_length=64, examples=["bant_lead"])]
# Nothing has to be said: the body may be left out.
Options = Annotated[InstallBody, Body(default_factory=InstallBody)]

# For assessments and their points, which other services publish; usually it takes less than one.
PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.1
_OTHER_ANSWERS = {
    200: {"model": InstalledOut, "description": "All of it was there already: nothing changed."},
    202: {"model": InstalledOut, "description": "Points are not published yet. Repeat the call: it goes on."},
}


@router.get("/process-templates", dependencies=[requires("pipelines:read")])
async def list_process_templates() -> Page[ProcessTemplateOut]:
    """Processes that are shipped, to start from."""
    return Page(items=[_shown(each) for each in process_templates().values()], next_cursor=None)


@router.post(
    "/process-templates/{key}/install",
    status_code=201,
    dependencies=[requires("pipelines:write")],
    responses=_OTHER_ANSWERS,  # pyright: ignore[reportArgumentType]
)
async def install_process_template(
    key: Key, body: Options, uows: ManyUows, caller: Caller, response: Response
) -> InstalledOut:
    """Install assessments, points, pipelines and assignment rules of a process. Pipelines and assignment rules come
    into force together, once the points are there. Repeat the call as often as you like: what is there stays. 409
    `template_refused` with all that is there under the same keys with another content."""
    order = order_of(key, body.prefix, body.people, caller, take_over_default=body.take_over_default)
    request_id = uuid7()
    async with uows.begin() as uow:
        found = await Installing(uow, caller).go_on(order, request_id, asks=True)
    changed, patience = found.changed, PATIENCE_SECONDS
    while found.waiting_for and patience > 0:
        patience -= _POLL_SECONDS
        await asyncio.sleep(_POLL_SECONDS)
        async with uows.begin() as uow:
            found = await Installing(uow, caller).go_on(order, request_id, asks=False)
        changed = changed or found.changed
    response.status_code = 202 if found.waiting_for else 201 if changed else 200
    return InstalledOut(
        pipelines=dict(found.pipelines),
        assessments=dict(found.assessments),
        assignment_rules=dict(found.assignment_rules),
        waiting_for=list(found.waiting_for),
        changed=changed,
        findings=findings_out(found.findings),
    )


def _shown(template: ProcessTemplate) -> ProcessTemplateOut:
    return ProcessTemplateOut(
        key=template.key,
        name=template.name,
        description=template.description,
        pipelines=[each if isinstance(each, str) else each["key"] for each in template.pipelines],
        assessments=list(template.assessments),
        pools=list(template.pools),
    )
