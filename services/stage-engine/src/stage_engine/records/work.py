"""What people do and owe: actions, calendars, obligations, assignments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from stage_engine.domain.assignment import AssignmentRules
from stage_engine.domain.calendar import Calendar
from stage_engine.domain.owed import OwedState


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
