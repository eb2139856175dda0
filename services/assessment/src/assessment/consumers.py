"""Which events this service handles, and how: all but requests become replicas."""

from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from assessment import messages as m
from assessment.service import events

HANDLERS: Handlers = {
    m.RecordObserved: events.replicate_opportunities,
    m.StageChanged: events.replicate_stages,
    m.PipelinePublished: events.replicate_pipelines,
    m.ScoringProfilePublished: events.replicate_profiles,
    m.SubmissionScored: events.replicate_scores,
    m.StageDecided: events.replicate_decisions,
    m.StageRecommended: events.replicate_recommendations,
    m.AssessmentRequested: events.publish_shipped,
    PersonObserved: observe_people,
}
