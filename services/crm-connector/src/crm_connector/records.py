"""Rows as values: what the repositories take and give. Their fields are columns of the tables in `models.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from crm_connector.domain.fields import FieldMapping, MappedField
from crm_connector.domain.intents import DONE, IntentState, Lane, Move
from crm_connector.domain.leads import LeadState
from crm_connector.domain.observation import Known
from crm_connector.domain.stages import MappedStage, PipelineStage
from crm_connector.domain.writes import QuestionText, SentFields


@dataclass(frozen=True, slots=True)
class OpportunityRecord:
    """What is known of an opportunity, or of another subject. `stage_key` is our stage for that of the facts, as it was
    last published of its own pipeline, `mapped_stages` that of every pipeline; `stage_is_ours` says that our own write
    put it there. `sequence` counts everything published about it. `pipeline_version` is 0 before a decision said which
    pipeline that is."""

    opportunity_id: str
    object_type: str
    known: Known
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    stage_is_ours: bool
    sequence: int
    updated_at: datetime
    mapped_stages: tuple[MappedStage, ...] = ()

    @property
    def reading(self) -> "Reading":
        """How its stage was last read."""
        stage = self.known.facts.stage if self.known.facts and not self.known.deleted else None
        version = self.pipeline_key, self.pipeline_version
        return Reading(self.opportunity_id, self.object_type, *version, stage, self.stage_key, self.mapped_stages)

    def next(self) -> "OpportunityRecord":
        """The record after one more publication about it."""
        return replace(self, sequence=self.sequence + 1)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the CRM's stage of an opportunity was last read; `crm_stage` is None of one that is unknown or deleted."""

    opportunity_id: str
    object_type: str
    pipeline_key: str
    pipeline_version: int
    crm_stage: str | None
    stage_key: str
    mapped_stages: tuple[MappedStage, ...]


@dataclass(frozen=True, slots=True)
class PipelineVersion:
    """A version of a pipeline as it was published."""

    pipeline_key: str
    version: int
    name: str
    is_default: bool
    object_type: str
    stages: tuple[PipelineStage, ...]
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class PipelineRecord(PipelineVersion):
    """A version of a pipeline and its mapping. `mapping_revision` counts the changes that people made to it; while
    `remap_after` is set, the opportunities behind that one may have been read with an older mapping."""

    pairs: Mapping[str, str]
    mapping_revision: int
    remap_after: str | None


@dataclass(frozen=True, slots=True)
class FieldMappingRecord:
    """The mapping of fields that a person set. `checked` says that the CRM had all of them then."""

    revision: int
    checked: bool
    facts: Mapping[str, MappedField]
    contact_roles: Mapping[str, tuple[str, ...]]

    @property
    def mapping(self) -> FieldMapping:
        """The mapping itself."""
        return FieldMapping(self.facts, self.contact_roles)


@dataclass(frozen=True, slots=True)
class AssessmentTextRecord:
    """How people read the questions of an assessment version, by question key."""

    assessment_key: str
    version: int
    title: str
    questions: Mapping[str, QuestionText]


