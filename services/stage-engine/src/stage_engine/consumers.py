"""Which events this service handles, and how."""

from kit.delivery.batch import Handlers
from kit.delivery.people import PersonObserved, observe_people

from stage_engine import messages as m
from stage_engine.service import events

HANDLERS: Handlers = {
    m.SubmissionScored: events.decide_on_submissions,
    m.RecordObserved: events.reconcile_observations,
    m.ActivityObserved: events.count_activities,
    m.CrmWriteConfirmed: events.agree_on_confirmed_writes,
    m.CrmWriteParked: events.note_parked_writes,
    m.ActionSettled: events.settle_actions,
    m.AssessmentRefused: events.note_refused_assessments,
    m.ScoringProfilePublished: events.keep_score_reach,
    PersonObserved: observe_people,
}
