"""Authoring pipelines over HTTP, and templates to start from."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path, Response
from kit.http.auth import Caller, requires
from kit.http.bodies import DOCUMENT_BODY, accepts
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.web import ManyUows, Uow, router

from stage_engine.domain.document import from_document
from stage_engine.domain.finding import LintFinding, Severity
from stage_engine.records.pipelines import PipelineRecord, PipelineSummary, VersionRecord
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


@router.get("/stages", dependencies=[requires("stages:read")])
async def list_stages(uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.StagesOut]:
    """The stages of each published pipeline, in its newest version: what a partner needs to read stage changes."""
    found = await Authoring(uow, caller).newest_versions(paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda version: [version.pipeline_key], _stages)


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
async def list_pipelines(uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.PipelineSummary]:
    """Pipelines by key, without their drafts."""
    found = await Authoring(uow, caller).many(paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda pipeline: [pipeline.pipeline_key], _summary)


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


@router.post("/pipelines/{key}/lint", dependencies=[requires("pipelines:write")])
@accepts(DOCUMENT_BODY)
async def lint_pipeline(
    key: Key, uows: ManyUows, caller: Caller, body: schemas.DraftBody | None = None
) -> schemas.LintOut:
    """What publishing would say of the content given, or of the draft when none is."""
    content = None if body is None else body.model_dump(mode="json")
    async with uows.begin() as uow:
        question = await Authoring(uow, caller).question(key, content)
    findings = await question.findings()
    publishable = all(f.severity is not Severity.ERROR for f in findings)
    return schemas.LintOut(publishable=publishable, findings=findings_out(findings))


@router.get("/pipelines/{key}/findings", dependencies=[requires("pipelines:read")])
async def list_pipeline_findings(key: Key, uow: Uow, caller: Caller) -> Page[schemas.VersionFindingOut]:
    """Rules of the versions in use that cannot hold any more since an assessment got other points, with how many open
    opportunities wait for them."""
    found = await Authoring(uow, caller).findings_now(key)
    items = [
        schemas.VersionFindingOut(
            **findings_out([each.finding])[0].model_dump(), version=each.version, opportunities=each.opportunities
        )
        for each in found
    ]
    return Page(items=items, next_cursor=None)


@router.get("/pipelines/{key}/versions/{version}", dependencies=[requires("pipelines:read")])
async def get_pipeline_version(
    key: Key, version: Annotated[int, Path(ge=1, le=2**31 - 1, examples=[1])], uow: Uow, caller: Caller
) -> schemas.VersionOut:
    """A published version with its document."""
    return version_out(await Authoring(uow, caller).version(key, version))


def _pipeline(pipeline: PipelineRecord, response: Response) -> schemas.PipelineOut:
    response.headers["ETag"] = etag(pipeline.revision)
    return _out(pipeline)


def _summary(pipeline: PipelineSummary) -> schemas.PipelineSummary:
    return schemas.PipelineSummary.model_validate(pipeline, from_attributes=True)


def _out(pipeline: PipelineRecord) -> schemas.PipelineOut:
    return schemas.PipelineOut.model_validate(pipeline, from_attributes=True)


def _stages(version: VersionRecord) -> schemas.StagesOut:
    pipeline = from_document(version.document, version.version)
    stages = [schemas.StageOut(key=each.key, name=each.name, category=each.category) for each in pipeline.stages]
    return schemas.StagesOut(key=pipeline.key, version=pipeline.version, name=pipeline.name, stages=stages)


def version_out(version: VersionRecord) -> schemas.VersionOut:
    return schemas.VersionOut.model_validate(version, from_attributes=True)


def findings_out(findings: Sequence[LintFinding]) -> list[schemas.FindingOut]:
    return [schemas.FindingOut.model_validate(each, from_attributes=True) for each in findings]
