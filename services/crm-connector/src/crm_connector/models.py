"""The tables. What this service owns: write_queue, write_intent, write_attempt, import_run, connection and the mappings
of stages. `opportunity` is what it last knew of the CRM; pipeline and assessment_text are replicas fed by events."""

from datetime import datetime
from typing import Any
from uuid import UUID

from kit.database.tables import table_base
from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, LargeBinary, String, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

Base = table_base()


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=nullable)  # pyright: ignore[reportArgumentType]


def _now() -> Any:
    column = {"server_default": func.now()}
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs=column)  # pyright: ignore[reportArgumentType]


class WriteQueue(Base, table=True):
    """The unfinished writes, and how far each is. A row goes when its write is settled; a PARKED one stays until a
    person retries it. `priority` is 0 for a stage and for what has to go before it, 1 for answers alone. `left_out`
    holds, by question, why the CRM refused an answer, so that the write goes without it."""

    __tablename__ = "write_queue"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("write_queue_due", "tenant_id", "state", "priority", "created_at"),
        Index("write_queue_opportunity", "tenant_id", "opportunity_id", "decision_no"),
        Index("write_queue_age", "tenant_id", "created_at"),
        # Rows live for a moment: without this the table bloats to many times its content.
        {
            "postgresql_with": {
                "autovacuum_vacuum_scale_factor": 0,
                "autovacuum_vacuum_threshold": 5000,
                "autovacuum_vacuum_cost_delay": 0,
            }
        },
    )

    tenant_id: str = Field(primary_key=True)
    intent_id: UUID = Field(primary_key=True)
    object_type: str
    opportunity_id: str
    decision_id: UUID
    decision_no: int = Field(sa_type=BigInteger)
    revision: int = Field(sa_type=BigInteger)
    submission_id: str
    pipeline_key: str
    pipeline_version: int
    target_stage: str
    expected_stage: str
    expected_version: int
    earned_stage: str
    reason_code: str
    assessment_key: str
    assessment_version: int
    evidence: bytes | None = Field(sa_column=Column(LargeBinary))
    traceparent: str
    priority: int
    state: str
    attempts: int
    write_id: str
    code: str
    reason: str
    left_out: dict[str, str] = Field(sa_type=JSONB)
    due_at: datetime = _moment()
    sent_at: datetime | None = _moment(nullable=True)
    created_at: datetime = _moment()


class WriteIntent(Base, table=True):
    """What one decision wants written, for good, and what became of it: the columns from `outcome` on are filled once,
    when the write is settled, and echoed_at when its echo comes. target_stage and expected_stage are our stage keys."""

    __tablename__ = "write_intent"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("write_intent_newest", "tenant_id", "position"),
        Index("write_intent_opportunity", "tenant_id", "opportunity_id", "position"),
        Index("write_intent_outcome", "tenant_id", "outcome", "position"),
        Index("write_intent_unechoed", "tenant_id", "settled_at", postgresql_where=text("outcome = 'CONFIRMED'")),
        Index(
            "write_intent_conflict",
            "tenant_id",
            "position",
            postgresql_where=text("outcome = 'CONFLICT' AND conflict_observed_at IS NULL"),
        ),
    )

    tenant_id: str = Field(primary_key=True)
    intent_id: UUID = Field(primary_key=True)
    position: int = Field(sa_column=Column(BigInteger, Identity(always=True), nullable=False))
    object_type: str
    opportunity_id: str
    decision_id: UUID
    decision_no: int = Field(sa_type=BigInteger)
    submission_id: str
    pipeline_key: str
    pipeline_version: int
    target_stage: str
    expected_stage: str
    reason_code: str
    follows: UUID | None
    created_at: datetime = _now()
    outcome: str | None
    attempts: int | None
    write_id: str | None
    code: str | None
    reason: str | None
    left_out: dict[str, str] | None = Field(sa_type=JSONB, nullable=True)
    sent_at: datetime | None = _moment(nullable=True)
    settled_at: datetime | None = _moment(nullable=True)
    echoed_at: datetime | None = _moment(nullable=True)
    conflict_observed_at: datetime | None = _moment(nullable=True)


class WriteAttempt(Base, table=True):
    """The ledger of what was sent under which id: it tells an echo from a change of someone else. `sent` holds the
    fields of the record by the CRM's names, `stage` that of them which is the stage."""

    __tablename__ = "write_attempt"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("write_attempt_intent", "tenant_id", "intent_id"),)

    tenant_id: str = Field(primary_key=True)
    write_id: str = Field(primary_key=True)
    intent_id: UUID
    attempt: int
    sent: dict[str, Any] = Field(sa_type=JSONB)
    stage: str
    created_at: datetime = _now()


