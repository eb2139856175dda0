"""What decisions ask to be done in the CRM, and what each reply makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from crm_connector.domain.holds import Scope
from crm_connector.domain.intents import Move, Reply, Verdict, settle
from crm_connector.domain.observation import CrmChange


class ActionKind(StrEnum):
    """What a CRM carries out. Other programs do the rest."""

    TASK = "task"
    NOTIFICATION = "notification"
    FIELD_UPDATE = "field_update"
    CREATE_RECORD = "create_record"
    CONVERT_LEAD = "convert_lead"
    # Not asked for as an action: it follows from who was chosen by a decision.
    OWNER = "owner"
    # Nor is this: a lead that another program handed in.
    LEAD = "lead"


class ActionState(StrEnum):
    """Whether an action was sent: then it is found out by reading what became of it, before it is sent again."""

    NEW = "NEW"
    SENT = "SENT"


class Settlement(StrEnum):
    """What became of an action."""

    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CrmAction:
    """One thing to do about a record. `fields` are the CRM's own, and `target` is the object to create. `due_on` is
    until when a task is to be done. What is done under an `action_id` is done once."""

    action_id: UUID
    object_type: str
    opportunity_id: str
    kind: ActionKind
    text: str
    details: str
    person_id: str
    target: str
    fields: Mapping[str, str]
    due_on: datetime | None
    expires_at: datetime
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class QueuedAction(CrmAction):
    """An action that is not settled. `due_at` says when to send a NEW one, and when to find out about a SENT one."""

    state: ActionState
    attempts: int
    due_at: datetime
    code: str
    reason: str
    traceparent: str
    created_at: datetime

    def changed(self, **changes: Any) -> "QueuedAction":
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Carried:
    """The CRM's reply to an action, and the record that it created. `change` is what it would show of it, where it
    shows no changes by itself."""

    reply: Reply
    record_id: str = ""
    change: CrmChange | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """An action for good, in the CRM's own words."""

    action: CrmAction
    settlement: Settlement
    code: str = ""
    words: str = ""
    record_id: str = ""
    change: CrmChange | None = None


# While nothing can be read it is tried again this often.
_LOOK_AGAIN = timedelta(seconds=10)
# For so long beyond its time it is still found out what became of an action that was sent.
_PATIENCE = timedelta(days=1)
_EXPIRED = "Its time was over before the CRM could carry it out."


def expired(action: QueuedAction, now: datetime) -> Settled | None:
    """The action settled, where its time is over. Of one that was sent it is found out first what became of it, for a
    day."""
    patience = _PATIENCE if action.state is ActionState.SENT else timedelta()
    if action.expires_at + patience > now:
        return None
    words = f"{_EXPIRED} It said: {action.reason}" if action.reason else _EXPIRED
    return Settled(action, Settlement.EXPIRED, action.code, words)


def after_reply(action: QueuedAction, carried: Carried, now: datetime, chance: float) -> QueuedAction | Settled:
    """What becomes of a SENT action. A refusal is for good where it is about this action, its object or its fields;
    while the CRM as a whole refuses, it waits, until it expires."""
    reply = carried.reply
    if reply.refusal is not None and reply.refusal.scope is not Scope.ORG:
        reply = replace(reply, verdict=Verdict.REFUSED)
    settlement = settle(reply, action.attempts, chance)
    match settlement.move:
        case Move.CONFIRM:
            return Settled(action, Settlement.DONE, record_id=carried.record_id, change=carried.change)
        case Move.REPEAT:
            due = now + settlement.wait
            return action.changed(state=ActionState.NEW, due_at=due, code=reply.code, reason=reply.reason)
        case Move.DOUBT:
            due = now + max(settlement.wait, _LOOK_AGAIN)
            return action.changed(state=ActionState.SENT, due_at=due, code=reply.code, reason=reply.reason)
        case _:
            return Settled(action, Settlement.REFUSED, reply.code, reply.reason)


def sent(action: QueuedAction, now: datetime, lease: timedelta) -> QueuedAction:
    """The action as it is noted before it is sent; beyond the lease its sender is gone."""
    return action.changed(state=ActionState.SENT, attempts=action.attempts + 1, due_at=now + lease)
