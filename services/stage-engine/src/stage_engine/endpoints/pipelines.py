"""Authoring pipelines over HTTP; templates and partner feeds."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.domain.finding import LintFinding, Severity
from stage_engine.errors import TemplateNotFound
from stage_engine.repository.pipelines import PipelineRepository, Row
from stage_engine.schemas import pipelines as schemas
from stage_engine.service.feeds import add_partner_feed
from stage_engine.service.pipelines import Pipelines
from stage_engine.templates import templates

router = router("pipelines")

Key = Annotated[str, Path(max_length=64, examples=["field_example"])]


@router.get("/pipeline-templates", dependencies=[requires("pipelines:read")])
async def list_pipeline_templates() -> Page[schemas.TemplateSummary]:
    """Pipelines that are shipped, to start from."""
    items = [
        schemas.TemplateSummary(
            key=key, name=each["name"], stage_count=len(each["stages"]), rule_count=len(each["rules"])
        )
        for key, each in templates().items()
    ]
    return Page(items=items, next_cursor=None)


@router.get("/pipeline-templates/{key}", dependencies=[requires("pipelines:read")])
async def get_pipeline_template(key: Key) -> schemas.NewPipeline:
    """A shipped pipeline whole: what POST /v1/pipelines takes."""
    template = templates().get(key)
    if template is None:
        raise TemplateNotFound(f"there is no template {key!r}; there are {', '.join(templates())}")
    return schemas.NewPipeline(**template)


@router.post("/pipelines", status_code=201, dependencies=[requires("pipelines:write")])
async def create_pipeline(
    body: schemas.NewPipeline, uow: Uow, caller: Caller, response: Response
) -> schemas.PipelineOut:
    """A new pipeline with its draft; nothing is published yet."""
    row = await Pipelines(uow, caller).create(body.model_dump(mode="json"))
    response.headers["Location"] = f"/v1/pipelines/{body.key}"
    return _pipeline(row, response)


@router.get("/pipelines", dependencies=[requires("pipelines:read")])
async def list_pipelines(uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.PipelineOut]:
    """Pipelines by key."""
    found = await Pipelines(uow, caller).many(paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda row: [row["pipeline_key"]], _out)


@router.get("/pipelines/{key}", dependencies=[requires("pipelines:read")])
async def get_pipeline(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.PipelineOut:
    """A pipeline with its draft."""
    return _pipeline(await Pipelines(uow, caller).one(key), response)


@router.put("/pipelines/{key}/draft", dependencies=[requires("pipelines:write")])
async def change_pipeline_draft(
    key: Key, body: schemas.DraftBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
) -> schemas.PipelineOut:
    """Replace the draft. Published versions, and the deals pinned to them, stay as they are."""
    return _pipeline(await Pipelines(uow, caller).change_draft(key, body.model_dump(mode="json"), expected), response)


@router.post("/pipelines/{key}/lint", dependencies=[requires("pipelines:read")])
async def lint_pipeline(key: Key, uow: Uow, caller: Caller, body: schemas.DraftBody | None = None) -> schemas.LintOut:
    """What publishing would say of the content given, or of the draft when none is."""
    use = Pipelines(uow, caller)
    draft = (await use.one(key))["draft"]
    findings = await use.findings(draft if body is None else {"key": key, **body.model_dump(mode="json")})
    publishable = all(f.severity is not Severity.ERROR for f in findings)
    return schemas.LintOut(publishable=publishable, findings=_findings(findings))


@router.post("/pipelines/{key}/publish", status_code=201, dependencies=[requires("pipelines:write")])
async def publish_pipeline(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.PublishedOut:
    """Make the draft the next version, immutable from now on, for deals first seen afterwards. Refused with every error
    and its place in the draft."""
    row, findings = await Pipelines(uow, caller).publish(key)
    response.headers["Location"] = f"/v1/pipelines/{key}/versions"
    return schemas.PublishedOut(**_version(row).model_dump(), findings=_findings(findings))


@router.get("/pipelines/{key}/versions", dependencies=[requires("pipelines:read")])
async def list_pipeline_versions(key: Key, uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.VersionOut]:
    """Published versions, oldest first."""
    after = paging.after(int) or 0
    found = await Pipelines(uow, caller).versions(key, after, paging.limit + 1)
    return paging.page(found, lambda row: [row["version"]], _version)


@router.post("/partner-feeds", status_code=201, dependencies=[requires("partners:write")])
async def create_partner_feed(body: schemas.NewPartnerFeed, uow: Uow, caller: Caller) -> schemas.PartnerFeedOut:
    """Send every stage change of this tenant to a partner's topic too, from now on."""
    return _feed(await add_partner_feed(uow, caller, body.partner_key, body.topic))


@router.get("/partner-feeds", dependencies=[requires("partners:write")])
async def list_partner_feeds(uow: Uow, paging: Paging) -> Page[schemas.PartnerFeedOut]:
    """Partners' feeds by key."""
    repository = PipelineRepository(uow.session, uow.tenant_id)
    found = await repository.feeds(paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda row: [row["partner_key"]], _feed)


def _pipeline(row: Row, response: Response) -> schemas.PipelineOut:
    response.headers["ETag"] = etag(row["revision"])
    return _out(row)


def _out(row: Row) -> schemas.PipelineOut:
    names = ("revision", "newest_version", "draft", "created_at", "created_by", "updated_at", "updated_by")
    return schemas.PipelineOut(key=row["pipeline_key"], **{name: row[name] for name in names})


def _version(row: Row) -> schemas.VersionOut:
    names = ("version", "is_default", "document", "published_at", "published_by")
    return schemas.VersionOut(key=row["pipeline_key"], **{name: row[name] for name in names})


def _feed(row: Row) -> schemas.PartnerFeedOut:
    names = ("partner_key", "topic", "created_at", "created_by")
    return schemas.PartnerFeedOut(**{name: row[name] for name in names})


def _findings(findings: Sequence[LintFinding]) -> list[schemas.FindingOut]:
    return [
        schemas.FindingOut(
            severity=f.severity,
            code=f.code,
            pointer=f.pointer,
            message=f.message,
            witness=None if f.witness is None else dict(f.witness),
        )
        for f in findings
    ]
