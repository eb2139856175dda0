"""Submissions become scores, or wait until their assessment version has a published profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from forms.definition import form_from_json
from kit.aside.parking import AT_ONCE, Early, park, take
from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.ids import derived, utc_now
from kit.numbers import plain

from scoring.domain.plan import Bounds, ScoringPlan, compile_plan
from scoring.domain.profile import profile_from_json
from scoring.domain.score import Score, score
from scoring.domain.submission import AssessmentVersion, Submission
from scoring.messages import AssessmentSubmitted, move_of, read_submission, submission_scored
from scoring.plans import PlanCache
from scoring.records import ContributionRecord, ProfileWithDefinition, ScoreRecord, SectionRecord
from scoring.repository import ScoringRepository
from scoring.settings import Settings

# The kind of what is parked here.
WAITING = "submission"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A submission, and the event it came by."""

    submission: Submission
    cause: Received[AssessmentSubmitted]

    @classmethod
    def of(cls, event: Received[AssessmentSubmitted]) -> "Arrival":
        """InvalidEvent when the message breaks its contract."""
        return cls(read_submission(event.message), event)


@dataclass(frozen=True, slots=True)
class ProfileInForce:
    profile_id: UUID
    version: int
    plan: ScoringPlan


class SubmissionService:
    """Scores with the newest profile published for the assessment version that was answered.

    A submission is scored once. Delivered again, even under another event id, it changes nothing.
    """

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = ScoringRepository(uow.session, uow.tenant_id)
        self._plans = uow.resources.get(PlanCache)

    async def score_or_park(self, arrivals: Sequence[Arrival]) -> None:
        """Score those whose profile is published, in order, and park the rest."""
        first: dict[UUID, Arrival] = {}
        for arrival in arrivals:
            first.setdefault(arrival.submission.submission_id, arrival)
        done = await self._repository.scored(first)
        new = [arrival for submission_id, arrival in first.items() if submission_id not in done]
        if not new:
            return
        wanted = {arrival.submission.assessment for arrival in new}
        profiles = await self._profiles_in_force(wanted)
        missing = wanted - profiles.keys()
        if missing:
            await self._repository.lock(missing, shared=True)
            # Read again under the lock: a publisher that comes after this finds what is parked below.
            profiles = {**profiles, **await self._profiles_in_force(missing)}
        self._score([each for each in new if each.submission.assessment in profiles], profiles)
        await self._park([each for each in new if each.submission.assessment not in profiles])

    async def _park(self, early: Sequence[Arrival]) -> None:
        limit = self._uow.resources.get(Settings).parked_submission_limit
        found = [
            Early(each.cause, str(each.submission.submission_id), _what_for(each.submission.assessment))
            for each in early
        ]
        await park(self._uow, WAITING, found, limit, "profile_unknown")

    async def score_parked(self, assessment: AssessmentVersion) -> int:
        """Score what waited for this assessment version, whose profile was just published; how many.

        The caller holds the exclusive lock of the assessment version.
        """
        count = 0
        while parked := await take(self._uow, WAITING, {_what_for(assessment)}, AT_ONCE):
            await self.score_or_park([Arrival.of(event) for event in parked])
            count += len(parked)
        return count

    async def _profiles_in_force(self, of: set[AssessmentVersion]) -> dict[AssessmentVersion, ProfileInForce]:
        found = await self._repository.profiles_in_force(of)
        plans = {profile_id: self._plans.get(self._uow.tenant_id, profile_id) for profile_id, _ in found.values()}
        unknown = [profile_id for profile_id, plan in plans.items() if plan is None]
        if unknown:
            for profile in await self._repository.profiles_with_definitions(unknown):
                plans[profile.profile_id] = self._compile(profile)
        return {
            assessment: ProfileInForce(profile_id, version, plan)
            for assessment, (profile_id, version) in found.items()
            if (plan := plans[profile_id]) is not None
        }

    def _compile(self, profile: ProfileWithDefinition) -> ScoringPlan:
        """The plan of a profile, remembered once its publication is sure: this transaction may be making it."""
        key, version = profile.assessment_key, profile.assessment_version
        form = form_from_json(profile.definition, version)
        bounds = Bounds(profile.reachable_min, profile.reachable_max)
        plan = compile_plan(form, profile_from_json(key, version, profile.points), bounds)
        tenant_id, plans = self._uow.tenant_id, self._plans
        self._uow.after_commit(lambda: plans.put(tenant_id, profile.profile_id, plan))
        return plan

    def _score(self, arrivals: Sequence[Arrival], profiles: Mapping[AssessmentVersion, ProfileInForce]) -> None:
        records: list[ScoreRecord] = []
        scored_at = utc_now()
        for arrival in arrivals:
            submission = arrival.submission
            profile = profiles[submission.assessment]
            found = score(profile.plan, submission.visible_questions, submission.answers)
            record = _scored(submission, profile, found, scored_at)
            records.append(record)
            self._uow.publish(
                submission_scored(profile.plan.form, record, found, move_of(arrival.cause.message)),
                sequence=arrival.cause.sequence,
                cause=arrival.cause,
                id=record.score_id,
            )
        self._repository.add_scores(records)


def _scored(submission: Submission, profile: ProfileInForce, found: Score, scored_at: datetime) -> ScoreRecord:
    return ScoreRecord(
        # Derived, so that scoring the same submission by the same profile is the same score.
        score_id=derived(submission.submission_id, f"score by {profile.profile_id}"),
        submission_id=submission.submission_id,
        opportunity_id=submission.opportunity_id,
        assessment_key=submission.assessment_key,
        assessment_version=submission.assessment_version,
        profile_id=profile.profile_id,
        profile_version=profile.version,
        scale=profile.plan.profile.scale.value,
        score=found.score,
        raw_points=found.raw,
        reachable_min=found.reachable_min,
        reachable_max=found.reachable_max,
        percent=found.percent,
        complete=found.complete,
        sections=sections_of(found),
        contributions=contributions_of(found),
        inputs_hash=found.inputs_hash,
        stage_key=submission.stage_key,
        visit_no=submission.visit_no,
        attempt_no=submission.attempt_no,
        submitted_by=submission.submitted_by,
        entitled=submission.entitled,
        captured_at=submission.captured_at,
        received_at=submission.received_at,
        scored_at=scored_at,
    )


def sections_of(score: Score) -> tuple[SectionRecord, ...]:
    """The sections of a score as they are stored."""
    return tuple(SectionRecord(s.section, s.points, s.max_points, s.percent) for s in score.sections)


def contributions_of(score: Score) -> tuple[ContributionRecord, ...]:
    """The parts of a score as they are stored."""
    return tuple(
        ContributionRecord(
            each.question_key,
            plain(each.value) if isinstance(each.value, Decimal) else each.value,
            each.points,
            each.max_points,
            each.unanswered,
        )
        for each in score.contributions
    )


def _what_for(assessment: AssessmentVersion) -> str:
    """What a submission of this assessment version waits for."""
    key, version = assessment
    return f"{key} {version}"
