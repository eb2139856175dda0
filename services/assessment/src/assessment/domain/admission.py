"""Whether a capture is accepted: one pure judgement behind the single call and the offline batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from forms.answers import AnswerMalformed, Value, is_answered, parse_number
from forms.check import check_answers, visible_questions
from forms.definition import Form, QuestionType

from assessment.domain.capture import (
    Capture,
    Place,
    Visit,
    canonical_body,
    estimate_capture,
    sha256_of,
    warnings_for,
)


@dataclass(frozen=True, slots=True)
class Published:
    """A published version with the hash a device proves it answered. Immutable, hence cached without end."""

    form: Form
    definition_hash: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One answer that is refused; path leads to it inside the capture."""

    path: tuple[str, ...]
    code: str
    message: str


class CaptureRefused(Exception):
    """The capture is not accepted. facts are what a client needs to correct it, such as both hashes of a mismatch."""

    def __init__(
        self, code: str, detail: str, faults: tuple[Fault, ...] = (), facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = faults
        self.facts = dict(facts or {})


@dataclass(frozen=True, slots=True)
class Receipt:
    """The acknowledgement to the submitter, now and at every retry."""

    submission_id: UUID
    opportunity_id: str
    visit: Visit | None
    captured_at: datetime
    received_at: datetime
    body_sha256: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """An earlier capture under the same id."""

    submitted_by: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Context:
    """What the database holds at the moment of receipt. retired_at is of the answered version."""

    place: Place | None
    retired_at: datetime | None
    latest_version: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A new capture ready to be stored and published; answers are the counted ones, in the form's order."""

    capture: Capture
    form: Form
    receipt: Receipt
    body: str
    submitted_by: str
    answers: Mapping[str, Value]
    visible: tuple[str, ...]


def replay(capture: Capture, stored: Stored, submitted_by: str) -> Receipt:
    """The original receipt for an exact retry. Refused as submission_not_found or payload_mismatch."""
    if stored.submitted_by != submitted_by:
        raise not_found(capture.submission_id)
    received = sha256_of(canonical_body(capture))
    if stored.receipt.body_sha256 != received:
        raise CaptureRefused(
            "payload_mismatch",
            "This submission was received before with another body; a corrected capture needs an id of its own.",
            facts={"stored_sha256": stored.receipt.body_sha256, "received_sha256": received},
        )
    return stored.receipt


def not_found(submission_id: UUID) -> CaptureRefused:
    """The refusal of an id that another caller has used: it says no more than for an unused id."""
    return CaptureRefused("submission_not_found", f"There is no submission {submission_id} of yours.")


def admit(
    capture: Capture, published: Published | None, context: Context, submitted_by: str, received_at: datetime
) -> Admitted:
    """Accept a capture that is new, with its warnings, or refuse it: version_unknown, form_hash_mismatch,
    version_retired, validation_failed. Clocks, stages and owners never refuse."""
    if published is None:
        raise CaptureRefused(
            "version_unknown", f"{capture.assessment_key} has no published version {capture.assessment_version}."
        )
    if capture.definition_hash not in {None, published.definition_hash}:
        raise CaptureRefused(
            "form_hash_mismatch",
            "The definition that was answered is not the one that was published.",
            (Fault(("definition_hash",), "form_hash_mismatch", "differs from the published hash"),),
            {"published_hash": published.definition_hash},
        )
    time = estimate_capture(capture.captured_at, capture.sent_at, received_at)
    if context.retired_at is not None and time.captured_at >= context.retired_at:
        raise CaptureRefused(
            "version_retired",
            f"Version {capture.assessment_version} of {capture.assessment_key} was retired before this was captured.",
            facts={"retired_at": context.retired_at.isoformat()},
        )
    answers = typed_answers(published.form, capture.answers)
    problems = check_answers(published.form, answers)
    if problems:
        faults = tuple(Fault(("answers", p.question_key), p.code, p.message) for p in problems)
        raise CaptureRefused("validation_failed", f"{len(faults)} answers break a rule of their question.", faults)

    visible = visible_questions(published.form, answers)
    counted = {key: answers[key] for key in visible if is_answered(answers.get(key))}
    warnings = warnings_for(
        capture,
        context.place,
        submitted_by=submitted_by,
        latest_version=context.latest_version,
        skewed=time.skewed,
        hidden=not answers.keys() <= set(visible),
    )
    visit = capture.visit or (context.place.visit if context.place else None)
    body = canonical_body(capture)
    receipt = Receipt(
        capture.submission_id,
        capture.opportunity_id,
        visit,
        time.captured_at,
        received_at,
        sha256_of(body),
        warnings,
    )
    return Admitted(capture, published.form, receipt, body, submitted_by, counted, visible)


def typed_answers(form: Form, raw: Mapping[str, Any]) -> dict[str, Value]:
    """JSON answers as the values that conditions and checks understand; a number may come as a decimal string.

    What fits no question is passed on as it is, for the check to name it.
    """
    types = {question.key: question.type for question in form.questions}
    return {key: _typed(types.get(key), value) for key, value in raw.items()}


def _typed(kind: QuestionType | None, value: Any) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return Decimal(str(value))
    if isinstance(value, list):
        return tuple(value)
    if kind is QuestionType.NUMBER:
        try:
            return parse_number(value)
        except AnswerMalformed:
            return value
    return value
