"""Which events this service follows."""

from kit.consumer import Handlers
from stagecraft.assessment.v1.assessment_published_pb2 import AssessmentPublished
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from crm_connector.service.mapping import keep_pipelines, keep_texts
from crm_connector.service.outbound import accept_decisions

HANDLERS: Handlers = {
    StageDecided: accept_decisions,
    PipelinePublished: keep_pipelines,
    AssessmentPublished: keep_texts,
}
