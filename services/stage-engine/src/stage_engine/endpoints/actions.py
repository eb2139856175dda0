"""Actions over HTTP: what was asked for, and what became of it; and what to do next."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.domain.actions import ActionKind, ActionState
from stage_engine.endpoints.opportunities import SubjectId
from stage_engine.errors.opportunities import PLURALS
from stage_engine.records.work import ActionRecord
from stage_engine.schemas.actions import ActionOut, NextSteps, SettlementBody, StepOut
from stage_engine.service.settling import Settling
from stage_engine.service.viewing import Viewing


def of_subjects(object_type: str, plural: str) -> APIRouter:
    """What was asked for about subjects of one type."""
    api = router(plural, dependencies=[requires("opportunities:read")])

    @api.get(f"/{plural}/{{record_id}}/actions", name=f"list_{object_type}_actions")
    async def list_of_subject(record_id: SubjectId, uow: Uow, caller: Caller, paging: Paging) -> Page[ActionOut]:
        """Every action about the subject in the order in which they were asked for, with what became of each."""
        after = paging.after(UUID) or UUID(int=0)
        found = await Viewing(uow, Owners.seen_by(caller)).actions_of(object_type, record_id, after, paging.limit + 1)
        return paging.page(found, lambda action: [action.action_id], _shown)

    @api.get(f"/{plural}/{{record_id}}/next-steps", name=f"list_{object_type}_next_steps")
    async def list_next_steps(record_id: SubjectId, uow: Uow, caller: Caller) -> NextSteps:
        """What to do next, in plain words and in order: what is late, what is ready to confirm, required criteria that
        are not met, open tasks, what the nearest rule lacks, and advice. Each says what supplies it."""
        found = await Viewing(uow, Owners.seen_by(caller)).next_steps(object_type, record_id)
        return NextSteps(items=[StepOut.model_validate(each, from_attributes=True) for each in found])

    return api


ACTIONS = [of_subjects(object_type, plural) for object_type, plural in PLURALS.items()]

actions = router("actions")


@actions.get("/actions", dependencies=[requires("opportunities:read")])
async def list_actions(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    state: Annotated[ActionState | None, Query(description="only those in this state")] = None,
    kind: Annotated[ActionKind | None, Query(description="only those of this kind")] = None,
) -> Page[ActionOut]:
    """Actions about what the caller sees, in the order in which they were asked for."""
    after = paging.after(UUID) or UUID(int=0)
    found = await Viewing(uow, Owners.seen_by(caller)).actions(state, kind, after, paging.limit + 1)
    return paging.page(found, lambda action: [action.action_id], _shown)


@actions.post("/actions/{action_id}/settle", dependencies=[requires("actions:settle")])
async def settle_action(action_id: UUID, body: SettlementBody, uow: Uow, caller: Caller) -> ActionOut:
    """Say what became of an action. The first word counts; the same again has the same reply. No stage is moved by it,
    and none is moved back."""
    return _shown(await Settling(uow).by_person(action_id, body, caller))


def _shown(action: ActionRecord) -> ActionOut:
    return ActionOut.model_validate(action, from_attributes=True)
