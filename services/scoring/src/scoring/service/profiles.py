"""Writing, checking, publishing and trying out scoring profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from forms.answers import AnswerMalformed, Value, parse_number
from forms.check import check_answers, visible_questions
from forms.definition import Form, Question, QuestionType, form_from_json, plain
from forms.lint import Finding, Severity
from google.protobuf.timestamp_pb2 import Timestamp
from kit import audit
from kit.auth import Principal
from kit.db import UnitOfWork
from kit.etag import check_revision
from kit.ids import utc_now, uuid7
from stagecraft.scoring.v1.scoring_profile_published_pb2 import QuestionCeiling, ScoringProfilePublished

from scoring.domain.lint import has_errors, lint_profile
from scoring.domain.plan import ScoringPlan, compile_plan
from scoring.domain.profile import Profile, profile_from_json
from scoring.domain.reach import Reachable, reachable
from scoring.domain.score import Score, score
from scoring.errors import AnswersInvalid, AssessmentUnknown, ProfileAlreadyPublished, ProfileInvalid, ProfileNotFound
from scoring.repository import Row, ScoringRepository
from scoring.service.records import SCALE_TO_PROTO
from scoring.service.submissions import SubmissionService


@dataclass(frozen=True, slots=True)
class ProfileCheck:
    """What is known of a profile once its assessment is; `reachable` is None while there are errors."""

    findings: list[Finding]
    reachable: Reachable | None


class ProfileService:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = ScoringRepository(uow.session, uow.tenant_id)

    async def create(self, assessment_key: str, assessment_version: int, title: str, points: dict[str, Any]) -> Row:
        """A new draft; its assessment need not be known here yet."""
        profile_id = uuid7()
        await self._repository.add_profile(
            {
                "profile_id": profile_id,
                "assessment_key": assessment_key,
                "assessment_version": assessment_version,
                "title": title,
                "points": points,
                "revision": 1,
                "created_by": self._caller.subject,
                "updated_by": self._caller.subject,
            }
        )
        await self._audit("profile.created", profile_id)
        return await self.get(profile_id)

    async def get(self, profile_id: UUID) -> Row:
        row = await self._repository.profile(profile_id)
        if row is None:
            raise ProfileNotFound("there is no such scoring profile")
        return row

    async def list(
        self, assessment_key: str | None, assessment_version: int | None, after: UUID | None, limit: int
    ) -> list[Row]:
        return await self._repository.profiles(assessment_key, assessment_version, after, limit)

    async def change(self, profile_id: UUID, expected_revision: int, title: str, points: dict[str, Any]) -> Row:
        row = await self._draft(profile_id)
        check_revision(expected_revision, row["revision"])
        await self._audit("profile.changed", profile_id, revision=row["revision"] + 1)
        return await self._repository.change_profile(
            profile_id, title=title, points=points, updated_by=self._caller.subject
        )

    async def publish(self, profile_id: UUID) -> Row:
        """Make the draft the profile in force for its assessment version, and score what waited for one."""
        row = await self._draft(profile_id)
        of = (row["assessment_key"], row["assessment_version"])
        form = await self._form(row)
        if form is None:
            raise AssessmentUnknown(*of)
        profile = _profile(row)
        errors = [finding for finding in lint_profile(form, profile) if finding.severity is Severity.ERROR]
        if errors:
            raise ProfileInvalid(errors)
        await self._repository.lock([of], shared=False)
        version = await self._repository.last_version(of) + 1
        published_at = utc_now()
        published = await self._repository.change_profile(
            profile_id,
            version=version,
            published_at=published_at,
            published_by=self._caller.subject,
            updated_by=self._caller.subject,
        )
        self._uow.publish(_published_event(published, compile_plan(form, profile)), sequence=version)
        parked = await SubmissionService(self._uow).score_parked(of)
        await self._audit("profile.published", profile_id, version=version, scored_parked=parked)
        return published

    async def check(self, row: Row) -> ProfileCheck | None:
        """Findings and reachable totals; None while the assessment is unknown here."""
        form = await self._form(row)
        if form is None:
            return None
        profile = _profile(row)
        findings = lint_profile(form, profile)
        if has_errors(findings):
            return ProfileCheck(findings, None)
        return ProfileCheck(findings, reachable(compile_plan(form, profile)))

    async def preview(self, profile_id: UUID, answers: Mapping[str, Any]) -> tuple[Profile, Score]:
        """The score these answers would get; nothing is stored. Answers may be incomplete, but not wrong."""
        row = await self.get(profile_id)
        form = await self._form(row)
        if form is None:
            raise AssessmentUnknown(row["assessment_key"], row["assessment_version"])
        profile = _profile(row)
        findings = lint_profile(form, profile)
        if has_errors(findings):
            raise ProfileInvalid([finding for finding in findings if finding.severity is Severity.ERROR])
        values = {key: _value(form.question(key), value) for key, value in answers.items()}
        problems = [found for found in check_answers(form, values) if found.code != "required_missing"]
        if problems:
            raise AnswersInvalid(problems)
        return profile, score(compile_plan(form, profile), visible_questions(form, values), values)

    async def _draft(self, profile_id: UUID) -> Row:
        row = await self._repository.profile(profile_id, for_update=True)
        if row is None:
            raise ProfileNotFound("there is no such scoring profile")
        if row["version"] is not None:
            raise ProfileAlreadyPublished("a published profile never changes: make a new draft")
        return row

    async def _form(self, row: Row) -> Form | None:
        definition = await self._repository.definition(row["assessment_key"], row["assessment_version"])
        return None if definition is None else form_from_json(definition, row["assessment_version"])

    async def _audit(self, action: str, profile_id: UUID, **detail: Any) -> None:
        await audit.record(self._uow, self._caller, action, str(profile_id), **detail)


def _profile(row: Row) -> Profile:
    return profile_from_json(row["assessment_key"], row["assessment_version"], row["points"])


def _value(question: Question | None, value: str | bool | Decimal | list[str]) -> Value:
    """An answer from JSON, where a number may come as a string; what does not fit is left for the check to refuse."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str) and question is not None and question.type is QuestionType.NUMBER:
        try:
            return parse_number(value)
        except AnswerMalformed:
            return value
    return value


def _published_event(row: Row, plan: ScoringPlan) -> ScoringProfilePublished:
    found = reachable(plan)
    published_at = Timestamp()
    published_at.FromDatetime(row["published_at"])
    return ScoringProfilePublished(
        profile_id=str(row["profile_id"]),
        assessment_key=row["assessment_key"],
        assessment_version=row["assessment_version"],
        version=row["version"],
        scale=SCALE_TO_PROTO[plan.profile.scale],
        reachable_min=plain(found.minimum),
        reachable_max=plain(found.maximum),
        reachable_scores=[plain(figure) for figure in found.scores],
        published_at=published_at,
        ceilings=[
            QuestionCeiling(question_key=key, max_points=plain(scorer.maximum)) for key, scorer in plan.scorers.items()
        ],
    )
