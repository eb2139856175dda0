"""What became of submissions: the standing of an assessment in a visit, and its outcome in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from uuid import UUID

from kit.numbers import plain

from assessment.domain.capture import Visit

REASON_WORDS = {
    "NOT_CURRENT_STAGE": "the answers belong to an earlier visit and move nothing",
    "SUPERSEDED": "newer answers replaced these",
    "NOT_OWNER": "another person than the owner handed these in",
    "STALE_REVISION": "the opportunity has changed since",
    "OWN_PROPOSAL": "another person has to confirm it",
    "EXPIRED": "the answers are too old to count",
    "OVERRIDE_ACTIVE": "a person has set the stage and newer evidence is needed",
    "TERMINAL": "the opportunity is closed",
    "ON_HOLD": "the opportunity is on hold",
    "SKIP_FORBIDDEN": "stages may not be skipped",
    "APPROVAL_PENDING": "it waits for approval",
    "SYNC_BLOCKED": "the CRM has refused an earlier change",
    "AUTOMATION_OFF": "automatic moves are switched off",
    "BREAKER_OPEN": "automatic moves are paused",
}
INCOMPLETE = "INCOMPLETE"
"""The code of what is missing when unanswered questions block the score."""

Outcome = Literal["accepted", "proposed", "rejected", "no_op"]
Scale = Literal["raw", "percent"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision came out so. The margin is a decimal text, empty when nothing was compared; "-4" is four points
    short."""

    code: str
    fact: str
    margin: str
    message: str
    # The criterion that it belongs to, by its key.
    criterion: str = ""

    @property
    def distance(self) -> Decimal | None:
        """The margin as a number."""
        return _number(self.margin)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that a little more would have made true; question_keys lost the points, most first. The margin is a
    decimal text, as that of a reason."""

    rule_id: str
    to_stage: str
    fact: str
    cell: str
    actual: str
    margin: str
    question_keys: tuple[str, ...]

    @property
    def distance(self) -> Decimal | None:
        """The margin as a number."""
        return _number(self.margin)


@dataclass(frozen=True, slots=True)
class MoveOutcome:
    """What became of the move that came with answers; refused for these reasons, or else the opportunity is in the
    stage."""

    to_stage: str
    refused: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the stage engine decided on a submission."""

    decision_id: UUID
    outcome: Outcome
    from_stage: str
    to_stage: str
    proposed_stage: str
    reasons: tuple[Reason, ...]
    near_misses: tuple[NearMiss, ...]
    decided_at: datetime
    move: MoveOutcome | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The newest score of a submission; the figure is None when an unanswered question blocks it."""

    score_id: UUID
    score: Decimal | None
    scale: Scale
    reachable_max: Decimal
    complete: bool
    unanswered: tuple[str, ...]
    scored_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One submission with what is known of it so far. in_visit counts the attempts at its assessment in its visit."""

    submission_id: UUID
    assessment_key: str
    visit: Visit | None
    attempt_no: int
    received_at: datetime
    score: Score | None
    decision: Decision | None
    in_visit: int = 1


class StandingKind(StrEnum):
    """What became of an assessment in the current visit so far."""

    NOT_STARTED = "not_started"
    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that keeps an opportunity where it is; short_by in points or percent, by the score's scale."""

    code: str
    fact: str
    short_by: Decimal | None
    text: str
    question_keys: tuple[str, ...]
    # The criterion that it belongs to, by its key; empty where it belongs to a rule.
    criterion: str = ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A named demand of a stage. `supplied_by` is the fact that answers it."""

    key: str
    name: str
    required: bool
    help: str
    playbook_url: str
    supplied_by: str

    @property
    def question(self) -> tuple[str, str] | None:
        """The assessment and the question that answer it; None where no question does."""
        assessment_key, kind, question_key = (*self.supplied_by.split("."), "", "")[:3]
        return (assessment_key, question_key) if kind == "answers" and question_key else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An assessment of the stage with its latest attempt in this visit."""

    assessment_key: str
    kind: StandingKind
    attempts: int
    latest: Attempt | None
    why: str


def standing_of(assessment_key: str, visit: Visit, attempts: Sequence[Attempt]) -> Standing:
    """The standing by the last attempt in the visit, in the order of attempt, then receipt; it counts the others."""
    mine = sorted(
        (a for a in attempts if a.assessment_key == assessment_key and a.visit == visit),
        key=lambda a: (a.attempt_no, a.received_at),
    )
    if not mine:
        return Standing(assessment_key, StandingKind.NOT_STARTED, 0, None, "not answered yet")
    latest = mine[-1]
    if latest.decision is None:
        return Standing(assessment_key, StandingKind.PENDING, latest.in_visit, latest, "waiting for its decision")
    failed = _fails(latest, assessment_key)
    kind = StandingKind.FAILED if failed else StandingKind.PASSED
    return Standing(assessment_key, kind, latest.in_visit, latest, outcome_in_words(latest, {}))


