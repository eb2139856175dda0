"""Writing assessments: drafts, immutable versions, retirement, and the templates to start from."""

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from forms.definition import Form, definition_hash, form_from_json
from forms.lint import Finding, Severity, lint
from kit.database.unit_of_work import UnitOfWork
from kit.http import audit
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now

from assessment.errors import (
    AssessmentKeyTaken,
    AssessmentNotFound,
    DefinitionInvalid,
    TemplateNotFound,
    VersionAlreadyRetired,
    VersionNotFound,
)
from assessment.messages import AssessmentPublished, assessment_published
from assessment.repository.authoring import AuthoringRepository, Row
from assessment.schemas.authoring import DraftBody, NewAssessment, stored_question


def form_of(row: Row, version: int) -> Form:
    """The form that a draft or a version holds."""
    return form_from_json({**row, "key": row["assessment_key"]}, version)


def findings_of(row: Row) -> list[Finding]:
    """What publishing this draft would refuse or warn of."""
    return lint(form_of(row, row["latest_version"] + 1))


def _content(draft: DraftBody) -> dict[str, Any]:
    questions = [stored_question(question) for question in draft.questions]
    return {"title": draft.title, "description": draft.description, "questions": questions}


class Authoring:
    """Authoring on behalf of one caller. Every change leaves an audit entry."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = AuthoringRepository(uow.session, uow.tenant_id)

    async def create(self, new: NewAssessment) -> Row:
        """A new assessment with its draft. AssessmentKeyTaken when the key exists."""
        author = {"created_by": self._caller.subject, "updated_by": self._caller.subject}
        row = await self._repository.insert_draft({"assessment_key": new.key, **_content(new), **author})
        if row is None:
            raise AssessmentKeyTaken(f"There is an assessment {new.key} already.")
        await audit.record(self._uow, self._caller, "assessment.created", new.key)
        return row

    async def change_draft(self, assessment_key: str, draft: DraftBody, expected_revision: int) -> Row:
        """Replace the draft as it was read. Published versions stay as they are."""
        held = await self._locked(assessment_key)
        check_revision(expected_revision, held["draft_revision"])
        changed = {**_content(draft), "updated_by": self._caller.subject}
        row = await self._repository.update_draft(assessment_key, changed)
        assert row is not None
        await audit.record(
            self._uow, self._caller, "assessment.draft_changed", assessment_key, draft_revision=row["draft_revision"]
        )
        return row

    async def publish(self, assessment_key: str) -> tuple[Row, list[Finding]]:
        """A new immutable version of the draft, with the lint's warnings. DefinitionInvalid when it has errors."""
        draft = await self._locked(assessment_key)
        findings = findings_of(draft)
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors:
            raise DefinitionInvalid(errors)
        number = draft["latest_version"] + 1
        version: Row = {
            "assessment_key": assessment_key,
            "version": number,
            "title": draft["title"],
            "description": draft["description"],
            "questions": draft["questions"],
            "definition_hash": definition_hash(form_of(draft, number)),
            "published_at": utc_now(),
            "published_by": self._caller.subject,
            "retired_at": None,
            "retired_by": None,
        }
        await self._repository.insert_version(version)
        sequence = await self._repository.count_event(assessment_key, latest_version=number)
        self._uow.publish(_event(version), sequence=sequence)
        await audit.record(self._uow, self._caller, "assessment.published", assessment_key, version=number)
        return version, findings

    async def retire(self, assessment_key: str, number: int) -> Row:
        """No new starts of a version. What was captured before now is still accepted."""
        draft = await self._locked(assessment_key)
        version = await self._repository.retire(assessment_key, number, self._caller.subject)
        if version is None:
            await self.version(assessment_key, number)
            raise VersionAlreadyRetired(f"Version {number} of {assessment_key} is retired already.")
        sequence = await self._repository.count_event(assessment_key, latest_version=draft["latest_version"])
        self._uow.publish(_event(version), sequence=sequence)
        await audit.record(self._uow, self._caller, "assessment.retired", assessment_key, version=number)
        return version

    async def draft(self, assessment_key: str) -> Row:
        """The assessment with its draft."""
        row = await self._repository.draft(assessment_key)
        if row is None:
            raise _no_assessment(assessment_key)
        return row

    async def drafts(self, after: str, limit: int) -> list[Row]:
        """Assessments by key."""
        return await self._repository.drafts(after, limit)

    async def version(self, assessment_key: str, number: int) -> Row:
        """One published version."""
        row = await self._repository.version(assessment_key, number)
        if row is None:
            raise VersionNotFound(f"There is no published version {number} of {assessment_key}.")
        return row

    async def versions(self, assessment_key: str, after: int, limit: int) -> list[Row]:
        """Published versions of an assessment that exists."""
        await self.draft(assessment_key)
        return await self._repository.versions(assessment_key, after, limit)

    async def _locked(self, assessment_key: str) -> Row:
        # One author at a time, or two publications would take the same number.
        row = await self._repository.locked_draft(assessment_key)
        if row is None:
            raise _no_assessment(assessment_key)
        return row


def _no_assessment(assessment_key: str) -> AssessmentNotFound:
    return AssessmentNotFound(f"There is no assessment {assessment_key}.")


def _event(version: Row) -> AssessmentPublished:
    form = form_of(version, version["version"])
    return assessment_published(form, version["published_at"], retired=version["retired_at"] is not None)


@lru_cache(1)
def templates() -> dict[str, dict[str, Any]]:
    """The shipped definitions by key."""
    folder = resources.files("assessment") / "templates"
    documents = [json.loads(entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".json")]
    return {document["key"]: document for document in sorted(documents, key=lambda document: document["key"])}


def template(key: str) -> dict[str, Any]:
    """One shipped definition. TemplateNotFound."""
    document = templates().get(key)
    if document is None:
        raise TemplateNotFound(f"There is no template {key}.")
    return document
