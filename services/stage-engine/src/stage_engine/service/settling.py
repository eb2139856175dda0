"""What became of actions. It moves no stage: whatever failed, the decision that asked for it counts."""

from collections.abc import Sequence
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners
from kit.ids import utc_now
from kit.operators.audit import record

from stage_engine.domain.acting import settled
from stage_engine.domain.actions import ActionState
from stage_engine.domain.on_assignment import owner_refused
from stage_engine.domain.opportunity import Opportunity
from stage_engine.errors.work import ActionNotFound, ActionSettledBefore
from stage_engine.records.work import ActionRecord, SettledAction
from stage_engine.repository.actions import ActionRepository
from stage_engine.schemas.actions import SettlementBody
from stage_engine.service.deciding import Deciding
from stage_engine.service.recording_actions import OWNER_KEY, count_settled
from stage_engine.service.rulesets import Rulesets


class Settling:
    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = ActionRepository(uow.session, uow.tenant_id)
        self._deciding = Deciding(uow, Rulesets(uow))

    async def take(self, found: Sequence[SettledAction]) -> None:
        """Settle those of these that are open. One that was settled before, or that is not known, changes nothing."""
        newest = {each.action_id: each for each in reversed(found)}
        actions = await self._repository.these(newest.keys())
        await self._settle(actions, [newest[each.action_id] for each in actions])

    async def by_person(self, action_id: UUID, body: SettlementBody, caller: Principal) -> ActionRecord:
        """Settle an action for the program that carried it out; the same again has the same reply. ActionSettledBefore
        when something else became of it."""
        action = await self._repository.one(action_id)
        if action is None:
            raise ActionNotFound(action_id)
        known = await self._deciding.load([action.opportunity_id])
        opportunity = known.get(action.opportunity_id)
        owner_id = None if opportunity is None else opportunity.owner_id
        Owners.seen_by(caller).demand(owner_id, ActionNotFound(action_id))
        given = SettledAction(
            action_id, body.state.value, body.code, body.words, body.record_id, utc_now(), caller.subject
        )
        done = await self._settle([action], [given])
        after = await self._repository.one(action_id)
        assert after is not None
        if not done and _what(after) != (body.state, body.code, body.words, body.record_id):
            raise ActionSettledBefore(after)
        if done:
            await record(self._uow, caller, "action.settled", str(action_id), state=body.state.value)
        return after

    async def _settle(self, actions: Sequence[ActionRecord], found: Sequence[SettledAction]) -> set[UUID]:
        """Opportunities are locked before their actions, as decisions lock them."""
        known = await self._deciding.load([each.opportunity_id for each in actions])
        done = await self._repository.settle(found)
        count_settled(self._uow, found, done)
        changed: dict[str, Opportunity] = {}
        states = {each.action_id: each.state for each in found}
        for action in actions:
            before = changed.get(action.opportunity_id) or known.get(action.opportunity_id)
            if action.action_id in done and before is not None:
                after = settled(before, action.action_key, action.revision)
                if action.action_key == OWNER_KEY and states[action.action_id] == ActionState.REFUSED:
                    after = owner_refused(after, action.addressee)
                if after is not before:
                    changed[action.opportunity_id] = after
        if changed:
            await self._deciding.correct(list(changed.values()))
        return done


def _what(action: ActionRecord) -> tuple[ActionState, str, str, str]:
    return ActionState(action.state), action.code, action.words, action.record_id