def _fails(attempt: Attempt, assessment_key: str) -> bool:
    """An attempt fails when its decision names the assessment's own facts: other facts may hold back a pass."""
    return any(m.code == INCOMPLETE or m.fact.partition(".")[0] == assessment_key for m in missing_of(attempt))


def missing_of(attempt: Attempt) -> tuple[Missing, ...]:
    """What a decision says is missing, one entry per failed or unknown fact; empty when it moved the opportunity."""
    decision, score = attempt.decision, attempt.score
    if decision is None or decision.outcome in {"accepted", "proposed"}:
        return ()
    questions = {near.fact: near.question_keys for near in reversed(decision.near_misses)}
    found = [_missing(reason, attempt, questions.get(reason.fact, ())) for reason in _open_reasons(decision)]
    if score is not None and not score.complete:
        # The score is unknown because of these questions, so that it is unknown need not be said as well.
        found = [m for m in found if (m.code, m.fact) != ("MISSING", f"{attempt.assessment_key}.score")]
        keys = score.unanswered
        text = f"{len(keys)} unanswered: {', '.join(keys)}" if keys else "too few answers"
        found.insert(0, Missing(INCOMPLETE, "", None, text, keys))
    return tuple(found)


def missing_for_move(attempt: Attempt) -> tuple[Missing, ...]:
    """Why the move that came with the answers was refused; empty when the opportunity is in the stage."""
    decision = attempt.decision
    if decision is None or decision.move is None:
        return ()
    return tuple(_missing(reason, attempt, ()) for reason in decision.move.refused)


def _open_reasons(decision: Decision) -> list[Reason]:
    """The reasons that a person can act on: of several rules on one fact the nearest, and none that asks for less,
    since a rule that takes low scores only is no goal."""
    ceilings = {(near.fact, near.distance) for near in decision.near_misses if near.cell.lstrip().startswith("<")}
    nearest: dict[tuple[str, str, str], Reason] = {}
    for reason in decision.reasons:
        if reason.code == "RULE_SHADOW" or (reason.fact, reason.distance) in ceilings:
            continue
        key = reason.code, reason.fact, reason.criterion
        held = nearest.setdefault(key, reason)
        if reason.distance is not None and held.distance is not None and abs(reason.distance) < abs(held.distance):
            nearest[key] = reason
    return list(nearest.values())


def _missing(reason: Reason, attempt: Attempt, question_keys: tuple[str, ...]) -> Missing:
    subject, _, attribute = reason.fact.partition(".")
    short_by = abs(reason.distance) if reason.code == "FAILED" and reason.distance is not None else None
    if reason.criterion and reason.message:
        text = reason.message
    elif short_by is not None:
        text = _shortfall(short_by, subject, attribute, attempt)
    elif reason.code == "MISSING":
        text = f"{subject} was not answered yet" if attribute == "score" else f"{attribute or subject} is empty"
    else:
        text = REASON_WORDS.get(reason.code) or reason.message or reason.code.lower().replace("_", " ")
    return Missing(reason.code, reason.fact, short_by, text, question_keys, reason.criterion)


def _shortfall(short_by: Decimal, subject: str, attribute: str, attempt: Attempt) -> str:
    own = subject == attempt.assessment_key
    if attribute != "score":
        return f"{attribute or subject} is {plain(short_by) + ' short' if short_by else 'just at its limit'}"
    percent = own and attempt.score is not None and attempt.score.scale == "percent"
    unit = "percentage point" if percent else "point"
    text = f"{plain(short_by)} {unit}{'' if short_by == 1 else 's'} short"
    return ("" if own else f"{subject}: ") + (text if short_by else "just at the limit, which must be exceeded")


def outcome_in_words(attempt: Attempt, stage_names: Mapping[str, str]) -> str:
    """The state of a submission as a rep would say it; a stage without a known name appears by its key."""
    decision = attempt.decision
    if decision is None:
        return "waiting for its decision" if attempt.score is not None else "waiting for its score"
    if decision.outcome == "accepted":
        return f"moved to {stage_names.get(decision.to_stage, decision.to_stage)}{_not_to(attempt, stage_names)}"
    if decision.outcome == "proposed":
        target = stage_names.get(decision.proposed_stage, decision.proposed_stage)
        return f"passed; the move to {target} waits for a person to confirm it{_not_to(attempt, stage_names)}"
    return "; ".join(missing.text for missing in missing_of(attempt)) or "moved nothing"


def _not_to(attempt: Attempt, stage_names: Mapping[str, str]) -> str:
    """That a move which was asked for was refused, where something else came of the answers."""
    why = missing_for_move(attempt)
    if not why or attempt.decision is None or attempt.decision.move is None:
        return ""
    target = attempt.decision.move.to_stage
    return f"; not moved to {stage_names.get(target, target)}: {'; '.join(missing.text for missing in why)}"


def _number(margin: str) -> Decimal | None:
    return Decimal(margin) if margin else None
