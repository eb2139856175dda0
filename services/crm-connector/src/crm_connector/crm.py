"""The port to the CRM. Each kind of CRM has an adapter of it; the rest of the service knows no Salesforce.

CrmFault
├── CrmUnavailable     a passing fault: try again later
├── CrmRefused         the CRM does not let us in; it is not tried again until a person changes something
└── PositionLost       the CRM no longer knows where in its stream of changes we were
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crm_connector.domain.intents import Reply
from crm_connector.domain.observation import CrmChange, CrmOpportunity
from crm_connector.domain.stages import CrmStage
from crm_connector.domain.writes import CrmWrite, SentFields


class CrmFault(Exception):
    """Something between us and the CRM is wrong; the text is fit for an administrator."""


class CrmUnavailable(CrmFault):
    """It may work later."""


class CrmRefused(CrmFault):
    """It will not work until a person changes something."""


class PositionLost(CrmFault):
    """The position is unknown to the CRM or too old; what was missed has to be read from the records."""


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes in the order of commits, and the position to resume from once they are stored. Without changes it is
    a sign of life that moves the position."""

    changes: Sequence[CrmChange]
    position: bytes
    schema_id: str = ""


class Crm(Protocol):
    """A CRM as the connector needs it. Every method may raise CrmUnavailable and CrmRefused."""

    name: str
    # The CRM's names of the facts `stage`, `amount`, `close_date` and `owner_id`.
    fact_fields: Mapping[str, str]
    # How many writes it takes in one call.
    writes_at_once: int

    async def connect(self) -> str:
        """Check that the CRM can be used as configured; its organisation id."""
        ...

    async def close(self) -> None:
        """Give up every connection."""
        ...

    async def stages(self) -> list[CrmStage]:
        """All stages, inactive ones included; empty when the CRM has no catalog."""
        ...

    def opportunities(
        self, after: str = "", since: datetime | None = None
    ) -> AsyncGenerator[list[CrmOpportunity], None]:
        """Pages of opportunities in the order of ids, beyond the id `after`. With `since` only those touched from
        then on, and the deleted among them too."""
        ...

    async def read(self, opportunity_ids: Sequence[str]) -> list[CrmOpportunity]:
        """The present state of these, deleted ones included; what does not exist is left out."""
        ...

    def sent_fields(self, write: CrmWrite) -> SentFields:
        """What the write sets on the opportunity itself, as its echo will show it."""
        ...

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        """Carry out each write whole or not at all, in one call; a reply to each, in order. Faults become replies
        too."""
        ...

    def changes(self, position: bytes | None) -> AsyncGenerator[ChangeBatch, None]:
        """Changes beyond the position, or from now on, without end. PositionLost when it cannot be resumed."""
        ...