class Opportunity(Base, table=True):
    """What was last known of an opportunity in the CRM, or of another subject: no two of them share an id. `sequence`
    counts everything published about it; `mapped_stages` is what was last published for the stage that is known, and
    `stage_key` what of it belongs to its own pipeline. `pipeline_version` is 0 before a decision said which that is."""

    __tablename__ = "opportunity"  # pyright: ignore[reportAssignmentType]
    # Written again and again in place: with room in its page a row keeps its index entries.
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    tenant_id: str = Field(primary_key=True)
    opportunity_id: str = Field(primary_key=True)
    object_type: str
    known: dict[str, Any] = Field(sa_type=JSONB)
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    mapped_stages: list[dict[str, Any]] = Field(sa_type=JSONB)
    stage_is_ours: bool
    sequence: int = Field(sa_type=BigInteger)
    created_at: datetime = _now()
    updated_at: datetime = _now()


class ChangeSeen(Base, table=True):
    """Changes of the CRM that were applied, for as long as the CRM could replay them."""

    __tablename__ = "change_seen"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("change_seen_created_at", "created_at", postgresql_using="brin"),)

    tenant_id: str = Field(primary_key=True)
    change_id: str = Field(primary_key=True)
    created_at: datetime = _now()


class Connection(Base, table=True):
    """The state of the connection to the CRM. `position` is the place in its stream of changes; `sweep_since` is set
    while changes from that time on may have been missed, and their reading goes on after `sweep_after`. The columns
    `*_wanted_at` are set by requests, for the instance that leads. `missing` is what the CRM lacks of what we need."""

    tenant_id: str = Field(primary_key=True)
    adapter: str
    org_id: str
    state: str
    last_error: str
    last_error_at: datetime | None = _moment(nullable=True)
    connected_at: datetime | None = _moment(nullable=True)
    position: bytes | None = Field(sa_column=Column(LargeBinary))
    position_at: datetime | None = _moment(nullable=True)
    schema_id: str
    sweep_since: datetime | None = _moment(nullable=True)
    sweep_after: str
    sweep_began_at: datetime | None = _moment(nullable=True)
    deletions_at: datetime | None = _moment(nullable=True)
    stages_at: datetime | None = _moment(nullable=True)
    stages_wanted_at: datetime | None = _moment(nullable=True)
    retry_wanted_at: datetime | None = _moment(nullable=True)
    people_since: datetime | None = _moment(nullable=True)
    people_after: str
    people_began_at: datetime | None = _moment(nullable=True)
    people_at: datetime | None = _moment(nullable=True)
    state_since: datetime | None = _moment(nullable=True)
    progress_at: datetime | None = _moment(nullable=True)
    checked_at: datetime | None = _moment(nullable=True)
    missing: list[str] = Field(sa_type=JSONB)
    fields_key: str = Field(sa_column=Column(String, nullable=False, server_default=""))
    fields_revision: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    facts_unavailable: list[str] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    events_used: int | None
    events_allowed: int | None
    created_at: datetime = _now()
    updated_at: datetime = _now()


class WriteHold(Base, table=True):
    """What the CRM refuses besides single records: writes that touch the `subject`, or all when it is empty, are held
    back until the CRM takes one again."""

    __tablename__ = "write_hold"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    scope: str
    fields: list[str] = Field(sa_type=JSONB)
    code: str
    reason: str
    since: datetime = _moment()
    until: datetime = _moment()
    refusals: int
    created_at: datetime = _now()


class ImportRun(Base, table=True):
    """One reading of all records of some types; it goes on after last_id. `fields_key` says what was read of each. One
    that has not begun has no types yet."""

    __tablename__ = "import_run"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("import_run_running", "tenant_id", unique=True, postgresql_where=text("state = 'RUNNING'")),
    )

    tenant_id: str = Field(primary_key=True)
    import_id: UUID = Field(primary_key=True)
    state: str
    requested_by: str
    object_types: list[str] = Field(sa_column=Column(JSONB, nullable=False, server_default="[]"))
    fields_key: str = Field(sa_column=Column(String, nullable=False, server_default=""))
    last_id: str
    read_count: int
    published_count: int
    last_error: str
    finished_at: datetime | None = _moment(nullable=True)
    created_at: datetime = _now()
    updated_at: datetime = _now()


