"""Authoring over HTTP."""

from typing import Annotated

from fastapi import Path, Response
from forms.lint import Severity
from kit.http.auth import Caller, requires
from kit.http.bodies import DOCUMENT_BODY, accepts
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router
from pydantic import TypeAdapter

from assessment.records import DraftRecord, LintedDraft, VersionRecord
from assessment.schemas import authoring as schemas
from assessment.schemas.capture import MAX_INTEGER
from assessment.service.authoring import Authoring, template, templates

router = router("authoring")

_FINDINGS = TypeAdapter(list[schemas.Finding])
_QUESTIONS = TypeAdapter(list[schemas.QuestionBody])

Key = Annotated[str, Path(max_length=64, examples=["prospecting"])]
Number = Annotated[int, Path(ge=1, le=MAX_INTEGER, description="the version", examples=[1])]


@router.get("/assessment-templates", dependencies=[requires("assessments:read")])
async def list_assessment_templates() -> Page[schemas.TemplateSummary]:
    """Definitions that are shipped, to start from."""
    items = [schemas.TemplateSummary.model_validate(each, from_attributes=True) for each in templates().values()]
    return Page(items=items, next_cursor=None)


@router.get("/assessment-templates/{key}", dependencies=[requires("assessments:read")])
async def get_assessment_template(key: Key) -> schemas.TemplateOut:
    """A shipped definition whole: what POST /v1/assessments takes."""
    return schemas.TemplateOut.model_validate(template(key), from_attributes=True)


@router.post("/assessments", status_code=201, dependencies=[requires("assessments:write")])
@accepts(DOCUMENT_BODY)
async def create_assessment(
    body: schemas.NewAssessment, uow: Uow, caller: Caller, response: Response
) -> schemas.AssessmentOut:
    """A new assessment with its draft; nothing is published yet."""
    created = await Authoring(uow, caller).create(body)
    response.headers["Location"] = f"/v1/assessments/{body.key}"
    return _assessment(created, response)


@router.get("/assessments", dependencies=[requires("assessments:read")])
async def list_assessments(uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.AssessmentSummary]:
    """Assessments by key."""
    after = paging.after(str) or ""
    found = await Authoring(uow, caller).drafts(after, paging.limit + 1)
    return paging.page(found, lambda draft: [draft.key], _summary)


@router.get("/assessments/{key}", dependencies=[requires("assessments:read")])
async def get_assessment(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.AssessmentOut:
    """An assessment with its draft and what publishing it would say."""
    return _assessment(await Authoring(uow, caller).linted_draft(key), response)


@router.put("/assessments/{key}/draft", dependencies=[requires("assessments:write")])
@accepts(DOCUMENT_BODY)
async def change_assessment_draft(
    key: Key, body: schemas.DraftBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
) -> schemas.AssessmentOut:
    """Replace the draft. Published versions stay as they are."""
    return _assessment(await Authoring(uow, caller).change_draft(key, body, expected), response)


@router.post("/assessments/{key}/publish", status_code=201, dependencies=[requires("assessments:write")])
async def publish_assessment(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.PublishedOut:
    """Make the draft the next version, immutable from now on; `warnings` are what its author should look at."""
    version, findings = await Authoring(uow, caller).publish(key)
    response.headers["Location"] = f"/v1/assessments/{key}/versions/{version.version}"
    warnings = [
        schemas.Finding.model_validate(finding, from_attributes=True)
        for finding in findings
        if finding.severity is Severity.WARNING
    ]
    return schemas.PublishedOut(**dict(_version(version)), warnings=warnings)


@router.get("/assessments/{key}/versions", dependencies=[requires("assessments:read")])
async def list_assessment_versions(key: Key, uow: Uow, caller: Caller, paging: Paging) -> Page[schemas.VersionSummary]:
    """Published versions, oldest first."""
    after = paging.after(int) or 0
    found = await Authoring(uow, caller).versions(key, after, paging.limit + 1)
    return paging.page(found, lambda version: [version.version], _version_summary)


@router.get("/assessments/{key}/versions/{version}", dependencies=[requires("assessments:read")])
async def get_assessment_version(key: Key, version: Number, uow: Uow, caller: Caller) -> schemas.VersionOut:
    """A version as reps receive it, also after it was retired: devices may still hold answers to it."""
    return _version(await Authoring(uow, caller).version(key, version))


@router.post("/assessments/{key}/versions/{version}/retire", dependencies=[requires("assessments:write")])
async def retire_assessment_version(key: Key, version: Number, uow: Uow, caller: Caller) -> schemas.VersionOut:
    """No new starts from now on. Submissions captured before are still accepted."""
    return _version(await Authoring(uow, caller).retire(key, version))


def _summary(draft: DraftRecord) -> schemas.AssessmentSummary:
    return schemas.AssessmentSummary.model_validate(draft, from_attributes=True)


def _assessment(linted: LintedDraft, response: Response) -> schemas.AssessmentOut:
    draft = linted.draft
    response.headers["ETag"] = etag(draft.draft_revision)
    return schemas.AssessmentOut(
        **dict(_summary(draft)),
        description=draft.description,
        questions=_QUESTIONS.validate_python(draft.questions, from_attributes=True),
        created_at=draft.created_at,
        created_by=draft.created_by,
        findings=_FINDINGS.validate_python(linted.findings, from_attributes=True),
    )


def _version_summary(version: VersionRecord) -> schemas.VersionSummary:
    return schemas.VersionSummary.model_validate(version, from_attributes=True)


def _version(version: VersionRecord) -> schemas.VersionOut:
    return schemas.VersionOut.model_validate(version, from_attributes=True)
