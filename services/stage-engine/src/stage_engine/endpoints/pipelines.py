"""Authoring pipelines over HTTP, and templates to start from."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path, Response
from kit.http.auth import Caller, requires
from kit.http.bodies import DOCUMENT_BODY, accepts
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.domain.finding import LintFinding, Severity
from stage_engine.records import PipelineRecord, VersionRecord
from stage_engine.schemas import pipelines as schemas
from stage_engine.service.authoring import Authoring, template
from stage_engine.templates import templates

router = router("pipelines")

Key = Annotated[str, Path(max_length=64, examples=["field_example"])]


@router.get("/pipeline-templates", dependencies=[requires("pipelines:read")])
async def list_pipeline_templates() -> Page[schemas.TemplateSummary]:
    """Pipelines that are shipped, to start from."""
    shipped = [schemas.NewPipeline(**each) for each in templates().values()]
    items = [
        schemas.TemplateSummary(key=t.key, name=t.name, stage_count=len(t.stages), rule_count=len(t.rules))
        for t in shipped
    ]
    return Page(items=items, next_cursor=None)


@router.get("/pipeline-templates/{key}", dependencies=[requires("pipelines:read")])
async def get_pipeline_template(key: Key) -> schemas.NewPipeline:
    """A shipped pipeline whole: what POST /v1/pipelines takes."""
    return schemas.NewPipeline(**template(key))


@router.post("/pipelines", status_code=201, dependencies=[requires("pipelines:write")])
@accepts(DOCUMENT_BODY)
async def create_pipeline(
    body: schemas.NewPipeline, uow: Uow, caller: Caller, response: Response
) -> schemas.PipelineOut:
    """A new pipeline with its draft; nothing is published yet."""
    pipeline = await Authoring(uow, caller).create(body.key, body.model_dump(mode="json"))
    response.headers["Location"] = f"/v1/pipelines/{body.key}"
    return _pipeline(pipeline, response)


@router.get("/pipelines", dependencies=[requires("pipelines:read")])
async def list_pipelines(uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.PipelineOut]:
    """Pipelines by key."""
    found = await Authoring(uow, caller).many(paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda pipeline: [pipeline.pipeline_key], _out)


@router.get("/pipelines/{key}", dependencies=[requires("pipelines:read")])
async def get_pipeline(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.PipelineOut:
    """A pipeline with its draft."""
    return _pipeline(await Authoring(uow, caller).one(key), response)


@router.put("/pipelines/{key}/draft", dependencies=[requires("pipelines:write")])
@accepts(DOCUMENT_BODY)
async def change_pipeline_draft(
    key: Key, body: schemas.DraftBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
) -> schemas.PipelineOut:
    """Replace the draft. Published versions, and the opportunities pinned to them, stay as they are."""
    return _pipeline(await Authoring(uow, caller).change_draft(key, body.model_dump(mode="json"), expected), response)


@router.post("/pipelines/{key}/lint", dependencies=[requires("pipelines:read")])
@accepts(DOCUMENT_BODY)
async def lint_pipeline(key: Key, uow: Uow, caller: Caller, body: schemas.DraftBody | None = None) -> schemas.LintOut:
    """What publishing would say of the content given, or of the draft when none is."""
    content = None if body is None else body.model_dump(mode="json")
    findings = await Authoring(uow, caller).findings(key, content)
    publishable = all(f.severity is not Severity.ERROR for f in findings)
    return schemas.LintOut(publishable=publishable, findings=_findings(findings))


@router.post("/pipelines/{key}/publish", status_code=201, dependencies=[requires("pipelines:write")])
async def publish_pipeline(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.PublishedOut:
    """Make the draft the next version, immutable from now on, for opportunities first observed afterwards. Refused with
    every error and its place in the draft."""
    published = await Authoring(uow, caller).publish(key)
    response.headers["Location"] = f"/v1/pipelines/{key}/versions"
    return schemas.PublishedOut(**_version(published.version).model_dump(), findings=_findings(published.findings))


@router.get("/pipelines/{key}/versions", dependencies=[requires("pipelines:read")])
async def list_pipeline_versions(key: Key, uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.VersionOut]:
    """Published versions, oldest first."""
    after = paging.after(int) or 0
    found = await Authoring(uow, caller).versions(key, after, paging.limit + 1)
    return paging.page(found, lambda version: [version.version], _version)


def _pipeline(pipeline: PipelineRecord, response: Response) -> schemas.PipelineOut:
    response.headers["ETag"] = etag(pipeline.revision)
    return _out(pipeline)


def _out(pipeline: PipelineRecord) -> schemas.PipelineOut:
    return schemas.PipelineOut.model_validate(pipeline, from_attributes=True)


def _version(version: VersionRecord) -> schemas.VersionOut:
    return schemas.VersionOut.model_validate(version, from_attributes=True)


def _findings(findings: Sequence[LintFinding]) -> list[schemas.FindingOut]:
    return [schemas.FindingOut.model_validate(each, from_attributes=True) for each in findings]
