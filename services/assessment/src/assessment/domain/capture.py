"""What the platform derives from a finished capture: its identity, its time, and its warnings."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from assessment.domain.move import Move, move_from_json

CLOCK_TOLERANCE = timedelta(seconds=2)
"""Offsets up to this are the network's, not the device's clock."""

CLOCK_ALARM = timedelta(minutes=5)
"""A device further off than this is reported, though never refused."""


class Channel(StrEnum):
    """How a capture reached the platform."""

    ONLINE = "online"
    OFFLINE = "offline"


class Warning(StrEnum):
    """A warning about an accepted capture; none of these ever refuses it."""

    PROBABLE_DUPLICATE = "probable_duplicate"
    HIDDEN_ANSWERS_IGNORED = "hidden_answers_ignored"
    OLDER_FORM_VERSION = "older_form_version"
    CLOCK_SKEW = "clock_skew"
    OPPORTUNITY_UNKNOWN = "opportunity_unknown"
    OPPORTUNITY_CLOSED = "opportunity_closed"
    OPPORTUNITY_DELETED = "opportunity_deleted"
    NOT_OWNER = "not_owner"
    LATE_STAGE_MOVED = "late_stage_moved"


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay of an opportunity in one stage; visit_no counts all of its visits from 1."""

    stage_key: str
    visit_no: int


def visit_of(stage_key: str | None, visit_no: int | None) -> Visit | None:
    """A visit from its two columns; None unless both are there."""
    return Visit(stage_key, visit_no) if stage_key is not None and visit_no is not None else None


def is_closed(stage_category: str | None) -> bool:
    """Whether a stage of this category ends an opportunity; a category not known yet does not."""
    return stage_category not in {None, "open"}


@dataclass(frozen=True, slots=True)
class Capture:
    """A finished assessment as its client sent it. captured_at and sent_at are the device's own wall clock."""

    submission_id: UUID
    opportunity_id: str
    assessment_key: str
    assessment_version: int
    answers: Mapping[str, Any]
    captured_at: datetime
    channel: Channel
    attempt_no: int = 1
    definition_hash: str | None = None
    visit: Visit | None = None
    sent_at: datetime | None = None
    move: Move | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What the replica holds of an opportunity at the moment a capture arrives."""

    owner_id: str | None
    visit: Visit | None
    closed: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """The platform's estimate of the moment of capture, never later than the receipt."""

    captured_at: datetime
    skewed: bool


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no blanks, ASCII. ValueError for a number JSON cannot hold."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_body(capture: Capture) -> str:
    """The canonical text of what was captured; its SHA-256 tells an exact retry from another body.

    How it travelled stays out (sent_at, channel): a retry is sent later, perhaps in a batch, yet it is the same.
    """
    body = {
        "opportunity_id": capture.opportunity_id,
        "assessment_key": capture.assessment_key,
        "assessment_version": capture.assessment_version,
        "answers": capture.answers,
        "captured_at": capture.captured_at.isoformat(),
        "attempt_no": capture.attempt_no,
        "definition_hash": capture.definition_hash,
        "visit": asdict(capture.visit) if capture.visit else None,
        "move": asdict(capture.move) if capture.move else None,
    }
    return canonical_json({name: value for name, value in body.items() if value is not None})


def content_sha256(capture: Capture, submitted_by: str) -> str:
    """SHA-256 of what a person did, whatever id and attempt a device gave it: two captures that share it are probably
    one, sent twice."""
    content = {
        "opportunity_id": capture.opportunity_id,
        "assessment_key": capture.assessment_key,
        "assessment_version": capture.assessment_version,
        "answers": capture.answers,
        "captured_at": capture.captured_at.isoformat(),
        "visit": asdict(capture.visit) if capture.visit else None,
        "submitted_by": submitted_by,
    }
    if capture.move is not None:
        content["move"] = asdict(capture.move)
    return sha256_of(canonical_json(content))


def capture_of(submission_id: UUID, body: str, channel: str, sent_at: str | None) -> Capture:
    """The capture that this is the canonical body of."""
    given = json.loads(body)
    visit = given.get("visit")
    return Capture(
        submission_id=submission_id,
        opportunity_id=given["opportunity_id"],
        assessment_key=given["assessment_key"],
        assessment_version=given["assessment_version"],
        answers=given["answers"],
        captured_at=datetime.fromisoformat(given["captured_at"]),
        channel=Channel(channel),
        attempt_no=given["attempt_no"],
        definition_hash=given.get("definition_hash"),
        visit=Visit(**visit) if visit else None,
        sent_at=datetime.fromisoformat(sent_at) if sent_at else None,
        move=move_from_json(given.get("move")),
    )


def sha256_of(text: str) -> str:
    """SHA-256 of an ASCII text, hexadecimal."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def estimate_capture(captured_at: datetime, sent_at: datetime | None, received_at: datetime) -> CaptureTime:
    """Place a device's capture time on the server's clock: shifted by the offset its sending shows, then clamped.

    A clock a year off, in either direction, gives an estimate and an alarm, never an error.
    """
    offset = received_at - sent_at if sent_at is not None else timedelta()
    try:
        estimate = captured_at.astimezone(UTC) + (offset if abs(offset) > CLOCK_TOLERANCE else timedelta())
    except OverflowError:
        return CaptureTime(received_at, skewed=True)
    late = estimate > received_at
    return CaptureTime(
        received_at if late else estimate,
        skewed=abs(offset) > CLOCK_ALARM or estimate - received_at > CLOCK_TOLERANCE,
    )


def warnings_for(
    capture: Capture,
    place: Place | None,
    *,
    submitted_by: str,
    latest_version: int,
    skewed: bool,
    hidden: bool,
    duplicate: bool,
) -> tuple[Warning, ...]:
    """The warnings about a capture, in the order of their declaration."""
    left = place is not None and capture.visit is not None and place.visit not in {None, capture.visit}
    holds = {
        Warning.PROBABLE_DUPLICATE: duplicate,
        Warning.HIDDEN_ANSWERS_IGNORED: hidden,
        Warning.OLDER_FORM_VERSION: capture.assessment_version < latest_version,
        Warning.CLOCK_SKEW: skewed,
        Warning.OPPORTUNITY_UNKNOWN: place is None,
        Warning.OPPORTUNITY_CLOSED: place is not None and place.closed,
        Warning.OPPORTUNITY_DELETED: place is not None and place.deleted,
        Warning.NOT_OWNER: place is not None and place.owner_id not in {None, submitted_by},
        Warning.LATE_STAGE_MOVED: left,
    }
    return tuple(warning for warning, applies in holds.items() if applies)
