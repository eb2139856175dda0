"""What the engine knows of one opportunity. A value: every change makes a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from stage_engine.domain.actions import Asked
from stage_engine.domain.assigned import OWNER_ROLE, Assigned
from stage_engine.domain.clocks import NEVER_HELD, Held, Hold, Running
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.owed import Owing
from stage_engine.domain.pending import ApprovalRequest, Proposal
from stage_engine.domain.score import Score
from stage_engine.domain.value import value


@value
class Override:
    """A person put the opportunity where the evidence did not. Until it ends, automation moves nothing on evidence
    captured before `at`."""

    stage_key: str
    at: datetime
    actor: str
    role: str
    reason_code: str
    text: str
    expires_at: datetime | None


@value
class SyncError:
    """The CRM refused the write of this revision, and only a person can resolve it."""

    revision: int
    stage_key: str
    code: str
    reason: str
    at: datetime


@value
class LastObservation:
    """The newest observation of the opportunity whose place in the order of all reports of the CRM is known."""

    number: int
    stage_key: str
    crm_stage: str
    changed_by: str
    committed_at: datetime


@value
class Reached:
    """A milestone that was reached: first when and by what input, and how often."""

    at: datetime
    input_id: str
    count: int = 1


@value
class Retracted:
    """Stages from this one on have to be earned anew: only evidence of this visit or a later one counts there."""

    stage_key: str
    visit_no: int


@value
class Tug:
    """A stage that the opportunity was brought to, when, and by whom: a user of the CRM, or a rule of ours."""

    stage_key: str
    at: datetime
    by: str


@value
class OpenAction:
    """An action that was asked for at this revision and is not settled; it counts until it expires."""

    revision: int
    asked_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Opportunity:
    """One opportunity in its pipeline version.

    `stage_key` is what is claimed, `earned_stage` what the evidence alone supports, `base_stage` what was last agreed
    with the CRM (at `base_revision`), `observed_stage` the CRM's own name of the stage it last showed. `in_flight` are
    writes to the CRM not yet confirmed. An empty `stage_key` means that the CRM has only shown the opportunity in a
    stage that is not mapped. `amount_counts` says whether the amount is in the currency of the pipeline. `facts` are
    the other facts that the pipeline version reads, each of the source that goes first; `other_facts` are what further
    sources last said of them. `earned_from` are stages other than the first out of which a rule has led: evidence may
    earn on from there. Visits and revisions count from 1, decisions too.
    """

    opportunity_id: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    earned_stage: str
    base_stage: str
    base_revision: int
    observed_stage: str
    visit_no: int
    visit_opened_at: datetime
    cycle_no: int
    revision: int
    decision_no: int
    quarantined: bool
    deleted: bool
    amount: Decimal | None
    close_date: str
    owner_id: str
    override: Override | None
    scores: Mapping[str, Score]
    in_flight: tuple[tuple[int, str], ...]
    sync_error: SyncError | None
    last_observation: LastObservation | None = None
    currency: str = ""
    amount_counts: bool = True
    facts: Mapping[str, FactInForce] = field(default_factory=dict)
    other_facts: tuple[FactInForce, ...] = ()
    milestones: Mapping[str, Reached] = field(default_factory=dict)
    earned_from: tuple[str, ...] = ()
    retracted: Retracted | None = None
    # Keys that the stage of this visit had in versions before: evidence captured under them is of this visit.
    visit_keys: tuple[str, ...] = ()
    # The revision that the last migration made, and the version it came from: what was agreed before names that one's
    # stages.
    migrated_at: int = 0
    migrated_from: int = 0
    # The pipeline that applies to its facts, where that is another one, which says no place for its stage.
    other_pipeline: str = ""
    # By their keys; those of the engine itself begin with @.
    timers: Mapping[str, Running] = field(default_factory=dict)
    hold: Hold | None = None
    held: Held = NEVER_HELD
    # Since when the conditions of rules that must last have held in this visit, by rule.
    lasting: Mapping[str, datetime] = field(default_factory=dict)
    # Submissions that count no more.
    voided: tuple[str, ...] = ()
    # The open stage that it was closed in.
    last_open: str = ""
    # The latest moves by rules and by the CRM. Once they go to and fro too often it is `contested`: quarantined.
    tugs: tuple[Tug, ...] = ()
    contested: bool = False
    # By their keys; and of those that are asked for once in a cycle, the cycle in which they last were.
    open_actions: Mapping[str, OpenAction] = field(default_factory=dict)
    asked_in_cycle: Mapping[str, int] = field(default_factory=dict)
    # What is owed, by the keys of obligations.
    owing: Mapping[str, Owing] = field(default_factory=dict)
    # Who was chosen, by role.
    assigned: Mapping[str, Assigned] = field(default_factory=dict)
    # The move that waits for approval, and what rules propose, by the rule.
    approval_request: ApprovalRequest | None = None
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    # The account that it belongs to, and the type of account that it is or belongs to; empty where not known.
    account_id: str = ""
    account_type: str = ""
    # Owners that the CRM is asked for, the newest last, until it shows them.
    owners_asked_for: tuple[str, ...] = ()
    # It was created under our eyes, not imported.
    made_here: bool = False
    # Actions for its owner, which wait for the owner that rules are about to choose.
    awaiting_owner: tuple[Asked, ...] = ()

    @property
    def due_at(self) -> datetime | None:
        """When the first of its timers fires. None fires while it is out of reach."""
        if not self.timers or self.deleted or self.quarantined:
            return None
        return min((each.due for each in self.timers.values() if each.due is not None), default=None)

    @property
    def assignee_id(self) -> str:
        """Whose it is or is about to be: who was chosen as the owner, also while the CRM does not show it yet."""
        chosen = self.assigned.get(OWNER_ROLE)
        return self.owner_id if chosen is None else chosen.person_id

    @property
    def base_version(self) -> int:
        """The version whose stage the base is."""
        return self.migrated_from if self.base_revision < self.migrated_at else self.pipeline_version

    @property
    def quarantine_code(self) -> str:
        """Why it is quarantined; empty when it is not."""
        if not self.quarantined:
            return ""
        if self.contested:
            return "CONTESTED"
        return "OTHER_PIPELINE" if self.other_pipeline else "UNMAPPED_STAGE"

    def changed(self, **changes: Any) -> "Opportunity":
        """A copy with these fields changed. `dataclasses.replace` sets all 23 fields one by one, which costs as much as
        the rest of a decision's bookkeeping."""
        copy = object.__new__(Opportunity)
        object.__setattr__(copy, "__dict__", self.__dict__ | changes)
        return copy


def is_current(opportunity: Opportunity, stage_key: str, visit_no: int) -> bool:
    """Whether evidence of this visit is evidence of the present: the one test of that."""
    if visit_no != opportunity.visit_no:
        return False
    return stage_key == opportunity.stage_key or stage_key in opportunity.visit_keys
