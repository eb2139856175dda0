"""Which events this service handles, and how."""

from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from recommender import messages as m
from recommender.service import events

HANDLERS: Handlers = {
    m.AssessmentPublished: events.keep_assessments,
    m.ScoringProfilePublished: events.keep_profiles,
    m.PipelinePublished: events.keep_pipelines,
    m.RecordObserved: events.keep_observations,
    m.StageDecided: events.keep_decisions,
    m.StageChanged: events.follow_stages,
    m.SubmissionScored: events.recommend_stages,
    PersonObserved: observe_people,
}
