"""Which events this service follows."""

from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from crm_connector.messages import ActionRequested, AssessmentPublished, PipelinePublished, StageDecided
from crm_connector.service.acting import accept_actions
from crm_connector.service.mapping import keep_pipelines, keep_texts
from crm_connector.service.outbound import accept_decisions

HANDLERS: Handlers = {
    StageDecided: accept_decisions,
    ActionRequested: accept_actions,
    PipelinePublished: keep_pipelines,
    AssessmentPublished: keep_texts,
    PersonObserved: observe_people,
}
