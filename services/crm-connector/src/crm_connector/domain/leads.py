"""Leads that other programs hand in, until the CRM has them: the CRM owns them from then on."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from crm_connector.domain.actions import ActionKind, ActionState, QueuedAction

LEAD = "lead"
# For so long it is tried to create a lead in the CRM.
EXPIRES = timedelta(days=7)


class LeadState(StrEnum):
    """Whether the CRM has the lead: not yet; yes; it refused; it was out of reach for too long."""

    ACCEPTED = "accepted"
    CREATED = "created"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class NewLead:
    """What is known of a lead at its intake: who, of which organisation, from where, and what it is about."""

    name: str
    company: str
    source: str
    kind: str
    email: str
    phone: str

    def digest(self) -> str:
        """Equal for equal content."""
        return hashlib.sha256("\n".join(asdict(self).values()).encode()).hexdigest()

    def action(self, lead_id: UUID, traceparent: str, now: datetime) -> QueuedAction:
        """That the CRM is to have it."""
        return QueuedAction(
            action_id=lead_id,
            object_type=LEAD,
            opportunity_id="",
            kind=ActionKind.LEAD,
            text=self.name,
            details="",
            person_id="",
            target="",
            fields={name: value for name, value in asdict(self).items() if value},
            due_on=None,
            expires_at=now + EXPIRES,
            requested_at=now,
            state=ActionState.NEW,
            attempts=0,
            due_at=now,
            code="",
            reason="",
            traceparent=traceparent,
            created_at=now,
        )
