"""Every event in and out, as pure functions: the only module that knows the generated contracts."""

from forms.answers import AnswerMalformed, Value
from forms.definition import Form, QuestionType, form_to_json
from forms.lint import Severity, lint
from forms.messages import answer_to_proto, answers_from_proto, form_from_event
from kit.contracts import wire
from kit.contracts.events import Received
from kit.errors import InvalidEvent
from kit.numbers import plain
from stagecraft.assessment.v1.assessment_published_pb2 import (
    ASSESSMENT_STATUS_RETIRED,
    AssessmentPublished,
    AssessmentStatus,
)
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.common.v1.move_pb2 import Move
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.scoring.v1.scoring_profile_published_pb2 import (
    SCALE_PERCENT,
    SCALE_RAW,
    QuestionCeiling,
    ScoringProfilePublished,
)
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SectionScore, SubmissionScored

from scoring.domain.plan import ScoringPlan
from scoring.domain.profile import Scale
from scoring.domain.reach import Reachable
from scoring.domain.score import Score
from scoring.domain.submission import AssessmentVersion, Submission
from scoring.records import AssessmentRecord, OwnerRecord, ProfileRecord, ScoreRecord

__all__ = ["AssessmentPublished", "AssessmentSubmitted", "RecordObserved"]

_SCALES = {Scale.RAW: SCALE_RAW, Scale.PERCENT: SCALE_PERCENT}


def read_assessment(event: Received[AssessmentPublished]) -> AssessmentRecord:
    """A published version. InvalidEvent `bad_definition` for a form that this version cannot read or check."""
    message = event.message
    retired = wire.word(AssessmentStatus, message.status, "status") == "retired"
    wire.required(message.assessment_key, "assessment_key")
    wire.required(message.title, "title")
    try:
        form = form_from_event(message)
    except ValueError as error:
        raise InvalidEvent("bad_definition", str(error)) from error
    errors = [finding for finding in lint(form) if finding.severity is Severity.ERROR]
    if errors:
        raise InvalidEvent("bad_definition", f"{errors[0].pointer}: {errors[0].message}")
    return AssessmentRecord(form.key, form.version, form_to_json(form), retired, event.sequence)


def asked_points(event: Received[AssessmentPublished]) -> tuple[AssessmentVersion, str] | None:
    """A version that is to get the points of this shipped profile; None of what gets its points from a person."""
    message = event.message
    if not message.template_key or message.status == ASSESSMENT_STATUS_RETIRED:
        return None
    return (message.assessment_key, message.version), message.template_key


def read_owner(event: Received[RecordObserved]) -> OwnerRecord:
    """Whose a record is, of any type: leads and accounts are assessed too."""
    message = event.message
    wire.required(message.object_type, "object_type")
    return OwnerRecord(wire.required(message.record_id, "record_id"), message.owner_id or None, event.sequence)


def read_submission(message: AssessmentSubmitted) -> Submission:
    """A submission. InvalidEvent `bad_answers` for answers that no question could have."""
    try:
        answers = answers_from_proto(message.answers)
    except AnswerMalformed as error:
        raise InvalidEvent("bad_answers", str(error)) from error
    return Submission(
        submission_id=wire.uuid(message.submission_id, "submission_id"),
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        assessment_version=message.assessment_version,
        answers=answers,
        visible_questions=tuple(message.visible_questions),
        stage_key=message.visit.stage_key,
        visit_no=message.visit.visit_no,
        attempt_no=message.attempt_no,
        submitted_by=wire.required(message.submitted_by, "submitted_by"),
        entitled=message.entitled,
        captured_at=wire.moment(message.captured_at, "captured_at"),
        received_at=wire.moment(message.received_at, "received_at"),
    )


def move_of(message: AssessmentSubmitted) -> Move | None:
    """The move that was asked for together with the answers; None when there was none."""
    return message.move if message.HasField("move") else None


def submission_scored(form: Form, record: ScoreRecord, score: Score, move: Move | None = None) -> SubmissionScored:
    """A new score. `form` says how answers are typed; `move` is what was asked for together with them."""
    types = {question.key: question.type for question in form.questions}

    def answer(key: str, value: Value | None) -> object:
        # A key the form does not have cannot be typed: its text goes out as text.
        return None if value is None else answer_to_proto(key, types.get(key, QuestionType.TEXT), value)

    return SubmissionScored(
        score_id=str(record.score_id),
        submission_id=str(record.submission_id),
        opportunity_id=record.opportunity_id,
        assessment_key=record.assessment_key,
        assessment_version=record.assessment_version,
        profile_id=str(record.profile_id),
        profile_version=record.profile_version,
        scale=_SCALES[Scale(record.scale)],
        score="" if record.score is None else plain(record.score),
        raw_points=plain(record.raw_points),
        reachable_max=plain(record.reachable_max),
        reachable_min=plain(record.reachable_min),
        percent=plain(record.percent),
        complete=record.complete,
        sections=[
            SectionScore(
                section=each.section,
                points=plain(each.points),
                max_points=plain(each.max_points),
                percent=plain(each.percent),
            )
            for each in score.sections
        ],
        contributions=[
            Contribution(
                question_key=each.question_key,
                answer=answer(each.question_key, each.value),  # pyright: ignore[reportArgumentType]
                points=plain(each.points),
                max_points=plain(each.max_points),
                unanswered=each.unanswered,
            )
            for each in score.contributions
        ],
        visit=Visit(stage_key=record.stage_key, visit_no=record.visit_no),
        submitted_by=record.submitted_by,
        entitled=record.entitled,
        captured_at=record.captured_at,
        received_at=record.received_at,
        scored_at=record.scored_at,
        attempt_no=record.attempt_no,
        move=move,
    )


def profile_published(
    record: ProfileRecord, plan: ScoringPlan, found: Reachable, template_key: str
) -> ScoringProfilePublished:
    """A profile that is in force from now on, with the totals it can give, and the shipped one that it is equal to."""
    return ScoringProfilePublished(
        profile_id=str(record.profile_id),
        assessment_key=record.assessment_key,
        assessment_version=record.assessment_version,
        version=record.version,
        scale=_SCALES[plan.profile.scale],
        reachable_min=plain(found.minimum),
        reachable_max=plain(found.maximum),
        reachable_scores=[plain(figure) for figure in found.scores],
        published_at=record.published_at,
        ceilings=[
            QuestionCeiling(question_key=key, max_points=plain(scorer.maximum)) for key, scorer in plan.scorers.items()
        ],
        template_key=template_key,
    )
