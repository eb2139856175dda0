"""What each event asks of the use cases."""

from collections.abc import Sequence

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from assessment import messages as m
from assessment.service.authoring import ShippedAssessments
from assessment.service.replicas import Replicas


async def replicate_opportunities(uow: UnitOfWork, events: Sequence[Received[m.RecordObserved]]) -> None:
    Replicas(uow).observe([m.read_observation(event) for event in events])


async def replicate_stages(uow: UnitOfWork, events: Sequence[Received[m.StageChanged]]) -> None:
    Replicas(uow).change_stages([m.read_change(event) for event in events], [m.read_stage(event) for event in events])


async def replicate_pipelines(uow: UnitOfWork, events: Sequence[Received[m.PipelinePublished]]) -> None:
    Replicas(uow).publish_pipelines([m.read_pipeline(event) for event in events])


async def replicate_profiles(uow: UnitOfWork, events: Sequence[Received[m.ScoringProfilePublished]]) -> None:
    Replicas(uow).publish_profiles([m.read_profile(event) for event in events])


async def replicate_scores(uow: UnitOfWork, events: Sequence[Received[m.SubmissionScored]]) -> None:
    Replicas(uow).score([m.read_score(event) for event in events])


async def replicate_decisions(uow: UnitOfWork, events: Sequence[Received[m.StageDecided]]) -> None:
    waiting = [m.read_waiting(event.message) for event in events if event.message.waiting_changed]
    Replicas(uow).decide([m.read_decision(event) for event in events], waiting)


async def replicate_recommendations(uow: UnitOfWork, events: Sequence[Received[m.StageRecommended]]) -> None:
    Replicas(uow).recommend([m.read_recommendation(event) for event in events])


async def publish_shipped(uow: UnitOfWork, events: Sequence[Received[m.AssessmentRequested]]) -> None:
    for event in events:
        await ShippedAssessments(uow).publish(m.read_request(event))
