"""Which events this service handles, and how."""

from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from scoring import messages as m
from scoring.service import events

HANDLERS: Handlers = {
    m.AssessmentPublished: events.keep_assessments,
    m.RecordObserved: events.keep_owners,
    m.AssessmentSubmitted: events.score_submissions,
    PersonObserved: observe_people,
}
