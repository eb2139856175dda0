"""What each event asks of the use cases."""

from collections.abc import Sequence

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from recommender import messages as m
from recommender.service.learning import Learning


async def keep_assessments(uow: UnitOfWork, events: Sequence[Received[m.AssessmentPublished]]) -> None:
    await Learning(uow).keep_assessments([m.read_assessment(event) for event in events])


async def keep_profiles(uow: UnitOfWork, events: Sequence[Received[m.ScoringProfilePublished]]) -> None:
    await Learning(uow).keep_profiles([m.read_profile(event) for event in events], events[0])


async def keep_pipelines(uow: UnitOfWork, events: Sequence[Received[m.PipelinePublished]]) -> None:
    await Learning(uow).keep_pipelines([m.read_pipeline(event) for event in events], events[0])


async def keep_observations(uow: UnitOfWork, events: Sequence[Received[m.RecordObserved]]) -> None:
    await Learning(uow).keep_observations([found for event in events if (found := m.read_observation(event))])


async def keep_decisions(uow: UnitOfWork, events: Sequence[Received[m.StageDecided]]) -> None:
    await Learning(uow).keep_decisions([found for event in events if (found := m.read_decision(event))])


async def follow_stages(uow: UnitOfWork, events: Sequence[Received[m.StageChanged]]) -> None:
    await Learning(uow).follow_stages([m.read_visit(e) for e in events], {e.message.opportunity_id: e for e in events})


async def recommend_stages(uow: UnitOfWork, events: Sequence[Received[m.SubmissionScored]]) -> None:
    causes = {event.message.score_id: event for event in events}
    await Learning(uow).recommend_stages([m.read_score(event) for event in events], causes)
