"""What the engine makes of one input."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from stage_engine.domain.actions import Action, Asked
from stage_engine.domain.assigned import Assigned
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.owed import Owed
from stage_engine.domain.pending import ApprovalRequest, ApprovalState, Proposal, ProposalState
from stage_engine.domain.value import value


class Outcome(StrEnum):
    """Moved or put off; a person is asked; refused with reasons; nothing to do."""

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
    EXPIRED = "EXPIRED"
    OVERRIDE_ACTIVE = "OVERRIDE_ACTIVE"
    ON_HOLD = "ON_HOLD"
    TERMINAL = "TERMINAL"
    SKIP_FORBIDDEN = "SKIP_FORBIDDEN"
    STALE_REVISION = "STALE_REVISION"
    UNMAPPED_STAGE = "UNMAPPED_STAGE"
    NOT_OWNER = "NOT_OWNER"
    OWN_PROPOSAL = "OWN_PROPOSAL"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    RULE_SHADOW = "RULE_SHADOW"
    SYNC_BLOCKED = "SYNC_BLOCKED"
    FACT_UNREADABLE = "FACT_UNREADABLE"
    OTHER_CURRENCY = "OTHER_CURRENCY"
    FACT_TYPE = "FACT_TYPE"
    FACT_SOURCE = "FACT_SOURCE"
    FACT_FUTURE = "FACT_FUTURE"
    FACT_UNREAD = "FACT_UNREAD"
    FACT_STALE = "FACT_STALE"
    OTHER_PIPELINE = "OTHER_PIPELINE"
    EDIT_REVERTED = "EDIT_REVERTED"
    NO_LONGER_SUPPORTED = "NO_LONGER_SUPPORTED"
    AUTOMATION_OFF = "AUTOMATION_OFF"
    VOIDED = "VOIDED"
    CONTESTED = "CONTESTED"
    HOP_LIMIT = "HOP_LIMIT"
    NOT_LASTING = "NOT_LASTING"
    APPROVAL_PENDING = "APPROVAL_PENDING"
    NOT_APPROVER = "NOT_APPROVER"
    BREAKER_OPEN = "BREAKER_OPEN"
    ENGINE_FAULT = "ENGINE_FAULT"
    ENGINE_DISAGREEMENT = "ENGINE_DISAGREEMENT"


@value
class Reason:
    """One reason: the fact it is about, and the signed distance to what was needed (`-4`: four short) in its unit."""

    code: Code
    fact: str
    margin: Decimal | None
    message: str
    unit: str = ""
    # The criterion that it belongs to, empty where it belongs to a rule.
    criterion: str = ""


@value
class NearMiss:
    """A rule that would have held with a little more, and the questions that could give it."""

    rule_id: str
    to_stage: str
    fact: str
    cell: str
    actual: str
    margin: Decimal
    question_keys: tuple[str, ...]
    unit: str = ""


class TransitionKind(StrEnum):
    """How an opportunity moved."""

    ADVANCE = "advance"
    SKIP = "skip"
    REGRESS = "regress"
    CLOSE_WON = "close_won"
    CLOSE_LOST = "close_lost"
    WALK_AWAY = "walk_away"
    REOPEN = "reopen"
    ADOPT = "adopt"
    MIGRATE = "migrate"
    REASSIGN = "reassign"


class Cause(StrEnum):
    """Who moved it."""

    RULE = "rule"
    PERSON = "person"
    CRM = "crm"
    IMPORT = "import"
    # A person accepted what a rule proposed.
    PROPOSAL = "proposal"


@value
class TakenBack:
    """An outcome that a move takes back: the end it was, and the revision that had brought it."""

    category: str
    revision: int
    cycle_no: int


@value
class Transition:
    """One move of one opportunity; it opens the visit `visit_no` and makes the revision `revision`."""

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
    # The outcome that does not count any more: it was left for this stage.
    taken_back: TakenBack | None = None
    # How many moves of subjects led to this one, one after the other.
    hops: int = 1


@value
class Explanation:
    """What the rules in question made of the facts. `facts` are those that these rules read, as text; `margin` is the
    smallest distance by which the deciding comparisons held or failed."""

    rule_id: str = ""
    margin: Decimal | None = None
    facts: tuple[tuple[str, str], ...] = ()
    near_misses: tuple[NearMiss, ...] = ()


UNEXPLAINED = Explanation()


@value
class MoveOutcome:
    """What became of the move that came with answers: carried out, or refused for these reasons."""

    to_stage: str
    refused: tuple[Reason, ...] = ()


@value
class Lapsed:
    """An action of this revision that is not waited for any more, and why."""

    key: str
    revision: int
    asked_at: datetime
    words: str


@value
class EndedRequest:
    """A move that is not waited for any more: how that came, by whom, and what it lacks now."""

    request: ApprovalRequest
    state: ApprovalState
    by: str = ""
    text: str = ""
    missing: tuple[Reason, ...] = ()


@value
class EndedProposal:
    """A proposal that is not open any more: how that came, by whom, and what it lacks now."""

    proposal: Proposal
    state: ProposalState
    by: str = ""
    text: str = ""
    missing: tuple[Reason, ...] = ()


@value
class Ruling:
    """What the handler of an input decides; `decide` completes it to a decision. `opportunity` is how it is afterwards,
    `write` asks for the CRM to be brought to the stage it is in then; `stuck` says that no rule leads on from there."""

    outcome: Outcome
    opportunity: Opportunity | None
    reasons: tuple[Reason, ...] = ()
    explanation: Explanation = UNEXPLAINED
    proposed_stage: str = ""
    transition: Transition | None = None
    write: bool = False
    stuck: bool = False
    move: MoveOutcome | None = None
    actions: tuple[Asked, ...] = ()
    lapsed: tuple[Lapsed, ...] = ()
    owed: tuple[Owed, ...] = ()
    assigned: tuple[Assigned, ...] = ()
    ended_requests: tuple[EndedRequest, ...] = ()
    ended_proposals: tuple[EndedProposal, ...] = ()
    # What the timer that fired asks for.
    timed: tuple[Action, ...] = ()


@value
class Decision:
    """A ruling, complete. `opportunity` is how it is afterwards, None for one that is still unknown. The CRM is to be
    brought from `crm_expected_stage` to `crm_target_stage` when there is a target; the expected one is a stage of
    `crm_expected_version`, or of this version when that is 0.
    `modes_revision` names what was switched without a new version."""

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
    opportunity: Opportunity | None = None
    crm_expected_version: int = 0
    modes_revision: int = 0
    # Whose business hours were in force, empty of those that are built in.
    calendar: str = ""
    move: MoveOutcome | None = None
    actions: tuple[Asked, ...] = ()
    lapsed: tuple[Lapsed, ...] = ()
    # Obligations that were made, or whose state changed.
    owed: tuple[Owed, ...] = ()
    # Who got a role by this decision.
    assigned: tuple[Assigned, ...] = ()
    ended_requests: tuple[EndedRequest, ...] = ()
    ended_proposals: tuple[EndedProposal, ...] = ()
