"""Versions of pipelines, and how opportunities get from one to another, over HTTP."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import Body, Path, Query, Response
from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router
from pydantic import Field

from stage_engine.domain.document import from_document
from stage_engine.domain.wording import differences
from stage_engine.endpoints.pipelines import Key, findings_out, version_out
from stage_engine.records.pipelines import MigrationRecord, VersionSummary
from stage_engine.schemas import versions as schemas
from stage_engine.service.authoring import Authoring, Published
from stage_engine.service.migrating import Migrating
from stage_engine.service.versions import Mover, Versions

router = router("versions")

Which = Annotated[str, Field(pattern=r"^(draft|[1-9][0-9]{0,8})$")]

# A dry run may leave the body out: each stage goes to the one of the same key.
Plan = Annotated[schemas.PlanBody, Body(default_factory=schemas.PlanBody)]
Number = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="a published version, or the next number: the draft", examples=[2])
]


@router.post("/pipelines/{key}/publish", status_code=201, dependencies=[requires("pipelines:write")])
async def publish_pipeline(
    key: Key, uow: Uow, caller: Caller, response: Response, body: schemas.Publication | None = None
) -> schemas.PublishedOut:
    """Make the draft the next version, immutable from now on, for opportunities first observed afterwards; with
    `migrate`, for those under way as well. Refused with every error and its place in the draft; with 409 when it would
    become the default in another pipeline's place unasked, or when the plan has no place for live opportunities."""
    given = body or schemas.Publication()
    plan = given.migrate.plan() if given.migrate else None
    published = await Authoring(uow, caller).publish(key, take_over_default=given.take_over_default, plan=plan)
    return published_out(key, published, response)


def published_out(key: str, published: Published, response: Response) -> schemas.PublishedOut:
    response.headers["Location"] = f"/v1/pipelines/{key}/versions/{published.version.version}"
    return schemas.PublishedOut(
        **version_out(published.version).model_dump(),
        findings=findings_out(published.findings),
        staying=[schemas.HeldOut(version=v, opportunities=count) for v, count in published.staying.items()],
        migration=migration_out(published.migration) if published.migration else None,
    )


@router.get("/pipelines/{key}/versions", dependencies=[requires("pipelines:read")])
async def list_pipeline_versions(key: Key, uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.VersionSummary]:
    """Published versions, oldest first, without their documents, with the live opportunities that each still holds."""
    found = await Authoring(uow, caller).versions(key, paging.after(int) or 0, paging.limit + 1)
    live = await Versions(uow).live(key)

    def item(version: VersionSummary) -> schemas.VersionSummary:
        given = {**asdict(version), "opportunities": live.get(version.version, 0)}
        return schemas.VersionSummary.model_validate(given)

    return paging.page(found, lambda version: [version.version], item)


@router.get("/pipelines/{key}/diff", dependencies=[requires("pipelines:read")])
async def diff_pipeline_versions(
    key: Key,
    uow: Uow,
    caller: Caller,
    before: Annotated[Which | None, Query(alias="from", description="the newest when left out", examples=["1"])] = None,
    after: Annotated[Which, Query(alias="to", description="a version, or `draft`", examples=["draft"])] = "draft",
) -> schemas.DiffOut:
    """What differs between two versions, or a version and the draft, in words."""
    authoring = Authoring(uow, caller)
    first = before or str((await authoring.one(key)).newest_version)
    old, new = await authoring.content(key, first), await authoring.content(key, after)
    changes = [schemas.DifferenceOut.model_validate(each, from_attributes=True) for each in differences(old, new)]
    return schemas.DiffOut(key=key, from_version=first, to_version=after, changes=changes)


@router.post("/pipelines/{key}/versions/{version}/plan", dependencies=[requires("pipelines:write")])
async def plan_migration(
    key: Key, version: Number, body: Plan, uow: Uow, caller: Caller, paging: Paging
) -> schemas.DryRunOut:
    """What migrating all live opportunities to this version would do: how many go from which stage to which, who has no
    place, and page by page who goes, and where rules would take them at the next input. Nothing is changed."""
    target = await Authoring(uow, caller).target(key, version)
    found = await Versions(uow).dry_run(target, body.plan(), paging.after(str) or "", paging.limit + 1)
    page = paging.page(found.movers, lambda each: [each.opportunity_id], _mover)
    return schemas.DryRunOut(
        items=page.items,
        next_cursor=page.next_cursor,
        version=found.version,
        flows=[schemas.FlowOut.model_validate(each, from_attributes=True) for each in found.flows],
        without_target=[schemas.OrphansOut.model_validate(each, from_attributes=True) for each in found.nowhere],
        can_be_undone=found.is_injective,
        pending_approvals=found.pending_approvals,
    )


@router.post(
    "/pipelines/{key}/versions/{version}/migrations", status_code=201, dependencies=[requires("pipelines:write")]
)
async def start_migration(
    key: Key, version: Number, body: schemas.PlanBody, uow: Uow, caller: Caller, response: Response
) -> schemas.MigrationOut:
    """Carry all live opportunities of other versions to this published one, page by page in the background. 409 with
    the stages and counts that have no place."""
    target = await Authoring(uow, caller).version(key, version)
    pipeline = from_document(target.document, target.version)
    return _started(await Migrating(uow, caller).start(pipeline, body.plan()), response)


@router.get("/pipelines/{key}/migrations", dependencies=[requires("pipelines:read")])
async def list_migrations(key: Key, uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.MigrationOut]:
    """Migrations of a pipeline, oldest first."""
    await Authoring(uow, caller).one(key)
    found = await Migrating(uow, caller).many(key, paging.after(UUID) or UUID(int=0), paging.limit + 1)
    return paging.page(found, lambda each: [each.migration_id], migration_out)


@router.get("/pipelines/{key}/migrations/{migration_id}", dependencies=[requires("pipelines:read")])
async def get_migration(key: Key, migration_id: UUID, uow: Uow, caller: Caller) -> schemas.MigrationOut:
    """How far a migration is."""
    return migration_out(await Migrating(uow, caller).one(key, migration_id))


@router.post(
    "/pipelines/{key}/migrations/{migration_id}/undo", status_code=201, dependencies=[requires("pipelines:write")]
)
async def undo_migration(
    key: Key, migration_id: UUID, uow: Uow, caller: Caller, response: Response
) -> schemas.MigrationOut:
    """Carry the opportunities of a finished migration back to the versions and stages that they came from. 409 where
    it brought several stages together in one."""
    return _started(await Migrating(uow, caller).undo(key, migration_id), response)


def migration_out(found: MigrationRecord) -> schemas.MigrationOut:
    plan = schemas.PlanBody(
        stages=dict(found.plan.stages),
        overrides=found.plan.overrides,
        proposals=found.plan.proposals,
        approvals=found.plan.approvals,
    )
    return schemas.MigrationOut(
        migration_id=found.migration_id,
        pipeline_key=found.pipeline_key,
        to_version=found.to_version,
        undoes=found.undoes,
        plan=plan,
        can_be_undone=found.undoes is None and found.plan.is_injective,
        planned=found.planned,
        moved=found.moved,
        left=found.left,
        started_at=found.started_at,
        started_by=found.started_by,
        finished_at=found.finished_at,
    )


def _started(found: MigrationRecord, response: Response) -> schemas.MigrationOut:
    response.headers["Location"] = f"/v1/pipelines/{found.pipeline_key}/migrations/{found.migration_id}"
    return migration_out(found)


def _mover(each: Mover) -> schemas.MoverOut:
    return schemas.MoverOut.model_validate(each, from_attributes=True)
