# SQLModel declares __tablename__ as a method, though a plain name is what it documents.
# pyright: reportAssignmentType=false
"""The tables. `pipeline_version`, `mode_switching`, `decision` and `transition` are append-only; `score_reach` is a
replica of what the scoring service published; what waits for an opportunity is in the kit's `parked`."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kit.database.tables import table_base
from sqlalchemy import BigInteger, DateTime, Index, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

Base = table_base()


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)  # pyright: ignore[reportArgumentType]


def _created() -> Any:
    column = {"server_default": func.now()}
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs=column)  # pyright: ignore[reportArgumentType]


def _count() -> Any:
    return Field(sa_type=BigInteger)


class PipelineRow(Base, table=True):
    """A pipeline with its draft. `revision` counts changes of the draft, for ETags; `modes_revision` what was switched
    without a new version."""

    __tablename__ = "pipeline"

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    draft: dict[str, Any] = Field(sa_type=JSONB)
    revision: int
    newest_version: int
    modes_revision: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = _created()
    created_by: str
    updated_at: datetime = _created()
    updated_by: str


class PipelineVersionRow(Base, table=True):
    """A published version, immutable."""

    __tablename__ = "pipeline_version"

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    document: dict[str, Any] = Field(sa_type=JSONB)
    is_default: bool
    published_at: datetime = _moment()
    published_by: str


OF_ACCOUNT = "account_id <> '' AND category = 'open' AND NOT deleted"
LOAD = "category = 'open' AND NOT deleted"
# Visits that a later move may still change.
KEPT = "is_first OR left_at IS NULL"
TO_CONFIRM = "earned_rank > stage_rank AND category = 'open' AND NOT deleted"


class OpportunityRow(Base, table=True):
    """One opportunity, or another subject: no two of them share an id. `state` is the whole of it as JSON; the other
    columns are what queries need of it: `due_at` when the first of its timers fires, `stalled_at` from when on it is
    stalled if nothing happens."""

    __tablename__ = "opportunity"
    __table_args__ = (
        Index("opportunity_type", "tenant_id", "object_type", "opportunity_id"),
        Index("opportunity_stage", "tenant_id", "stage_key", "opportunity_id"),
        Index("opportunity_pipeline", "tenant_id", "pipeline_key", "category"),
        Index("opportunity_owner", "tenant_id", "owner_id", "opportunity_id"),
        # What a person has to do; what came lately.
        Index("opportunity_assignee", "tenant_id", "assignee_id", "object_type", postgresql_where=text(LOAD)),
        Index("opportunity_created", "tenant_id", "object_type", "created_at"),
        # Those with a timer that runs; those that will be stalled; those on hold.
        Index("opportunity_due", "tenant_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "opportunity_stalled",
            "tenant_id",
            "stalled_at",
            "opportunity_id",
            postgresql_where=text("stalled_at IS NOT NULL"),
        ),
        Index("opportunity_on_hold", "tenant_id", "opportunity_id", postgresql_where=text("on_hold")),
        # Those that wait for a person to confirm what the evidence has earned.
        Index("opportunity_to_confirm", "tenant_id", "opportunity_id", postgresql_where=text(TO_CONFIRM)),
        # What is due to close.
        Index("opportunity_closing", "tenant_id", "close_date", postgresql_where=text(LOAD)),
        # The portfolio of accounts, and what is open with each.
        Index(
            "opportunity_accounts",
            "tenant_id",
            "owner_id",
            "account_type",
            "stage_key",
            postgresql_where=text("object_type = 'account' AND NOT deleted"),
        ),
        Index("opportunity_of_account", "tenant_id", "account_id", postgresql_where=text(OF_ACCOUNT)),
        Index("opportunity_quarantined", "updated_at", postgresql_where=text("quarantined AND NOT deleted")),
        # Written again and again in place: with room in its page a row keeps its index entries.
        {"postgresql_with": {"fillfactor": 70}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_rank: int
    category: str
    earned_stage: str
    earned_rank: int
    amount: Decimal | None = Field(sa_type=Numeric, nullable=True)
    currency: str
    owner_id: str
    assignee_id: str
    account_id: str = Field(sa_column_kwargs={"server_default": ""})
    account_type: str = Field(sa_column_kwargs={"server_default": ""})
    deleted: bool
    quarantined: bool
    quarantine_code: str
    other_pipeline: str
    revision: int = _count()
    state: str = Field(sa_type=Text)
    created_at: datetime = _created()
    updated_at: datetime = _moment()
    due_at: datetime | None = _moment(nullable=True)
    stalled_at: datetime | None = _moment(nullable=True)
    on_hold: bool = Field(sa_column_kwargs={"server_default": "false"})
    visit_opened_at: datetime = _moment()
    close_date: date | None
    # When its visit has lasted as long as expected, and half as much again.
    expected_at: datetime | None = _moment(nullable=True)
    rotten_at: datetime | None = _moment(nullable=True)
    forecast: str
    earned_forecast: str
    segment: str


class UnplacedRow(Base, table=True):
    """A record that no pipeline takes, as it was last observed: `observation` is JSON, `number` its place among all
    reports of the record, `since` when it was first seen without a pipeline. Of a deleted one only the number counts,
    so that what was observed before does not bring it back."""

    __tablename__ = "unplaced"

    tenant_id: str = Field(primary_key=True)
    record_id: str = Field(primary_key=True)
    object_type: str
    owner_id: str
    code: str
    reason: str
    deleted: bool
    number: int = _count()
    observation: str = Field(sa_type=Text)
    since: datetime = _moment()


class PlacementRow(Base, table=True):
    """A tenant whose unplaced records are looked at again, in the order of ids behind `after`: a pipeline was
    published."""

    __tablename__ = "placement"

    tenant_id: str = Field(primary_key=True)
    after: str
    started_at: datetime = _created()


class DecisionRow(Base, table=True):
    """A decision with everything it rests on: `before`, `given`, `decision` and `after` are JSON texts, so that
    deciding again can be compared byte for byte."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("decision_number", "tenant_id", "opportunity_id", "decision_no", unique=True),
        # The identity leads, which names an id with its time: what is decided now is close together in the index.
        Index("decision_identity", "tenant_id", "identity", "opportunity_id", unique=True),
        # Rows of two or three kB, written once and seldom read: compressing each would cost more than writing it.
        {"postgresql_with": {"toast_tuple_target": 8160}},
    )

    tenant_id: str = Field(primary_key=True)
    decision_id: UUID = Field(primary_key=True)
    opportunity_id: str
    decision_no: int = _count()
    identity: str
    pipeline_key: str
    pipeline_version: int
    outcome: str
    decided_at: datetime = _moment()
    before: str | None = Field(sa_type=Text)
    given: str = Field(sa_type=Text)
    decision: str = Field(sa_type=Text)
    after: str = Field(sa_type=Text)


