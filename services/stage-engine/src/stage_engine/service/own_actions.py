"""Actions that the engine carries out itself: it gives a role to a person, by the decision that every assignment is."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from stage_engine.domain.actions import ActionKind, ActionState, Asked
from stage_engine.domain.assigned import OWNER_ROLE, Assigned
from stage_engine.domain.decision import Decision
from stage_engine.domain.inputs import Assignment, Input
from stage_engine.records.work import SettledAction
from stage_engine.service.recording_actions import action_id

_PREFIX = "action:"


@dataclass(frozen=True, slots=True)
class AssignmentWish:
    """An action that asks for an assignment, of a decision at this revision."""

    asked: Asked
    opportunity_id: str
    revision: int
    asked_at: datetime

    def given(self, tenant_id: str, people: Collection[str], now: datetime) -> Assignment:
        """The input to decide on; without a person when the one who is named cannot get it."""
        asked, id_ = self.asked, action_id(tenant_id, self.opportunity_id, self.revision, self.asked.key, self.asked_at)
        role, able = asked.target or OWNER_ROLE, asked.to in people
        reason = f"the action {asked.key} names {asked.to}" + (f": {asked.text}" if asked.text else "")
        if not able:
            reason = f"{asked.to} has left, or is no user of the CRM" if asked.to else f"{asked.key} knows of no person"
        choice = Assigned(role, asked.to if able else "", "", "", reason, now)
        return Assignment(f"{_PREFIX}{id_}", self.opportunity_id, 0, (choice,), action=(asked.key, self.revision))


def assignments_asked_for(decision: Decision) -> Iterator[AssignmentWish]:
    """Those of its actions."""
    subject = decision.opportunity
    if subject is not None:
        for asked in decision.actions:
            if asked.kind is ActionKind.ASSIGN:
                yield AssignmentWish(asked, subject.opportunity_id, subject.revision, decision.decided_at)


def settled_by(decision: Decision, given: Input, now: datetime) -> SettledAction:
    """What became of the action by its decision: refused with the reason, or done."""
    id_ = UUID(given.input_id.removeprefix(_PREFIX))
    if not decision.reasons:
        return SettledAction(id_, ActionState.DONE.value, "", "", "", now, "stage-engine")
    reason = decision.reasons[0]
    words = f"The role is not given: {reason.message}."
    return SettledAction(id_, ActionState.REFUSED.value, reason.code.value, words, "", now, "stage-engine")
