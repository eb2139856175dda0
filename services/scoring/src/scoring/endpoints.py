"""The API of scoring profiles and scores."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query, Response, status
from kit.http.auth import Caller, requires
from kit.http.bodies import DOCUMENT_BODY, accepts
from kit.http.etag import IfMatch, etag
from kit.http.pagination import Page, Paging
from kit.http.texts import RecordId
from kit.http.web import ManyUows, Uow, router

from scoring.domain.lint import Analysis
from scoring.errors import ProfileTemplateNotFound
from scoring.records import ProfileRecord
from scoring.schemas import (
    ContributionView,
    FindingView,
    PreviewRequest,
    ProfileBody,
    ProfileChange,
    ProfileDraft,
    ProfileStatus,
    ProfileSummary,
    ProfileView,
    ReachableView,
    ScoreSummaryView,
    ScoreTrace,
    ScoreView,
    SectionScoreView,
    TemplateSummary,
    TemplateView,
)
from scoring.service.profiles import ProfileService
from scoring.service.reading import Reading
from scoring.service.submissions import contributions_of, sections_of
from scoring.templates import profile_templates

router = router("scoring")
_READ = [requires("profiles:read")]
_WRITE = [requires("profiles:write")]
_SCORES = [requires("scores:read")]


def _status(profile: ProfileRecord) -> ProfileStatus:
    return ProfileStatus.DRAFT if profile.version is None else ProfileStatus.PUBLISHED


def _summary(profile: ProfileRecord) -> ProfileSummary:
    return ProfileSummary.model_validate({**asdict(profile), "status": _status(profile)}, extra="ignore")


def _view(profile: ProfileRecord, found: Analysis | None, response: Response) -> ProfileView:
    response.headers["ETag"] = etag(profile.revision)
    reach = found.reachable if found else None
    return ProfileView(
        **_summary(profile).model_dump(),
        profile=ProfileBody.model_validate(profile.points),
        findings=found
        and [
            FindingView(severity=each.severity.value, code=each.code, pointer=each.pointer, message=each.message)
            for each in found.findings
        ],
        reachable=reach
        and ReachableView(minimum=reach.minimum, maximum=reach.maximum, scores=list(reach.scores), exact=reach.exact),
    )


@router.post("/scoring-profiles", status_code=status.HTTP_201_CREATED, dependencies=_WRITE)
@accepts(DOCUMENT_BODY)
async def create_scoring_profile(draft: ProfileDraft, uow: Uow, caller: Caller, response: Response) -> ProfileView:
    """Start a draft for one version of an assessment."""
    service = ProfileService(uow, caller)
    made = await service.create(
        draft.assessment_key, draft.assessment_version, draft.title, draft.profile.model_dump(mode="json")
    )
    response.headers["Location"] = f"/v1/scoring-profiles/{made.profile_id}"
    return _view(made, await (await service.material(made)).analysis(), response)


@router.get("/scoring-profiles", dependencies=_READ)
async def list_scoring_profiles(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    assessment_key: Annotated[str | None, Query(max_length=100)] = None,
    assessment_version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Page[ProfileSummary]:
    """Drafts and published profiles in the order they were created."""
    after = paging.after(UUID)
    found = await ProfileService(uow, caller).list(assessment_key, assessment_version, after, paging.limit + 1)
    return paging.page(found, lambda profile: [profile.profile_id], _summary)


@router.get("/scoring-profiles/{profile_id}", dependencies=_READ)
async def get_scoring_profile(profile_id: UUID, uows: ManyUows, caller: Caller, response: Response) -> ProfileView:
    """One profile with its findings and the totals it can give."""
    async with uows.begin() as uow:
        service = ProfileService(uow, caller)
        material = await service.material(await service.get(profile_id))
    return _view(material.row, await material.analysis(), response)


@router.put("/scoring-profiles/{profile_id}", dependencies=_WRITE)
@accepts(DOCUMENT_BODY)
async def replace_scoring_profile(
    profile_id: UUID, change: ProfileChange, revision: IfMatch, uows: ManyUows, caller: Caller, response: Response
) -> ProfileView:
    """Replace the points of a draft."""
    points = change.profile.model_dump(mode="json")
    async with uows.begin() as uow:
        service = ProfileService(uow, caller)
        material = await service.material(await service.change(profile_id, revision, change.title, points))
    return _view(material.row, await material.analysis(), response)


@router.post("/scoring-profiles/{profile_id}/publish", dependencies=_WRITE)
async def publish_scoring_profile(profile_id: UUID, uow: Uow, caller: Caller, response: Response) -> ProfileView:
    """Freeze a draft and score by it from now on. Submissions that waited for a profile are scored too.

    409 `assessment_unknown` until the published assessment has arrived here: try again.
    """
    service = ProfileService(uow, caller)
    published = await service.publish(profile_id)
    return _view(published, await (await service.material(published)).analysis(), response)


@router.post("/scoring-profiles/{profile_id}/preview", dependencies=_READ)
@accepts(DOCUMENT_BODY)
async def preview_score(profile_id: UUID, request: PreviewRequest, uows: ManyUows, caller: Caller) -> ScoreTrace:
    """The score these answers would get, with its trace. Nothing is stored."""
    async with uows.begin() as uow:
        service = ProfileService(uow, caller)
        material = await service.material(await service.get(profile_id))
    profile, found = await material.preview(request.answers)
    return ScoreTrace(
        score=found.score,
        scale=profile.scale,
        raw_points=found.raw,
        reachable_min=found.reachable_min,
        reachable_max=found.reachable_max,
        percent=found.percent,
        complete=found.complete,
        sections=[SectionScoreView.model_validate(each) for each in sections_of(found)],
        contributions=[ContributionView.model_validate(each) for each in contributions_of(found)],
        inputs_hash=found.inputs_hash,
    )


@router.get("/profile-templates", dependencies=_READ)
async def list_profile_templates() -> Page[TemplateSummary]:
    """Ready profiles, each for the assessment template of the same key."""
    return Page(
        items=[
            TemplateSummary(
                key=each.key, title=each.title, description=each.description, assessment_key=each.assessment_key
            )
            for each in profile_templates().values()
        ],
        next_cursor=None,
    )


@router.get("/profile-templates/{key}", dependencies=_READ)
async def get_profile_template(key: Annotated[str, Path(examples=["prospecting"])]) -> TemplateView:
    """A ready profile, to be sent as `profile` of a draft."""
    template = profile_templates().get(key)
    if template is None:
        raise ProfileTemplateNotFound("There is no such template.")
    return TemplateView(
        key=template.key,
        title=template.title,
        description=template.description,
        assessment_key=template.assessment_key,
        profile=ProfileBody.model_validate(template.profile),
    )


@router.get("/submissions/{submission_id}/score", dependencies=_SCORES)
async def get_submission_score(submission_id: UUID, uow: Uow, caller: Caller) -> ScoreView:
    """The newest score of a submission, with every answer's part in it.

    404 `score_pending` while the submission waits for a published profile.
    """
    return ScoreView.model_validate(await Reading(uow, caller).newest(submission_id))


@router.get("/scores", dependencies=_SCORES)
async def list_scores(
    opportunity_id: Annotated[RecordId, Query(min_length=1, max_length=200)], uow: Uow, caller: Caller, paging: Paging
) -> Page[ScoreSummaryView]:
    """Scores of an opportunity, newest first, without their parts; a rep sees those of their own."""
    found = await Reading(uow, caller).scores(opportunity_id, paging.after(datetime, UUID), paging.limit + 1)
    return paging.page(found, lambda score: [score.scored_at, score.score_id], ScoreSummaryView.model_validate)
