"""Writing assessments: drafts, immutable versions, retirement, and the templates to start from."""

from functools import lru_cache
from importlib import resources

from forms.definition import definition_hash
from forms.lint import Finding, Severity, is_light, lint
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import microseconds, utc_now
from kit.offload import Offload
from kit.operators import audit
from pydantic import TypeAdapter

from assessment.errors import (
    AssessmentKeyTaken,
    AssessmentNotFound,
    DefinitionInvalid,
    TemplateNotFound,
    VersionAlreadyRetired,
    VersionNotFound,
)
from assessment.messages import assessment_published, assessment_refused
from assessment.records import AssessmentRequest, DraftRecord, LintedDraft, Template, VersionRecord
from assessment.repository.authoring import AuthoringRepository
from assessment.schemas.authoring import DraftBody, NewAssessment, TemplateOut

LINT_SECONDS = 10


class Authoring:
    """Authoring on behalf of one caller. Every change leaves an audit entry."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = AuthoringRepository(uow.session, uow.tenant_id)

    async def create(self, new: NewAssessment) -> LintedDraft:
        """A new assessment with its draft. AssessmentKeyTaken when the key exists."""
        draft = await self._repository.insert_draft(
            new.key, new.title, new.description, new.definition, self._caller.subject
        )
        if draft is None:
            raise AssessmentKeyTaken(f"There is an assessment {new.key} already.")
        await audit.record(self._uow, self._caller, "assessment.created", new.key)
        return await self._linted(draft)

    async def change_draft(self, key: str, body: DraftBody, expected_revision: int) -> LintedDraft:
        """Replace the draft as it was read. Published versions stay as they are."""
        held = await self._locked(key)
        check_revision(expected_revision, held.draft_revision)
        draft = await self._repository.update_draft(
            key, body.title, body.description, body.definition, self._caller.subject
        )
        await audit.record(
            self._uow, self._caller, "assessment.draft_changed", key, draft_revision=draft.draft_revision
        )
        return await self._linted(draft)

    async def publish(self, key: str, *, template_key: str = "") -> tuple[VersionRecord, list[Finding]]:
        """A new immutable version of the draft, with the lint's findings. DefinitionInvalid when it has errors."""
        draft = await self._locked(key)
        findings = (await self._linted(draft)).findings
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors:
            raise DefinitionInvalid(errors)
        form = draft.next_form
        version = VersionRecord(
            assessment_key=key,
            version=form.version,
            title=form.title,
            description=form.description,
            questions=form.questions,
            definition_hash=definition_hash(form),
            published_at=utc_now(),
            published_by=self._caller.subject,
        )
        await self._repository.insert_version(version)
        await self._announce(version, form.version, template_key)
        await audit.record(self._uow, self._caller, "assessment.published", key, version=form.version)
        return version, findings

    async def retire(self, key: str, number: int) -> VersionRecord:
        """No new starts of a version. What was captured before now is still accepted."""
        draft = await self._locked(key)
        version = await self._repository.retire(key, number, self._caller.subject)
        if version is None:
            await self.version(key, number)
            raise VersionAlreadyRetired(f"Version {number} of {key} is retired already.")
        await self._announce(version, draft.latest_version)
        await audit.record(self._uow, self._caller, "assessment.retired", key, version=number)
        return version

    async def linted_draft(self, key: str) -> LintedDraft:
        """The assessment with its draft and what publishing it would say. AssessmentNotFound."""
        return await self._linted(await self.draft(key))

    async def _linted(self, draft: DraftRecord) -> LintedDraft:
        form = draft.next_form
        if is_light(form):
            return LintedDraft(draft, lint(form))
        offload = self._uow.resources.get(Offload)
        return LintedDraft(draft, await offload.run(lint, form, deadline=LINT_SECONDS))

    async def draft(self, key: str, *, for_update: bool = False) -> DraftRecord:
        """The assessment with its draft. AssessmentNotFound."""
        draft = await self._repository.draft(key, for_update=for_update)
        if draft is None:
            raise AssessmentNotFound(f"There is no assessment {key}.")
        return draft

    async def drafts(self, after: str, limit: int) -> list[DraftRecord]:
        """Assessments by key."""
        return await self._repository.drafts(after, limit)

    async def version(self, key: str, number: int) -> VersionRecord:
        """One published version. VersionNotFound."""
        version = await self._repository.version(key, number)
        if version is None:
            raise VersionNotFound(f"There is no published version {number} of {key}.")
        return version

    async def versions(self, key: str, after: int, limit: int) -> list[VersionRecord]:
        """Published versions of an assessment that exists."""
        await self.draft(key)
        return await self._repository.versions(key, after, limit)

    async def _locked(self, key: str) -> DraftRecord:
        # One author at a time, or two publications would take the same number.
        return await self.draft(key, for_update=True)

    async def announce_again(self, key: str, number: int, template_key: str) -> None:
        """Say once more that a version is there, as what a process template asks for."""
        await self._announce(await self.version(key, number), number, template_key)

    async def _announce(self, version: VersionRecord, latest_version: int, template_key: str = "") -> None:
        sequence = await self._repository.count_event(version.assessment_key, latest_version)
        self._uow.publish(assessment_published(version, template_key), sequence=sequence)


class ShippedAssessments:
    """Publishes shipped assessments that process templates ask for."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = AuthoringRepository(uow.session, uow.tenant_id)

    async def publish(self, request: AssessmentRequest) -> None:
        """Publish it under the key that is asked for. A version that is equal to it is announced again, so that it gets
        its points if it has none; a key of another content is refused by an event."""
        shipped = templates().get(request.template_key)
        if shipped is None:
            self._refuse(request, f"No assessment ships as {request.template_key}.")
            return
        caller = Principal(self._uow.tenant_id, request.requested_by, "", frozenset(), frozenset())
        authoring, key = Authoring(self._uow, caller), request.assessment_key
        draft = await self._repository.draft(key, for_update=True)
        if draft is None:
            content = TemplateOut.model_validate(shipped, from_attributes=True).model_dump()
            await authoring.create(NewAssessment.model_validate({**content, "key": key}))
        elif (draft.title, draft.questions) != (shipped.title, shipped.questions):
            self._refuse(request, f"There is an assessment {key} of another content.")
            return
        if draft is not None and draft.latest_version:
            await authoring.announce_again(key, draft.latest_version, request.template_key)
        else:
            await authoring.publish(key, template_key=request.template_key)

    def _refuse(self, request: AssessmentRequest, detail: str) -> None:
        now = utc_now()
        self._uow.publish(assessment_refused(request, detail, now), sequence=microseconds(now))


@lru_cache(1)
def templates() -> dict[str, Template]:
    """The shipped definitions by key, in its order."""
    read = TypeAdapter(Template).validate_json
    folder = resources.files("assessment") / "templates"
    found = [read(entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".json")]
    return {each.key: each for each in sorted(found, key=lambda each: each.key)}


def template(key: str) -> Template:
    """One shipped definition. TemplateNotFound."""
    found = templates().get(key)
    if found is None:
        raise TemplateNotFound(f"There is no template {key}.")
    return found
