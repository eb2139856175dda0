"""Which events this service follows."""

from collections.abc import Sequence

from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork
from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from crm_connector.messages import ActionRequested, AssessmentPublished, PipelinePublished, StageDecided
from crm_connector.service.acting import accept_actions, accept_owners
from crm_connector.service.mapping import keep_pipelines, keep_texts
from crm_connector.service.outbound import accept_decisions


async def accept_all_of_decisions(uow: UnitOfWork, events: Sequence[Received[StageDecided]]) -> None:
    await accept_decisions(uow, events)
    await accept_owners(uow, events)


HANDLERS: Handlers = {
    StageDecided: accept_all_of_decisions,
    ActionRequested: accept_actions,
    PipelinePublished: keep_pipelines,
    AssessmentPublished: keep_texts,
    PersonObserved: observe_people,
}
