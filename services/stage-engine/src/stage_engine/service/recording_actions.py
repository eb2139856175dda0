"""What is stored of the actions that a decision asks for."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.ids import derived

from stage_engine import telemetry
from stage_engine.domain.actions import LONGEST_TEXT, ActionKind, ActionState, Phase
from stage_engine.domain.assigned import OWNER_ROLE
from stage_engine.domain.decision import Decision, Lapsed
from stage_engine.records.work import ActionRecord, SettledAction

# The key of an action that no pipeline declares.
OWNER_KEY = "@owner"
_OWNER_EXPIRES = timedelta(days=30)


def action_id(tenant_id: str, opportunity_id: str, revision: int, key: str, asked_at: datetime) -> UUID:
    """The id of an action, the same whenever it is made: a decision asks for each action once. Ids of actions that are
    asked for one after the other are neighbours."""
    moment = UUID(int=int(asked_at.timestamp() * 1000) << 80)
    return derived(moment, f"action {(tenant_id, opportunity_id, revision, key)}")


def action_records(decision: Decision, tenant_id: str, decision_id: UUID, object_type: str) -> Iterator[ActionRecord]:
    """What the decision asks for."""
    opportunity, at = decision.opportunity, decision.decided_at
    assert opportunity is not None
    for asked in decision.actions:
        yield ActionRecord(
            action_id=action_id(tenant_id, opportunity.opportunity_id, opportunity.revision, asked.key, at),
            opportunity_id=opportunity.opportunity_id,
            object_type=object_type,
            decision_id=decision_id,
            revision=opportunity.revision,
            action_key=asked.key,
            kind=asked.kind.value,
            phase=asked.phase.value,
            text=asked.text,
            details=asked.details,
            addressee=asked.to,
            target=asked.target,
            fields=dict(asked.fields),
            due_at=asked.due_at,
            expires_at=asked.expires_at,
            requested_at=at,
            state=ActionState.OPEN.value,
            code="",
            words="",
            record_id="",
            settled_at=None,
            settled_by="",
        )


def owner_action(decision: Decision, decision_id: UUID, object_type: str) -> ActionRecord | None:
    """That the CRM is to show the owner who was chosen; None where it shows that one. The connector takes it from the
    decision itself."""
    subject, at = decision.opportunity, decision.decided_at
    assert subject is not None
    chosen = next((each for each in decision.assigned if each.role == OWNER_ROLE), None)
    if chosen is None or chosen.person_id not in subject.owners_asked_for:
        return None
    moment = UUID(int=int(at.timestamp() * 1000) << 80)
    return ActionRecord(
        action_id=derived(moment, f"owner by {decision_id}"),
        opportunity_id=subject.opportunity_id,
        object_type=object_type,
        decision_id=decision_id,
        revision=subject.revision,
        action_key=OWNER_KEY,
        kind=ActionKind.ASSIGN.value,
        phase=Phase.OWNER.value,
        text=chosen.reason[:LONGEST_TEXT],
        details="",
        addressee=chosen.person_id,
        target="",
        fields={},
        due_at=None,
        expires_at=at + _OWNER_EXPIRES,
        requested_at=at,
        state=ActionState.OPEN.value,
        code="",
        words="",
        record_id="",
        settled_at=None,
        settled_by="",
    )


def count_settled(uow: UnitOfWork, found: Iterable[SettledAction], done: Collection[UUID]) -> None:
    """Count these, as far as they were open, once that is committed."""
    states = Counter(each.state for each in found if each.action_id in done)

    def count() -> None:
        for state, number in states.items():
            telemetry.ACTIONS_SETTLED.labels(state).inc(number)

    if states:
        uow.after_commit(count)


def expired(lapsed: Lapsed, tenant_id: str, opportunity_id: str, at: datetime) -> SettledAction:
    """That an action is not waited for any more."""
    id_ = action_id(tenant_id, opportunity_id, lapsed.revision, lapsed.key, lapsed.asked_at)
    return SettledAction(id_, ActionState.EXPIRED.value, "", lapsed.words, "", at, "stage-engine")
