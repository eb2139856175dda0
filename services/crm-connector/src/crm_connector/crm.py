"""The port to the CRM. Each kind of CRM has an adapter of it; the rest of the service knows no Salesforce.

CrmFault
├── CrmUnavailable     a passing fault: try again later
│   └── EventsSpent    the CRM delivers no more events for today
├── CrmRefused         the CRM does not let us in: a person has to change something; it is tried again, slowly
└── PositionLost       the CRM no longer knows where in its stream of changes we were
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crm_connector.domain.actions import Carried, CrmAction
from crm_connector.domain.activities import Activity
from crm_connector.domain.fields import CrmField, FieldMapping
from crm_connector.domain.intents import Reply
from crm_connector.domain.observation import CrmChange, CrmRecord, StageClock
from crm_connector.domain.people import CrmPerson
from crm_connector.domain.stages import CrmStage
from crm_connector.domain.writes import CrmWrite, SentFields


class CrmFault(Exception):
    """Something between us and the CRM is wrong; the text is fit for an administrator."""


class CrmUnavailable(CrmFault):
    """It may work later."""


class EventsSpent(CrmUnavailable):
    """The allocation of events is used up: until it is renewed, changes are found by reading."""


class CrmRefused(CrmFault):
    """It will not work until a person changes something."""


class PositionLost(CrmFault):
    """The position is unknown to the CRM or too old; what was missed has to be read from the records."""


@dataclass(frozen=True, slots=True)
class UnreadChange:
    """A change as it came that could not be read, and why."""

    position: bytes
    topic: str
    schema_id: str
    payload: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Related:
    """A record of another object, by the CRM's name of that: an activity, or one from which facts of subjects come."""

    object: str
    record_id: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """How a mapping of fields is carried out. With the same `key` the same is read of each record; `object_types` are
    followed; `unavailable` are facts whose fields the CRM does not show."""

    key: str = ""
    object_types: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that the CRM lacks, in a sentence, and the object, or the work, that cannot be written without it."""

    subject: str
    words: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What of an allocation of the CRM is used."""

    used: int
    allowed: int


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes in the order of commits, and the position to resume from once they are stored. Without changes it is
    a sign of life that moves the position. Facts that come from `related` are read again. What could not be read is set
    aside, and counts as a gap of its records; with `blind` it is not known which they are."""

    changes: Sequence[CrmChange]
    position: bytes
    schema_id: str = ""
    unread: Sequence[UnreadChange] = ()
    blind: bool = False
    related: Sequence[Related] = ()


class Crm(Protocol):
    """A CRM as the connector needs it. Every method may raise CrmUnavailable and CrmRefused."""

    name: str
    # What is read of each object while no person says otherwise.
    default_fields: FieldMapping
    # How many writes it takes in one call.
    writes_at_once: int
    # The CRM's object of each type of subject, and those that a write of an opportunity's evidence touches besides.
    subject_objects: Mapping[str, str]
    evidence_objects: Sequence[str]

    async def connect(self) -> str:
        """Check that the CRM can be used as configured; its organisation id."""
        ...

    async def lacks(self) -> list[Lack]:
        """What the CRM lacks of what we need there; empty when nothing is missing."""
        ...

    async def events_used(self) -> Usage | None:
        """How much of the allocation of events is used; None when the CRM has none."""
        ...

    def retry(self) -> None:
        """Forget pauses that earlier faults caused."""
        ...

    async def close(self) -> None:
        """Give up every connection."""
        ...

    async def fields(self, object_type: str) -> list[CrmField]:
        """The fields of the object that may be read; none where the CRM has no such object."""
        ...

    async def adopt(self, mapping: FieldMapping, object_types: Sequence[str]) -> Adopted:
        """From now on read these facts, and follow records of these types, as far as the CRM has them."""
        ...

    async def stages(self) -> list[CrmStage]:
        """All stages, inactive ones included; empty when the CRM has no catalog."""
        ...

    def records(
        self, after: str = "", since: datetime | None = None, object_types: Sequence[str] | None = None
    ) -> AsyncGenerator[list[CrmRecord], None]:
        """Pages of records of the followed types, or of those named, in the order of ids, beyond the id `after`. With
        `since` only those touched from then on, and the deleted among them too."""
        ...

    def concerned(self, related: Sequence[Related]) -> AsyncGenerator[list[CrmRecord], None]:
        """Pages of the subjects whose facts come from these."""
        ...

    async def activities(self, related: Sequence[Related]) -> list[Activity]:
        """The activities among these, as they are now, as far as they are about a record that is followed."""
        ...

    async def read(self, record_ids: Sequence[str]) -> list[CrmRecord]:
        """The present state of these, deleted ones included; what does not exist is left out."""
        ...

    async def deleted(self, since: datetime, until: datetime) -> list[str]:
        """Records that were deleted in that time, also those of which nothing is left."""
        ...

    async def in_stage_since(self, records: Sequence[CrmRecord]) -> dict[str, StageClock]:
        """Since when each is in its stage, as far as the CRM knows."""
        ...

    def people(self, after: str = "", since: datetime | None = None) -> AsyncGenerator[list[CrmPerson], None]:
        """Pages of users in the order of ids, beyond the id `after`. With `since` only those touched from then on."""
        ...

    def people_touched(self) -> AsyncGenerator[None, None]:
        """A sign each time that users were changed, from now on and without end."""
        ...

    def sent_fields(self, write: CrmWrite) -> SentFields:
        """What the write sets on the record of its subject, as its echo will show it."""
        ...

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        """Carry out each write whole or not at all, in one call; a reply to each, in order. Faults become replies
        too."""
        ...

    async def carry_out(self, action: CrmAction) -> Carried:
        """Do what a decision asks for. Faults become replies too."""
        ...

    async def carried_out(self, action: CrmAction) -> Carried:
        """By reading: CONFIRMED where an attempt of unknown outcome did it, AGAIN where it did nothing."""
        ...

    def changes(self, position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        """Changes beyond the position, or from now on, without end. PositionLost when it cannot be resumed."""
        ...
