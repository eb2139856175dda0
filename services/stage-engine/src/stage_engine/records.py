"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models.py`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from stage_engine.domain.assignment import AssignmentRules
from stage_engine.domain.calendar import Calendar
from stage_engine.domain.decision import Reason
from stage_engine.domain.owed import OwedState
from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.versions import Plan


@dataclass(frozen=True, slots=True)
class PipelineSummary:
    """A pipeline without its draft."""

    pipeline_key: str
    revision: int
    newest_version: int
    modes_revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class PipelineRecord(PipelineSummary):
    """A pipeline with its draft, a document that may have errors."""

    draft: dict[str, Any]


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A published version of a pipeline, without its document."""

    pipeline_key: str
    version: int
    is_default: bool
    published_at: datetime
    published_by: str


@dataclass(frozen=True, slots=True)
class VersionRecord(VersionSummary):
    """A published version of a pipeline."""

    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest version of a published pipeline."""

    pipeline_key: str
    version: int
    object_type: str
    is_default: bool
    published_at: datetime


def default_of(found: Iterable[Newest], object_type: str) -> str | None:
    """The key of the default pipeline for a type of object: of several that say so, the one published last."""
    named = [(each.published_at, each.pipeline_key) for each in found if _is_default(each, object_type)]
    return max(named)[1] if named else None


def _is_default(found: Newest, object_type: str) -> bool:
    return found.is_default and found.object_type == object_type


@dataclass(frozen=True, slots=True)
class ReachRecord:
    """The scores that the newest published points of an assessment version can give."""

    assessment_key: str
    assessment_version: int
    profile_version: int
    minimum: Decimal | None
    maximum: Decimal | None
    scores: tuple[Decimal, ...]
    # The shipped profile that these points are equal to; empty when there is none.
    template_key: str = ""


@dataclass(frozen=True, slots=True)
class InstallRefusal:
    """An assessment that the installation of a process template did not get, and why."""

    request_id: UUID
    assessment_key: str
    detail: str
    refused_at: datetime


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """A partner's topic."""

    partner_key: str
    topic: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """An opportunity: `state` is the whole of it as JSON, the rest is what queries need."""

    opportunity_id: str
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_rank: int
    category: str
    earned_stage: str
    earned_rank: int
    amount: Decimal | None
    currency: str
    owner_id: str
    assignee_id: str
    account_id: str
    account_type: str
    deleted: bool
    quarantined: bool
    quarantine_code: str
    other_pipeline: str
    revision: int
    state: str
    updated_at: datetime
    due_at: datetime | None
    stalled_at: datetime | None
    on_hold: bool
    visit_opened_at: datetime
    close_date: date | None
    expected_at: datetime | None
    rotten_at: datetime | None
    forecast: str
    earned_forecast: str
    segment: str


