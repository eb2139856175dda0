"""Whether a capture is accepted: one pure judgement behind the single call and the offline batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from forms.answers import Value, is_answered
from forms.definition import Form

from assessment.domain.answers import CaptureRefused, Fault, checked_answers
from assessment.domain.capture import (
    Capture,
    Place,
    Visit,
    canonical_body,
    content_sha256,
    estimate_capture,
    sha256_of,
    warnings_for,
)
from assessment.domain.holding import HeldOutcome, HoldReason, Right, explained


@dataclass(frozen=True, slots=True)
class Published:
    """A published version with the hash a device proves it answered. Immutable, hence cached without end."""

    form: Form
    definition_hash: str


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
    """An earlier capture under the same id; `reason` and `outcome` are of one that was held."""

    submitted_by: str
    receipt: Receipt
    reason: HoldReason | None = None
    outcome: HeldOutcome | None = None


@dataclass(frozen=True, slots=True)
class Twin:
    """An earlier submission of the same person with the same content."""

    submission_id: UUID
    visit: Visit | None


@dataclass(frozen=True, slots=True)
class Context:
    """What the database holds at the moment of receipt. retired_at is of the answered version; last_attempt is the
    highest number of an attempt at the assessment of this opportunity, 0 before the first; received_before whether
    there is a capture under the same id; twin the first submission with the same content."""

    place: Place | None
    retired_at: datetime | None
    latest_version: int
    last_attempt: int = 0
    received_before: bool = False
    twin: Twin | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A new capture ready to be stored and published; answers are the counted ones, in the form's order. `entitled`
    says that the submitter's right to the opportunity was checked: where not, the stage engine checks it. `attempt_no`
    is the client's until `number_attempts` has made it the server's."""

    capture: Capture
    form: Form
    receipt: Receipt
    body: str
    submitted_by: str
    answers: Mapping[str, Value]
    visible: tuple[str, ...]
    attempt_no: int
    entitled: bool
    content_sha256: str
    duplicate_of: UUID | None


@dataclass(frozen=True, slots=True)
class Held:
    """A new capture that moves nothing until a reviewer accepts it. Unless the submitter sees the opportunity, the
    receipt is as if it were unknown."""

    capture: Capture
    receipt: Receipt
    body: str
    submitted_by: str
    reason: HoldReason


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


_HELD = {Right.NONE: HoldReason.NOT_OWNER, Right.OVER_QUOTA: HoldReason.TOO_MANY_UNKNOWN}


def lack_of(
    capture: Capture, published: Published | None, context: Context, received_at: datetime
) -> CaptureRefused | None:
    """Why the definition that was answered does not count: version_unknown, form_hash_mismatch or version_retired;
    None when it does."""
    if published is None:
        return _lack(HoldReason.VERSION_UNKNOWN, capture)
    if capture.definition_hash not in {None, published.definition_hash}:
        fault = Fault(("definition_hash",), "form_hash_mismatch", "differs from the published hash")
        facts = {"published_hash": published.definition_hash}
        return _lack(HoldReason.FORM_HASH_MISMATCH, capture, (fault,), facts)
    time = estimate_capture(capture.captured_at, capture.sent_at, received_at)
    if context.retired_at is not None and time.captured_at >= context.retired_at:
        return _lack(HoldReason.VERSION_RETIRED, capture, facts={"retired_at": context.retired_at.isoformat()})
    return None


def _lack(
    reason: HoldReason, capture: Capture, faults: tuple[Fault, ...] = (), facts: Mapping[str, str] | None = None
) -> CaptureRefused:
    return CaptureRefused(reason.value, explained(reason, capture), faults, facts)


def admit(
    capture: Capture,
    published: Published | None,
    context: Context,
    right: Right,
    submitted_by: str,
    received_at: datetime,
) -> Admitted | Held:
    """Accept a capture that is new, with its warnings; hold it for a reviewer; or refuse it: validation_failed,
    too_complex, too_many_held, and what `lack_of` says when no more is held. Clocks and stages never refuse."""
    lack = lack_of(capture, published, context, received_at)
    if right is Right.EXHAUSTED:
        raise lack or CaptureRefused(
            "too_many_held",
            "Many submissions of yours wait for a manager, and this is for no opportunity that is known as yours. "
            "Keep it, and hand it in when the others were reviewed.",
        )
    if lack is not None:
        receipt = _receipt(capture, context, right, submitted_by, received_at, hidden=False)
        return Held(capture, receipt, canonical_body(capture), submitted_by, HoldReason(lack.code))
    assert published is not None, "what does not exist does not count"
    item = judge(capture, published.form, context, right, submitted_by, received_at)
    if right in _HELD:
        return Held(capture, item.receipt, item.body, submitted_by, _HELD[right])
    return item


def judge(
    capture: Capture, form: Form, context: Context, right: Right, submitted_by: str, received_at: datetime
) -> Admitted:
    """Accept a capture by a definition that counts, or refuse it: validation_failed, too_complex."""
    answers, visible = checked_answers(form, capture.answers)
    hidden = not answers.keys() <= set(visible)
    return Admitted(
        capture=capture,
        form=form,
        receipt=_receipt(capture, context, right, submitted_by, received_at, hidden=hidden),
        body=canonical_body(capture),
        submitted_by=submitted_by,
        answers={key: answers[key] for key in visible if is_answered(answers.get(key))},
        visible=visible,
        attempt_no=capture.attempt_no,
        entitled=right is Right.SEEN,
        content_sha256=content_sha256(capture, submitted_by),
        duplicate_of=context.twin.submission_id if context.twin else None,
    )


def _receipt(
    capture: Capture, context: Context, right: Right, submitted_by: str, received_at: datetime, *, hidden: bool
) -> Receipt:
    # Of an opportunity that the submitter may not see, the receipt tells nothing. That a twin of it was stored, and was
    # not held, would tell that it is not another person's.
    place, twin = (context.place, context.twin) if right is Right.SEEN else (None, None)
    time = estimate_capture(capture.captured_at, capture.sent_at, received_at)
    warnings = warnings_for(
        capture,
        place,
        submitted_by=submitted_by,
        latest_version=context.latest_version,
        skewed=time.skewed,
        hidden=hidden,
        duplicate=twin is not None,
    )
    # One capture belongs to one visit, however often it is sent.
    visit = (twin.visit if twin else None) or capture.visit or (place.visit if place else None)
    return Receipt(
        capture.submission_id,
        capture.opportunity_id,
        visit,
        time.captured_at,
        received_at,
        sha256_of(canonical_body(capture)),
        warnings,
    )


def number_attempts(new: Sequence[tuple[Admitted, int]]) -> list[Admitted]:
    """The captures with the numbers that their attempts get, each given with the last number before all of them. A
    number that was given out is kept; a higher one becomes the next, in the order received. Those that come together
    are counted in the order of their own numbers, so that a device's queue keeps it."""
    last: dict[tuple[str, str], int] = {}
    numbers: dict[int, int] = {}
    for place, (item, before) in sorted(enumerate(new), key=lambda each: each[1][0].attempt_no):
        assessed = item.capture.opportunity_id, item.capture.assessment_key
        highest = last.get(assessed, before)
        numbers[place] = min(item.attempt_no, highest + 1)
        last[assessed] = max(highest, numbers[place])
    return [replace(item, attempt_no=numbers[place]) for place, (item, _) in enumerate(new)]
