"""What each event asks of the use cases."""

from collections.abc import Sequence

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from stage_engine import messages as m
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.deciding import Arrival
from stage_engine.service.impact import Impact
from stage_engine.service.intake import Intake
from stage_engine.service.settling import Settling


async def decide_on_submissions(uow: UnitOfWork, events: Sequence[Received[m.SubmissionScored]]) -> None:
    await Intake(uow).submissions([Arrival(m.read_submission(e.message), e.message, e) for e in events])


async def reconcile_observations(uow: UnitOfWork, events: Sequence[Received[m.RecordObserved]]) -> None:
    await Intake(uow).observations([Arrival(m.read_observation(e), cause=e) for e in events])


async def agree_on_confirmed_writes(uow: UnitOfWork, events: Sequence[Received[m.CrmWriteConfirmed]]) -> None:
    found = [(m.read_confirmation(e), e) for e in events]
    await Intake(uow).confirmations(found)


async def note_parked_writes(uow: UnitOfWork, events: Sequence[Received[m.CrmWriteParked]]) -> None:
    await Intake(uow).refusals([m.read_refusal(e.message) for e in events])


async def settle_actions(uow: UnitOfWork, events: Sequence[Received[m.ActionSettled]]) -> None:
    await Settling(uow).take([m.read_settlement(e.message) for e in events])


async def count_activities(uow: UnitOfWork, events: Sequence[Received[m.ActivityObserved]]) -> None:
    await Intake(uow).activities(events)


async def keep_score_reach(uow: UnitOfWork, events: Sequence[Received[m.ScoringProfilePublished]]) -> None:
    found = [m.read_reach(e.message) for e in events]
    await Intake(uow).score_reach(found)
    await Impact(uow).of_points([each.assessment_key for each in found])


async def note_refused_assessments(uow: UnitOfWork, events: Sequence[Received[m.AssessmentRefused]]) -> None:
    found = [m.read_install_refusal(e.message) for e in events]
    await PipelineRepository(uow.session, uow.tenant_id).keep_refusals(found)