class TransitionRow(Base, table=True):
    """One move. It opens a visit that lasts until the next revision of the opportunity."""

    __tablename__ = "transition"
    __table_args__ = (
        Index("transition_revision", "tenant_id", "opportunity_id", "revision", unique=True),
        Index("transition_entry", "tenant_id", "pipeline_key", "to_stage", "changed_at"),
        Index("transition_by_rule", "tenant_id", "pipeline_key", "changed_at", postgresql_where=text("cause = 'rule'")),
    )

    tenant_id: str = Field(primary_key=True)
    transition_id: UUID = Field(primary_key=True)
    opportunity_id: str
    revision: int = _count()
    decision_id: UUID
    kind: str
    from_stage: str
    to_stage: str
    from_rank: int | None
    to_rank: int
    to_category: str
    skipped: list[str] = Field(sa_type=JSONB)
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
    changed_at: datetime = _moment()


class ScoreReachRow(Base, table=True):
    """What scores the newest published points of an assessment version can give, in the scale that rules compare."""

    __tablename__ = "score_reach"

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    assessment_version: int = Field(primary_key=True)
    profile_version: int
    minimum: Decimal | None = Field(sa_type=Numeric, nullable=True)
    maximum: Decimal | None = Field(sa_type=Numeric, nullable=True)
    scores: list[Decimal] = Field(sa_type=ARRAY(Numeric))  # pyright: ignore[reportArgumentType]
    # The shipped profile that the points are equal to; empty when there is none.
    template_key: str
    updated_at: datetime = _created()


class InstallRefusalRow(Base, table=True):
    """An assessment that the installation of a process template did not get, and why; one of each request."""

    __tablename__ = "install_refusal"

    tenant_id: str = Field(primary_key=True)
    request_id: UUID = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    detail: str
    refused_at: datetime = _moment()


class ModeSwitchingRow(Base, table=True):
    """One switching of a rule, or of all automation of a pipeline: decisions name the revision that it makes."""

    __tablename__ = "mode_switching"
    __table_args__ = (Index("breaker_opened", "changed_at", postgresql_where=text("switch = 'breaker_open'")),)

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    rule_id: str
    switch: str
    reason: str
    changed_at: datetime = _moment()
    changed_by: str


