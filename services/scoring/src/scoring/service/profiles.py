"""Writing, checking, publishing and trying out scoring profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from forms.answers import AnswerMalformed, Value, parse_number
from forms.check import check_answers, visible_questions
from forms.definition import Question, QuestionType, form_from_json
from kit.database.resources import Resources
from kit.database.unit_of_work import UnitOfWork
from kit.errors import DeadlineExceeded
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import utc_now, uuid7
from kit.offload import Offload
from kit.operators import audit

from scoring.domain.lint import Analysis, analyse, too_complex
from scoring.domain.plan import ScoringPlan, compile_plan
from scoring.domain.profile import Profile, profile_from_json
from scoring.domain.reach import Reachable
from scoring.domain.score import Score, score
from scoring.domain.submission import AssessmentVersion
from scoring.errors import AnswersInvalid, AssessmentUnknown, ProfileAlreadyPublished, ProfileInvalid, ProfileNotFound
from scoring.messages import profile_published
from scoring.plans import AnalysisCache
from scoring.records import NewProfile, ProfileRecord
from scoring.repository import ScoringRepository
from scoring.service.submissions import SubmissionService
from scoring.templates import profile_templates

# The largest assessments and profiles need a few.
ANALYSIS_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Material:
    """A profile with the definition of its assessment, None while that is unknown here. Its analysis takes a while, so
    it is made in a process of its own, once for each revision."""

    tenant_id: str
    row: ProfileRecord
    definition: dict[str, Any] | None
    resources: Resources

    async def analysis(self) -> Analysis | None:
        """Findings and reachable totals; None while the assessment is unknown here."""
        if self.definition is None:
            return None
        known, key = self.resources.get(AnalysisCache), (self.tenant_id, self.row.profile_id, self.row.revision)
        found = known.get(key)
        if found is None:
            row, offload = self.row, self.resources.get(Offload)
            try:
                found = await offload.run(
                    analyse_json, self.definition, *row.assessment, row.points, deadline=ANALYSIS_SECONDS
                )
            except DeadlineExceeded:
                found = too_complex(ANALYSIS_SECONDS)
            known.put(key, found)
        return found

    async def ready(self) -> tuple[ScoringPlan, Reachable]:
        """The profile ready to score by. AssessmentUnknown, ProfileInvalid."""
        analysis = await self.analysis()
        if analysis is None or self.definition is None:
            raise AssessmentUnknown(*self.row.assessment)
        if analysis.reachable is None:
            raise ProfileInvalid(analysis.errors)
        key, version = self.row.assessment
        form, profile = form_from_json(self.definition, version), profile_from_json(key, version, self.row.points)
        return compile_plan(form, profile, analysis.reachable.bounds), analysis.reachable

    async def preview(self, answers: Mapping[str, Any]) -> tuple[Profile, Score]:
        """The score these answers would get; nothing is stored. Answers may be incomplete, but not wrong."""
        plan, _ = await self.ready()
        values = {key: _value(plan.form.question(key), value) for key, value in answers.items()}
        problems = [found for found in check_answers(plan.form, values) if found.code != "required_missing"]
        if problems:
            raise AnswersInvalid(problems)
        return plan.profile, score(plan, visible_questions(plan.form, values), values)


def analyse_json(definition: dict[str, Any], key: str, version: int, points: dict[str, Any]) -> Analysis:
    """The analysis of a stored profile for a stored definition."""
    return analyse(form_from_json(definition, version), profile_from_json(key, version, points))


class ProfileService:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = ScoringRepository(uow.session, uow.tenant_id)

    async def create(
        self, assessment_key: str, assessment_version: int, title: str, points: dict[str, Any]
    ) -> ProfileRecord:
        """A new draft; its assessment need not be known here yet."""
        profile_id = uuid7()
        await self._repository.add_profile(
            NewProfile(
                profile_id=profile_id,
                assessment_key=assessment_key,
                assessment_version=assessment_version,
                title=title,
                points=points,
                revision=1,
                created_by=self._caller.subject,
                updated_by=self._caller.subject,
            )
        )
        await self._audit("profile.created", profile_id)
        return await self.get(profile_id)

    async def get(self, profile_id: UUID) -> ProfileRecord:
        row = await self._repository.profile(profile_id)
        if row is None:
            raise ProfileNotFound("There is no such scoring profile.")
        return row

    async def list(
        self, assessment_key: str | None, assessment_version: int | None, after: UUID | None, limit: int
    ) -> list[ProfileRecord]:
        return await self._repository.profiles(assessment_key, assessment_version, after, limit)

    async def change(
        self, profile_id: UUID, expected_revision: int, title: str, points: dict[str, Any]
    ) -> ProfileRecord:
        row = await self._draft(profile_id)
        check_revision(expected_revision, row.revision)
        await self._audit("profile.changed", profile_id, revision=row.revision + 1)
        return await self._repository.change_profile(
            profile_id, title=title, points=points, updated_by=self._caller.subject
        )

    async def publish(self, profile_id: UUID) -> ProfileRecord:
        """Make the draft the profile in force for its assessment version, and score what waited for one."""
        row = await self._draft(profile_id)
        of = row.assessment
        plan, found = await (await self.material(row)).ready()
        await self._repository.lock([of], shared=False)
        version = await self._repository.last_version(of) + 1
        published_at = utc_now()
        published = await self._repository.change_profile(
            profile_id,
            version=version,
            published_at=published_at,
            published_by=self._caller.subject,
            updated_by=self._caller.subject,
            reachable_min=found.minimum,
            reachable_max=found.maximum,
        )
        self._uow.publish(profile_published(published, plan, found, _shipped_as(row)), sequence=version)
        parked = await SubmissionService(self._uow).score_parked(of)
        await self._audit("profile.published", profile_id, version=version, scored_parked=parked)
        return published

    async def material(self, row: ProfileRecord) -> Material:
        """What its analysis needs."""
        definition = await self._repository.definition(row.assessment_key, row.assessment_version)
        return Material(self._uow.tenant_id, row, definition, self._uow.resources)

    async def _draft(self, profile_id: UUID) -> ProfileRecord:
        row = await self._repository.profile(profile_id, for_update=True)
        if row is None:
            raise ProfileNotFound("There is no such scoring profile.")
        if row.version is not None:
            raise ProfileAlreadyPublished("A published profile never changes. Make a new draft.")
        return row

    async def _audit(self, action: str, profile_id: UUID, **detail: Any) -> None:
        await audit.record(self._uow, self._caller, action, str(profile_id), **detail)


class ShippedPoints:
    """Gives assessment versions that process templates asked for the points that ship for them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._profiles = ProfileService(uow, Principal(uow.tenant_id, "scoring", "", frozenset(), frozenset()))
        self._repository = ScoringRepository(uow.session, uow.tenant_id)

    async def give(self, asked: Mapping[AssessmentVersion, str]) -> None:
        """Publish the shipped points, unless the version has points already."""
        if not asked:
            return
        known = await self._repository.profiles_in_force(set(asked))
        for (key, version), template_key in sorted(asked.items()):
            shipped = profile_templates().get(template_key)
            if shipped is None or (key, version) in known:
                continue
            made = await self._profiles.create(key, version, shipped.title, shipped.profile)
            await self._profiles.publish(made.profile_id)


def _shipped_as(row: ProfileRecord) -> str:
    """The shipped profile whose points these are; empty when there is none."""
    points = profile_from_json("", 1, row.points)
    found = (each.key for each in profile_templates().values() if profile_from_json("", 1, each.profile) == points)
    return next(found, "")


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
