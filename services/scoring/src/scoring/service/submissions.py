"""Submissions become scores, or wait until their assessment version has a published profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from forms.answers import AnswerMalformed, Answers
from forms.definition import form_from_json
from forms.messages import answers_from_proto
from kit.db import UnitOfWork
from kit.errors import InvalidEvent
from kit.events import Received
from kit.ids import derived, utc_now, uuid_of
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted

from scoring.domain.plan import ScoringPlan, compile_plan
from scoring.domain.profile import profile_from_json
from scoring.domain.score import score
from scoring.plans import PlanCache
from scoring.repository import AssessmentVersion, Row, ScoringRepository
from scoring.service.records import submission_scored, trace_of

_PARKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission that can be scored. `cause` is None when it comes from the parked ones."""

    submission_id: UUID
    event: AssessmentSubmitted
    answers: Answers
    sequence: int
    cause: Received[AssessmentSubmitted] | None = None

    @property
    def assessment(self) -> AssessmentVersion:
        return self.event.assessment_key, self.event.assessment_version


@dataclass(frozen=True, slots=True)
class ProfileInForce:
    profile_id: UUID
    version: int
    plan: ScoringPlan


def read_submission(
    event: AssessmentSubmitted, sequence: int, cause: Received[AssessmentSubmitted] | None = None
) -> Submission:
    """Raises InvalidEvent for an id that is no UUID, and for answers that no question could have."""
    try:
        submission_id = uuid_of(event.submission_id)
    except ValueError as error:
        raise InvalidEvent("bad_submission_id", f"{event.submission_id!r} is no UUID") from error
    try:
        answers = answers_from_proto(event.answers)
    except AnswerMalformed as error:
        raise InvalidEvent("bad_answers", str(error)) from error
    return Submission(submission_id, event, answers, sequence, cause)


class SubmissionService:
    """Scores with the newest profile published for the assessment version that was answered.

    A submission is scored once: delivered again, under whatever event id, it changes nothing.
    """

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = ScoringRepository(uow.session, uow.tenant_id)
        self._plans = uow.resources.get(PlanCache)

    async def score_or_park(self, submissions: Sequence[Submission]) -> None:
        """Score those whose profile is published, in order, and park the rest."""
        first: dict[UUID, Submission] = {}
        for submission in submissions:
            first.setdefault(submission.submission_id, submission)
        done = await self._repository.scored(first)
        new = [submission for submission in first.values() if submission.submission_id not in done]
        if not new:
            return
        profiles = await self._profiles_in_force({submission.assessment for submission in new})
        missing = {submission.assessment for submission in new} - profiles.keys()
        if missing:
            await self._repository.lock(missing, shared=True)
            # Read again under the lock: whoever publishes from here on will find what is parked below.
            profiles = {**profiles, **await self._profiles_in_force(missing)}
        await self._score([each for each in new if each.assessment in profiles], profiles)
        await self._park([each for each in new if each.assessment not in profiles])

    async def score_parked(self, assessment: AssessmentVersion) -> int:
        """Score what waited for this assessment version, whose profile was just published; how many.

        The caller holds the exclusive lock of the assessment version.
        """
        count = 0
        while rows := await self._repository.take_parked(assessment, _PARKED_AT_ONCE):
            parked = [read_submission(AssessmentSubmitted.FromString(row["event"]), row["sequence"]) for row in rows]
            await self.score_or_park(parked)
            count += len(rows)
        return count

    async def _profiles_in_force(self, of: set[AssessmentVersion]) -> dict[AssessmentVersion, ProfileInForce]:
        found = await self._repository.profiles_in_force(of)
        plans = {profile_id: self._plans.get(self._uow.tenant_id, profile_id) for profile_id, _ in found.values()}
        unknown = [profile_id for profile_id, plan in plans.items() if plan is None]
        if unknown:
            for row in await self._repository.profiles_with_definitions(unknown):
                plans[row["profile_id"]] = self._compile(row)
        return {
            assessment: ProfileInForce(profile_id, version, plan)
            for assessment, (profile_id, version) in found.items()
            if (plan := plans[profile_id]) is not None
        }

    def _compile(self, row: Row) -> ScoringPlan:
        """The plan of a profile, remembered once its publication is sure: this transaction may be making it."""
        key, version = row["assessment_key"], row["assessment_version"]
        form = form_from_json(row["definition"], version)
        plan = compile_plan(form, profile_from_json(key, version, row["points"]))
        tenant_id, plans = self._uow.tenant_id, self._plans
        self._uow.after_commit(lambda: plans.put(tenant_id, row["profile_id"], plan))
        return plan

    async def _score(
        self, submissions: Sequence[Submission], profiles: Mapping[AssessmentVersion, ProfileInForce]
    ) -> None:
        records: list[Row] = []
        scored_at = utc_now()
        for submission in submissions:
            profile = profiles[submission.assessment]
            event = submission.event
            found = score(profile.plan, tuple(event.visible_questions), submission.answers)
            record: dict[str, Any] = {
                # Derived, so that scoring the same submission by the same profile is the same score.
                "score_id": derived(submission.submission_id, f"score by {profile.profile_id}"),
                "submission_id": submission.submission_id,
                "opportunity_id": event.opportunity_id,
                "assessment_key": event.assessment_key,
                "assessment_version": event.assessment_version,
                "profile_id": profile.profile_id,
                "profile_version": profile.version,
                "scale": profile.plan.profile.scale.value,
                **trace_of(found),
                "stage_key": event.visit.stage_key,
                "visit_no": event.visit.visit_no,
                "attempt_no": event.attempt_no,
                "submitted_by": event.submitted_by,
                "captured_at": event.captured_at.ToDatetime(tzinfo=UTC),
                "received_at": event.received_at.ToDatetime(tzinfo=UTC),
                "scored_at": scored_at,
            }
            records.append(record)
            self._uow.publish(
                submission_scored(profile.plan.form, profile.plan.profile.scale, record, event, found),
                sequence=submission.sequence,
                cause=submission.cause,
                id=record["score_id"],
            )
        if records:
            self._repository.add_scores(records)

    async def _park(self, submissions: Sequence[Submission]) -> None:
        parked = [
            {
                "submission_id": submission.submission_id,
                "assessment_key": submission.event.assessment_key,
                "assessment_version": submission.event.assessment_version,
                "event": submission.event.SerializeToString(deterministic=True),
                "sequence": submission.sequence,
            }
            for submission in submissions
        ]
        if parked:
            await self._repository.park(parked)