class MigrationRow(Base, table=True):
    """Opportunities on their way to another version of their pipeline, page by page in the order of ids: `after` is the
    last one that was looked at. At most one of a pipeline is under way. `undoes` is the migration that it takes back;
    then each goes to the version it came from, and `to_version` is 0."""

    __tablename__ = "migration"
    __table_args__ = (
        Index(
            "migration_under_way",
            "tenant_id",
            "pipeline_key",
            unique=True,
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("migration_started", "started_at", postgresql_where=text("finished_at IS NULL")),
    )

    tenant_id: str = Field(primary_key=True)
    migration_id: UUID = Field(primary_key=True)
    pipeline_key: str
    to_version: int
    undoes: UUID | None
    plan: dict[str, Any] = Field(sa_type=JSONB)
    after: str
    planned: int = _count()
    moved: int = _count()
    left: int = _count()
    started_at: datetime = _moment()
    started_by: str
    finished_at: datetime | None = _moment(nullable=True)


class ActivityRow(Base, table=True):
    """What was last heard of an activity about a subject, so that the same again, or something older, changes
    nothing."""

    __tablename__ = "activity"
    __table_args__ = (
        # Its end is the last moment of a kind, whatever was withdrawn before.
        Index("activity_last", "tenant_id", "subject_id", "kind", "occurred_at",
              postgresql_where=text("done AND NOT withdrawn")),
        # What took place in a period.
        Index("activity_done", "tenant_id", "occurred_at", postgresql_where=text("done AND NOT withdrawn")),
        Index("activity_last_inbound", "tenant_id", "subject_id", "kind", "occurred_at",
              postgresql_where=text("done AND NOT withdrawn AND inbound")),
        Index("activity_ahead", "occurred_at", "tenant_id",
              postgresql_where=text("kind = 'meeting' AND NOT done AND NOT withdrawn")),
    )  # fmt: skip

    tenant_id: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    activity_id: str = Field(primary_key=True)
    kind: str
    done: bool
    withdrawn: bool
    inbound: bool
    occurred_at: datetime = _moment()
    committed_at: datetime = _moment()
    person_id: str
    created_at: datetime = _created()


class ActivityTotalRow(Base, table=True):
    """The activities of one kind that count for a subject. `changes` counts all that was heard of them."""

    __tablename__ = "activity_total"
    # Written again and again in place: with room in its page a row keeps its index entries.
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    tenant_id: str = Field(primary_key=True)
    subject_id: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    count: int = _count()
    last_at: datetime | None = _moment(nullable=True)
    last_inbound_at: datetime | None = _moment(nullable=True)
    observed_at: datetime = _moment()
    changes: int = _count()
    created_at: datetime = _created()


class ActionRow(Base, table=True):
    """What a decision asked for, and what became of it. `addressee` is whom it is for; `state` is open until it is
    settled, once."""

    __tablename__ = "action"
    __table_args__ = (
        Index("action_subject", "tenant_id", "opportunity_id", "action_id"),
        Index("action_state", "tenant_id", "state", "action_id"),
        # Those that are open, of all tenants.
        Index("action_open", "requested_at", postgresql_where=text("state = 'open'")),
    )

    tenant_id: str = Field(primary_key=True)
    action_id: UUID = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    decision_id: UUID
    revision: int = _count()
    action_key: str
    kind: str
    phase: str
    text: str
    details: str
    addressee: str
    target: str
    fields: dict[str, str] = Field(sa_type=JSONB)
    due_at: datetime | None = _moment(nullable=True)
    expires_at: datetime = _moment()
    requested_at: datetime = _moment()
    state: str
    code: str
    words: str
    record_id: str
    settled_at: datetime | None = _moment(nullable=True)
    settled_by: str


class VisitRow(Base, table=True):
    """A visit as figures count it: see `domain/figures/visits.py`. A visit in a closed stage is the closing."""

    __tablename__ = "visit"
    __table_args__ = (
        Index("visit_entered", "tenant_id", "entered_at"),
        Index("visit_left", "tenant_id", "left_at", postgresql_where=text("left_at IS NOT NULL")),
        Index("visit_created", "tenant_id", "created_at", postgresql_where=text("visit_no = 1")),
        Index("visit_kept", "tenant_id", "opportunity_id", postgresql_where=text(KEPT)),
        # Written again in place: with room in its page a row keeps its index entries.
        {"postgresql_with": {"fillfactor": 70}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    revision: int = Field(primary_key=True, sa_type=BigInteger)
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    category: str
    rank: int
    earned_rank: int
    owner_id: str
    team_id: str
    segment: str
    amount: Decimal | None = Field(sa_type=Numeric, nullable=True)
    currency: str
    visit_no: int
    cycle_no: int
    kind: str
    cause: str
    from_stage: str
    skipped: int
    is_forward: bool
    is_override: bool
    lacking: bool | None
    rule_id: str
    entered_at: datetime = _moment()
    is_clocked: bool
    created_at: datetime = _moment()
    is_created_known: bool
    cycle_started_at: datetime = _moment()
    win_probability: int | None
    expected_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    is_first: bool
    is_migrated: bool
    is_gone: bool
    left_at: datetime | None = _moment(nullable=True)
    left_kind: str
    held_seconds: int = _count()
    wall_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    business_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    reached_at: datetime | None = _moment(nullable=True)
    reached_next: bool
    closed_at: datetime | None = _moment(nullable=True)
    outcome: str
    closed_next: bool


class StandingRow(Base, table=True):
    """How an open opportunity stood in the forecast between two moments: any day of the past can be looked at again."""

    __tablename__ = "standing"
    __table_args__ = (
        Index("standing_due", "tenant_id", "due", "since"),
        Index("standing_kept", "tenant_id", "opportunity_id", postgresql_where=text("until IS NULL")),
        {"postgresql_with": {"fillfactor": 80}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    decision_no: int = Field(primary_key=True, sa_type=BigInteger)
    since: datetime = _moment()
    until: datetime | None = _moment(nullable=True)
    object_type: str
    pipeline_key: str
    stage_key: str
    forecast: str
    earned_forecast: str
    rank: int
    earned_rank: int
    due: date | None
    amount: Decimal | None = Field(sa_type=Numeric, nullable=True)
    currency: str
    owner_id: str
    team_id: str
    segment: str


class EvaluationRow(Base, table=True):
    """A decision in which rules that may act were asked."""

    __tablename__ = "evaluation"
    __table_args__ = (Index("evaluation_decided", "tenant_id", "decided_at"),)

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    decision_no: int = Field(primary_key=True, sa_type=BigInteger)
    decided_at: datetime = _moment()
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    owner_id: str
    team_id: str
    segment: str
    outcome: str
    asked: list[str] = Field(sa_type=JSONB)
    fired: str


class CalendarRow(Base, table=True):
    """A revision of the business hours of the tenant, a team or a person: decisions name the one they rest on."""

    __tablename__ = "calendar"

    tenant_id: str = Field(primary_key=True)
    scope: str = Field(primary_key=True)
    revision: int = Field(primary_key=True)
    calendar: dict[str, Any] = Field(sa_type=JSONB)
    changed_at: datetime = _created()
    changed_by: str


class ObligationRow(Base, table=True):
    """What the owner of an opportunity owed, or owes, by a time: the ledger that reports ask, never the activities. It
    is written with the decision that makes, settles or cancels it. `source` is where the subject came from, `hour` that
    of the day, by the owner's clock, in which it was made; both seconds count from then until it was met."""

    __tablename__ = "obligation"
    __table_args__ = (
        Index("obligation_due", "tenant_id", "due", "opportunity_id", "key", "made_at"),
        Index("obligation_of_owner", "tenant_id", "owner_id", "due"),
        Index("obligation_of_key", "tenant_id", "key", "due"),
        Index("obligation_open", "tenant_id", "due", postgresql_where=text("state = 'open'")),
        Index("obligation_made", "tenant_id", "key", "made_at"),
        {"postgresql_with": {"fillfactor": 80}},
    )

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    made_at: datetime = Field(sa_type=DateTime(timezone=True), primary_key=True)  # pyright: ignore[reportArgumentType]
    object_type: str
    pipeline_key: str
    due: datetime = _moment()
    owner_id: str
    state: str
    met_at: datetime | None = _moment(nullable=True)
    by: str
    source: str
    hour: int
    wall_seconds: int | None = Field(sa_type=BigInteger, nullable=True)
    business_seconds: int | None = Field(sa_type=BigInteger, nullable=True)


class AssignmentRulesRow(Base, table=True):
    """A version of the rules by which subjects of one type are assigned: assignments name the one they rest on."""

    __tablename__ = "assignment_rules"

    tenant_id: str = Field(primary_key=True)
    object_type: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    document: dict[str, Any] = Field(sa_type=JSONB)
    changed_at: datetime = _created()
    changed_by: str


class AssignmentRow(Base, table=True):
    """Who got a role of a subject, when, by which rule and why: written with the decision."""

    __tablename__ = "assignment"
    __table_args__ = (
        # Its end is when a person had the last turn.
        Index("assignment_turn", "tenant_id", "object_type", "person_id", "assigned_at"),
        Index("assignment_subject", "tenant_id", "opportunity_id", "assigned_at"),
    )

    tenant_id: str = Field(primary_key=True)
    decision_id: UUID = Field(primary_key=True)
    role: str = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    person_id: str
    rules_version: int
    rule_id: str
    pool: str
    reason: str
    by_person: bool
    assigned_at: datetime = _moment()


class ApprovalRow(Base, table=True):
    """A move that waits for approval, or did: written with each decision about it. `number` is the decision that asked
    for it, `missing` what it lacked in the end."""

    __tablename__ = "approval"
    __table_args__ = (
        Index("approval_subject", "tenant_id", "opportunity_id", "approval_id"),
        Index("approval_state", "tenant_id", "state", "approval_id"),
        Index("approval_owner", "tenant_id", "owner_id", "state", "approval_id"),
        Index("approval_pipeline", "tenant_id", "pipeline_key", postgresql_where=text("state = 'pending'")),
    )

    tenant_id: str = Field(primary_key=True)
    approval_id: UUID = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int = _count()
    from_stage: str
    to_stage: str
    rule_id: str
    asked_by: str
    reason_code: str
    text: str
    needed: int
    approved_by: list[dict[str, Any]] = Field(sa_type=JSONB)
    asked_at: datetime = _moment()
    expires_at: datetime = _moment()
    state: str
    ended_at: datetime | None = _moment(nullable=True)
    ended_by: str
    ended_text: str
    missing: list[dict[str, Any]] = Field(sa_type=JSONB)


class ApproverRow(Base, table=True):
    """Who may decide on a move that waits, or may not any more, by name; gone with the end of the waiting."""

    __tablename__ = "approver"
    __table_args__ = (Index("approver_name", "tenant_id", "name", "approval_id"),)

    tenant_id: str = Field(primary_key=True)
    approval_id: UUID = Field(primary_key=True)
    name: str = Field(primary_key=True)


class ProposalRow(Base, table=True):
    """A move that a rule proposes, or did, and what became of it; `why` are the facts that it rests on."""

    __tablename__ = "proposal"
    __table_args__ = (
        Index("proposal_subject", "tenant_id", "opportunity_id", "proposal_id"),
        Index("proposal_state", "tenant_id", "state", "proposal_id"),
        Index("proposal_owner", "tenant_id", "owner_id", "state", "proposal_id"),
        Index("proposal_rule", "tenant_id", "pipeline_key", "rule_id", "state", "owner_id"),
    )

    tenant_id: str = Field(primary_key=True)
    proposal_id: UUID = Field(primary_key=True)
    opportunity_id: str
    object_type: str
    pipeline_key: str
    owner_id: str
    number: int = _count()
    rule_id: str
    from_stage: str
    to_stage: str
    why: dict[str, str] = Field(sa_type=JSONB)
    made_at: datetime = _moment()
    expires_at: datetime = _moment()
    state: str
    ended_at: datetime | None = _moment(nullable=True)
    ended_by: str
    ended_text: str
    missing: list[dict[str, Any]] = Field(sa_type=JSONB)


class PartnerFeedRow(Base, table=True):
    """A topic that gets every stage change of the tenant."""

    __tablename__ = "partner_feed"

    tenant_id: str = Field(primary_key=True)
    partner_key: str = Field(primary_key=True)
    topic: str
    created_at: datetime = _created()
    created_by: str


pipeline, pipeline_version, opportunity = (
    Base.metadata.tables[name] for name in ("pipeline", "pipeline_version", "opportunity")
)
decision, transition, score_reach = (Base.metadata.tables[name] for name in ("decision", "transition", "score_reach"))
mode_switching, migration, partner_feed, calendar = (
    Base.metadata.tables[name] for name in ("mode_switching", "migration", "partner_feed", "calendar")
)
action, install_refusal = (Base.metadata.tables[name] for name in ("action", "install_refusal"))
assignment_rules, assignment = (Base.metadata.tables[name] for name in ("assignment_rules", "assignment"))
obligation = Base.metadata.tables["obligation"]
activity, activity_total = (Base.metadata.tables[name] for name in ("activity", "activity_total"))
unplaced, placement = (Base.metadata.tables[name] for name in ("unplaced", "placement"))
visit, standing, evaluation = (Base.metadata.tables[name] for name in ("visit", "standing", "evaluation"))
approval, approver, proposal = (Base.metadata.tables[name] for name in ("approval", "approver", "proposal"))