class CrmStageRow(Base, table=True):
    """The CRM's catalog of stages as it was last read."""

    __tablename__ = "crm_stage"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = Field(primary_key=True)
    object_type: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    label: str
    sort_order: int
    is_active: bool
    is_closed: bool | None
    is_won: bool | None
    created_at: datetime = _now()


class Pipeline(Base, table=True):
    """A version of a pipeline, and its mapping: the CRM's stage, by its API name, for ours. A pair stays as it was
    first made until a person changes it; `mapping_revision` counts those changes. `remap_after` is set while the
    opportunities behind that one may have been read with an older mapping."""

    tenant_id: str = Field(primary_key=True)
    pipeline_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    name: str
    is_default: bool
    object_type: str
    stages: list[dict[str, str]] = Field(sa_type=JSONB)
    published_at: datetime | None = _moment(nullable=True)
    pairs: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False, server_default="{}"))
    mapping_revision: int = Field(sa_column=Column(Integer, nullable=False, server_default="0"))
    remap_after: str | None = Field(sa_column=Column(String, nullable=True, server_default=""))
    created_at: datetime = _now()
    updated_at: datetime = _now()


class FieldMappingRow(Base, table=True):
    """Which fields of the CRM become which facts, where a person said so: `{fact: {"field", "type"}}`, and which roles
    of contacts are counted. `checked` says that the CRM had them then."""

    __tablename__ = "field_mapping"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = Field(primary_key=True)
    revision: int
    checked: bool
    facts: dict[str, Any] = Field(sa_type=JSONB)
    contact_roles: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = _now()
    updated_at: datetime = _now()


class AssessmentText(Base, table=True):
    """How people read the questions of an assessment version: `{question: {"text", "choices": {key: text}}}`."""

    __tablename__ = "assessment_text"  # pyright: ignore[reportAssignmentType]

    tenant_id: str = Field(primary_key=True)
    assessment_key: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    title: str
    questions: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = _now()


class ActionQueue(Base, table=True):
    """What decisions ask the CRM to do, until it is settled. `due_on` is until when a task is to be done, `due_at` when
    to send the action, or to find out what became of it."""

    __tablename__ = "action_queue"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("action_queue_due", "tenant_id", "due_at"),
        Index("action_queue_owner", "tenant_id", "opportunity_id", postgresql_where=text("kind = 'owner'")),
    )

    tenant_id: str = Field(primary_key=True)
    action_id: UUID = Field(primary_key=True)
    object_type: str
    opportunity_id: str
    kind: str
    text: str
    details: str
    person_id: str
    target: str
    fields: dict[str, str] = Field(sa_type=JSONB)
    due_on: datetime | None = _moment(nullable=True)
    expires_at: datetime = _moment()
    requested_at: datetime = _moment()
    state: str
    attempts: int
    due_at: datetime = _moment()
    code: str
    reason: str
    traceparent: str
    created_at: datetime = _now()


class LeadIntake(Base, table=True):
    """Leads that other programs handed in, without what they say: that is in the queue until the CRM has it. `key` and
    `person`, a digest of the e-mail address, name one each; what was refused or expired may be handed in anew."""

    __tablename__ = "lead_intake"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("lead_intake_key", "tenant_id", "key", unique=True),
        Index(
            "lead_intake_person",
            "tenant_id",
            "person",
            unique=True,
            postgresql_where=text("person <> '' AND state <> 'refused' AND state <> 'expired'"),
        ),
    )

    tenant_id: str = Field(primary_key=True)
    lead_id: UUID = Field(primary_key=True)
    key: str
    content: str
    person: str
    state: str
    record_id: str
    code: str
    words: str
    created_by: str
    created_at: datetime = _moment()
    settled_at: datetime | None = _moment(nullable=True)


_tables = Base.metadata.tables
lead_intake = _tables["lead_intake"]
action_queue = _tables["action_queue"]
write_queue = _tables["write_queue"]
write_intent = _tables["write_intent"]
write_attempt = _tables["write_attempt"]
opportunity = _tables["opportunity"]
change_seen = _tables["change_seen"]
connection = _tables["connection"]
import_run = _tables["import_run"]
write_hold = _tables["write_hold"]
crm_stage = _tables["crm_stage"]
pipeline = _tables["pipeline"]
field_mapping = _tables["field_mapping"]
assessment_text = _tables["assessment_text"]
