"""What the engine answers to one input."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from stage_engine.domain.state import Instance


class Outcome(StrEnum):
    """Moved; a person is asked; refused with reasons; nothing to do."""

    ACCEPTED = "accepted"
    PROPOSED = "proposed"
    REJECTED = "rejected"
    NO_OP = "no_op"


class Code(StrEnum):
    """Why a decision came out as it did. Stable API."""

    MISSING = "MISSING"
    FAILED = "FAILED"
    NOT_CURRENT_STAGE = "NOT_CURRENT_STAGE"
    SUPERSEDED = "SUPERSEDED"
    OVERRIDE_ACTIVE = "OVERRIDE_ACTIVE"
    TERMINAL = "TERMINAL"
    SKIP_FORBIDDEN = "SKIP_FORBIDDEN"
    STALE_REVISION = "STALE_REVISION"
    UNMAPPED_STAGE = "UNMAPPED_STAGE"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    RULE_SHADOW = "RULE_SHADOW"
    SYNC_BLOCKED = "SYNC_BLOCKED"
    ENGINE_FAULT = "ENGINE_FAULT"
    ENGINE_DISAGREEMENT = "ENGINE_DISAGREEMENT"


class Reason(NamedTuple):
    """One reason: the fact it is about, and the signed distance to what was needed (`-4`: four short)."""

    code: Code
    fact: str
    margin: Decimal | None
    message: str


class NearMiss(NamedTuple):
    """A rule that would have held with a little more, and the questions that could give it."""

    rule_id: str
    to_stage: str
    fact: str
    cell: str
    actual: Decimal
    margin: Decimal
    question_keys: tuple[str, ...]


class TransitionKind(StrEnum):
    """How a deal moved."""

    ADVANCE = "advance"
    SKIP = "skip"
    REGRESS = "regress"
    CLOSE_WON = "close_won"
    CLOSE_LOST = "close_lost"
    WALK_AWAY = "walk_away"
    REOPEN = "reopen"
    ADOPT = "adopt"


class Cause(StrEnum):
    """Who moved it."""

    RULE = "rule"
    PERSON = "person"
    CRM = "crm"
    IMPORT = "import"


class Transition(NamedTuple):
    """One move of one deal; it opens the visit `visit_no` and makes the revision `revision`."""

    kind: TransitionKind
    from_stage: str
    to_stage: str
    skipped: tuple[str, ...]
    visit_no: int
    cycle_no: int
    revision: int
    cause: Cause
    rule_id: str
    submission_id: str
    actor: str
    reason_code: str
    changed_at: datetime


class Decision(NamedTuple):
    """The answer, whole: `instance` is the deal as it stands afterwards, None for a deal that is still unknown.

    `facts` are those that the rules in question read, as text. `margin` is the smallest distance by which the deciding
    comparisons held or failed. `write` tells that the CRM is to be brought from `crm_expected_stage` to
    `crm_target_stage`.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    near_misses: tuple[NearMiss, ...]
    rule_id: str
    margin: Decimal | None
    facts: tuple[tuple[str, str], ...]
    pipeline_key: str
    pipeline_version: int
    from_stage: str
    to_stage: str
    proposed_stage: str
    transition: Transition | None
    crm_target_stage: str
    crm_expected_stage: str
    actor: str
    decided_at: datetime
    instance: Instance | None