@dataclass(frozen=True, slots=True)
class UnplacedRecord:
    """A record that no pipeline takes, with the reason; `observation` is JSON."""

    record_id: str
    object_type: str
    owner_id: str
    code: str
    reason: str
    deleted: bool
    number: int
    observation: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AsideTotal:
    """Records that are in no stage for one reason: those that no pipeline takes, or those that are quarantined."""

    code: str
    records: int


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision with everything it rests on: `before`, `given`, `decision` and `after` are JSON."""

    decision_id: UUID
    opportunity_id: str
    decision_no: int
    identity: str
    pipeline_key: str
    pipeline_version: int
    outcome: str
    decided_at: datetime
    before: str | None
    given: str
    decision: str
    after: str


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """A move, which opened a visit."""

    transition_id: UUID
    opportunity_id: str
    revision: int
    decision_id: UUID
    kind: str
    from_stage: str
    to_stage: str
    from_rank: int | None
    to_rank: int
    to_category: str
    skipped: tuple[str, ...]
    visit_no: int
    cycle_no: int
    cause: str
    rule_id: str
    submission_id: str
    actor: str
    reason_code: str
    earned_stage: str
    pipeline_key: str
    pipeline_version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeRecord(TransitionRecord):
    """A move with the end of the visit it opened, None while the visit lasts."""

    visit_closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """What a decision asked for, and what became of it."""

    action_id: UUID
    opportunity_id: str
    object_type: str
    decision_id: UUID
    revision: int
    action_key: str
    kind: str
    phase: str
    text: str
    details: str
    addressee: str
    target: str
    fields: Mapping[str, str]
    due_at: datetime | None
    expires_at: datetime
    requested_at: datetime
    state: str
    code: str
    words: str
    record_id: str
    settled_at: datetime | None
    settled_by: str


@dataclass(frozen=True, slots=True)
class SettledAction:
    """What became of an action: columns of its row."""

    action_id: UUID
    state: str
    code: str
    words: str
    record_id: str
    settled_at: datetime
    settled_by: str


@dataclass(frozen=True, slots=True)
class MigrationRecord:
    """Opportunities on their way to another version; `left` are those that the plan had no place for when their turn
    came. `undoes` is the migration that this one takes back."""

    migration_id: UUID
    pipeline_key: str
    to_version: int
    undoes: UUID | None
    plan: Plan
    after: str
    planned: int
    moved: int
    left: int
    started_at: datetime
    started_by: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class CalendarRecord:
    """A revision of a calendar: that of the tenant, of a team, or of a person."""

    scope: str
    revision: int
    calendar: Calendar


@dataclass(frozen=True, slots=True)
class OwnersCalendar(CalendarRecord):
    """The calendar in force for an owner."""

    owner_id: str


@dataclass(frozen=True, slots=True)
class ObligationRecord:
    """What an owner owes or owed, as the ledger has it."""

    opportunity_id: str
    key: str
    made_at: datetime
    object_type: str
    pipeline_key: str
    due: datetime
    owner_id: str
    state: OwedState
    met_at: datetime | None
    by: str
    source: str
    hour: int
    wall_seconds: int | None
    business_seconds: int | None


@dataclass(frozen=True, slots=True)
class AssignmentRulesRecord:
    """A version of the rules by which subjects of one type are assigned."""

    object_type: str
    version: int
    document: AssignmentRules
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class AssignmentRecord:
    """Who got a role of a subject, and why."""

    decision_id: UUID
    role: str
    opportunity_id: str
    object_type: str
    person_id: str
    rules_version: int
    rule_id: str
    pool: str
    reason: str
    by_person: bool
    assigned_at: datetime


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A person as the bench has them."""

    person_id: str
    active: bool
    load: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """A subject as it was when it was first decided on: `given` is the input as JSON."""

    opportunity_id: str
    given: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class OwedTotal:
    """What came due in a period under one key, of a person or of all who report to one: `not_in_time` are subjects of
    which it was late or missed, the longest due first."""

    who: str
    period: date
    key: str
    owed: int
    met: int
    late: int
    missed: int
    open: int
    not_in_time: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeadTime:
    """How long it took to meet obligations of one group: `judged` are those whose time is over or that were met,
    `censored` those that are open. Seconds are of those whose time is over,
    None where half, or a tenth, was never met."""

    group: str
    judged: int
    met: int
    in_time: int
    censored: int
    wall_median: int | None
    wall_p90: int | None
    business_median: int | None
    business_p90: int | None


@dataclass(frozen=True, slots=True)
class OpportunityState:
    """An opportunity as JSON."""

    opportunity_id: str
    state: str


@dataclass(frozen=True, slots=True)
class StageUse:
    """Open opportunities of a pipeline version in one stage."""

    version: int
    stage_key: str
    opportunities: int


@dataclass(frozen=True, slots=True)
class StageTotal:
    """Opportunities in a stage whose amounts are in one currency, and the sum of these."""

    stage_key: str
    currency: str
    opportunities: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class OwnerTotal:
    """Open opportunities of one owner and currency, and those of them that claim more than they earned."""

    owner_id: str
    currency: str
    open_opportunities: int
    open_amount: Decimal
    ahead_opportunities: int
    ahead_amount: Decimal
    rank_gap: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """A person who agrees."""

    actor: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """A move that waits for approval, or did, and how it ended."""

    approval_id: UUID
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int
    from_stage: str
    to_stage: str
    rule_id: str
    asked_by: str
    reason_code: str
    text: str
    needed: int
    approved_by: tuple[Agreement, ...]
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState
    ended_at: datetime | None
    ended_by: str
    ended_text: str
    missing: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ApproverRecord:
    """Who may decide on a move that waits, by name."""

    approval_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A move that a rule proposes, or did, and what became of it."""

    proposal_id: UUID
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int
    rule_id: str
    from_stage: str
    to_stage: str
    why: Mapping[str, str]
    made_at: datetime
    expires_at: datetime
    state: ProposalState
    ended_at: datetime | None
    ended_by: str
    ended_text: str
    missing: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ProposalTotal:
    """How many proposals of a rule ended in one way, or are open."""

    rule_id: str
    state: ProposalState
    proposals: int


@dataclass(frozen=True, slots=True)
class AccountGroup:
    """Accounts of one type, stage or owner. `untouched` are those about which nothing was done that is known."""

    group: str
    accounts: int
    on_hold: int
    stalled: int
    untouched: int
    last_touch_at: datetime | None


@dataclass(frozen=True, slots=True)
class OpenAmount:
    """What is open with the accounts of a group, in one currency; `amount` None where none is known."""

    group: str
    currency: str
    opportunities: int
    amount: Decimal | None