# Empty before the connector first ran.
ConnectionState = Literal[
    "", "CONNECTING", "WAITING_FOR_PIPELINE", "IMPORTING", "LIVE", "RECORDING", "SWEEPING", "UNAVAILABLE", "REFUSED",
    "FAILED",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """The connection to the CRM. `position` is the place in its stream of changes, `position_at` how far in time that
    is; `sweep_since` is set while changes from that time on may have been missed: the sweep that reads them began at
    `sweep_began_at` and goes on after `sweep_after`. Users were read as of `people_at`, and those touched from
    `people_since` on are read next, likewise after `people_after`. `progress_at` says when something was last heard or
    read."""

    adapter: str = ""
    org_id: str = ""
    state: ConnectionState = ""
    last_error: str = ""
    last_error_at: datetime | None = None
    connected_at: datetime | None = None
    position: bytes | None = None
    position_at: datetime | None = None
    schema_id: str = ""
    sweep_since: datetime | None = None
    sweep_after: str = ""
    sweep_began_at: datetime | None = None
    deletions_at: datetime | None = None
    stages_at: datetime | None = None
    stages_wanted_at: datetime | None = None
    retry_wanted_at: datetime | None = None
    people_since: datetime | None = None
    people_after: str = ""
    people_began_at: datetime | None = None
    people_at: datetime | None = None
    state_since: datetime | None = None
    progress_at: datetime | None = None
    checked_at: datetime | None = None
    missing: tuple[str, ...] = ()
    fields_key: str = ""
    fields_revision: int = 0
    facts_unavailable: tuple[str, ...] = ()
    events_used: int | None = None
    events_allowed: int | None = None


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One reading of all records of these types; it goes on after `last_id`. One that has not begun has no types."""

    import_id: UUID
    state: Literal["RUNNING", "COMPLETED"]
    requested_by: str
    object_types: tuple[str, ...]
    fields_key: str
    last_id: str
    read_count: int
    published_count: int
    last_error: str
    finished_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class QueuedWrite:
    """An unfinished write with all that sending and settling it needs. `evidence` is the serialised SubmissionScored;
    target_stage, expected_stage and earned_stage are our stage keys, the expected one of `expected_version`, or of
    the same when that is 0; `reason_code` says why it ends or goes back.
    `left_out` holds why the CRM refused an answer, by question; empty for the assessment as a whole. `due_at` says when
    to send a NEW one, when to find out about a SENT one, and since when a PARKED one waits."""

    intent_id: UUID
    object_type: str
    opportunity_id: str
    decision_id: UUID
    decision_no: int
    revision: int
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
    evidence: bytes | None
    traceparent: str
    priority: int
    state: IntentState
    attempts: int
    write_id: str
    code: str
    reason: str
    left_out: Mapping[str, str]
    due_at: datetime
    sent_at: datetime | None
    created_at: datetime

    def moved(self, move: Move, **changes: Any) -> "QueuedWrite":
        """The write after the move. What is done no longer says why it failed before. IntentTransitionInvalid."""
        if move.target in DONE:
            changes = {"code": "", "reason": ""} | changes
        return replace(self, state=move.of(self.state), **changes)


@dataclass(frozen=True, slots=True)
class DueWrite(QueuedWrite):
    """A write that may be sent now; `superseded` when a newer decision's stage went before it. `sync_error` is why an
    earlier stage of the opportunity is parked."""

    superseded: bool
    sync_error: str


@dataclass(frozen=True, slots=True)
class Sending:
    """What sending changes of a queued write."""

    intent_id: UUID
    state: IntentState
    attempts: int
    write_id: str
    sent_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class NewIntent:
    """What one decision wants written. `follows` is the intent whose answers these are."""

    intent_id: UUID
    object_type: str
    opportunity_id: str
    decision_id: UUID
    decision_no: int
    submission_id: str
    pipeline_key: str
    pipeline_version: int
    target_stage: str
    expected_stage: str
    reason_code: str
    follows: UUID | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a write."""

    intent_id: UUID
    outcome: IntentState
    attempts: int
    write_id: str
    code: str
    reason: str
    left_out: Mapping[str, str]
    sent_at: datetime | None
    settled_at: datetime
    echoed_at: datetime | None


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """A write intent and how far it is, in the queue or settled."""

    intent_id: UUID
    position: int
    object_type: str
    opportunity_id: str
    decision_id: UUID
    decision_no: int
    submission_id: str
    pipeline_key: str
    pipeline_version: int
    target_stage: str
    expected_stage: str
    follows: UUID | None
    state: IntentState
    attempts: int
    write_id: str
    code: str
    reason: str
    left_out: Mapping[str, str]
    due_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    echoed_at: datetime | None
    created_at: datetime

    @property
    def lane(self) -> Lane:
        return Lane.STAGE if self.target_stage else Lane.ANSWERS

    @property
    def confirmed_at(self) -> datetime | None:
        """When the CRM was first known to hold the write."""
        return self.settled_at if self.state in DONE else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was sent under one write id: the fields of the record by the CRM's names, and the stage among them, empty
    when answers went alone."""

    write_id: str
    intent_id: UUID
    attempt: int
    sent: SentFields
    stage: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A write that met another stage, until what the CRM holds instead is published."""

    intent_id: UUID
    opportunity_id: str
    write_id: str
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many writes wait, counted up to MOST_COUNTED, and since when."""

    count: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which parked writes: those with this code, these words in their reason, of this opportunity, and parked in this
    time, as far as each is given."""

    code: str | None = None
    reason: str | None = None
    opportunity_id: str | None = None
    parked_since: datetime | None = None
    parked_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class LeadRecord:
    """A lead that was handed in."""

    lead_id: UUID
    key: str
    content: str
    person: str
    state: LeadState
    record_id: str
    code: str
    words: str
    created_by: str
    created_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class SettledLead:
    """What became of it."""

    lead_id: UUID
    state: LeadState
    record_id: str
    code: str
    words: str
    settled_at: datetime
