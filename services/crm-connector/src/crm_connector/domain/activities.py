"""What people did, or plan to do, about a record: calls, e-mails, meetings and tasks of the CRM."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ActivityKind(StrEnum):
    """What kind of an activity it is."""

    CALL = "CALL"
    EMAIL = "EMAIL"
    MEETING = "MEETING"
    TASK = "TASK"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Subject:
    """A record that an activity is about."""

    object_type: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Activity:
    """An activity as the CRM gave it to a read. `inbound` is None where the direction is not known; `withdrawn` says
    that it was deleted."""

    activity_id: str
    subjects: tuple[Subject, ...]
    kind: ActivityKind
    inbound: bool | None
    person_id: str
    outcome: str
    duration_seconds: int
    done: bool
    withdrawn: bool
    occurred_at: datetime
    modified_at: datetime

    @property
    def change_id(self) -> str:
        """The same state read twice has the same id."""
        return f"read:{self.activity_id}:{self.modified_at.isoformat()}"
