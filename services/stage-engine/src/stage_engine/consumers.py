"""Which events this service handles, and how."""

from collections.abc import Sequence

from kit.database.unit_of_work import UnitOfWork
from kit.delivery.batch import Handlers
from kit.events import Received

from stage_engine.messages import (
    CrmWriteConfirmed,
    CrmWriteParked,
    OpportunityObserved,
    ScoringProfilePublished,
    SubmissionScored,
)
from stage_engine.service.intake import Intake
from stage_engine.service.pipelines import keep_score_reach


async def decide_on_submissions(uow: UnitOfWork, events: Sequence[Received[SubmissionScored]]) -> None:
    await Intake(uow).submissions(events)


async def reconcile_observations(uow: UnitOfWork, events: Sequence[Received[OpportunityObserved]]) -> None:
    await Intake(uow).observations(events)


async def agree_on_confirmed_writes(uow: UnitOfWork, events: Sequence[Received[CrmWriteConfirmed]]) -> None:
    await Intake(uow).confirmations(events)


async def note_refused_writes(uow: UnitOfWork, events: Sequence[Received[CrmWriteParked]]) -> None:
    await Intake(uow).refusals(events)


async def keep_profiles(uow: UnitOfWork, events: Sequence[Received[ScoringProfilePublished]]) -> None:
    await keep_score_reach(uow, [event.message for event in events])


HANDLERS: Handlers = {
    SubmissionScored: decide_on_submissions,
    OpportunityObserved: reconcile_observations,
    CrmWriteConfirmed: agree_on_confirmed_writes,
    CrmWriteParked: note_refused_writes,
    ScoringProfilePublished: keep_profiles,
}
