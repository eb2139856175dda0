"""Every event in and out, as pure functions: the only modules that know the generated contracts."""

from stagecraft.assessment.v1.assessment_refused_pb2 import AssessmentRefused
from stagecraft.crm.v1.action_settled_pb2 import ActionSettled
from stagecraft.crm.v1.activity_observed_pb2 import ActivityObserved
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.scoring.v1.scoring_profile_published_pb2 import ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1.action_requested_pb2 import ActionRequested
from stagecraft.stage.v1.assessment_requested_pb2 import AssessmentRequested
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from stage_engine.messages.publishing import pipeline_published
from stage_engine.messages.reading import (
    read_activity,
    read_confirmation,
    read_install_refusal,
    read_observation,
    read_reach,
    read_refusal,
    read_settlement,
    read_submission,
)
from stage_engine.messages.telling import (
    action_requested,
    add_waiting,
    assessment_requested,
    stage_changed,
    stage_decided,
)

__all__ = [
    "ActionRequested",
    "ActionSettled",
    "ActivityObserved",
    "AssessmentRefused",
    "AssessmentRequested",
    "CrmWriteConfirmed",
    "CrmWriteParked",
    "RecordObserved",
    "ScoringProfilePublished",
    "StageChanged",
    "StageDecided",
    "SubmissionScored",
    "action_requested",
    "add_waiting",
    "assessment_requested",
    "pipeline_published",
    "read_activity",
    "read_confirmation",
    "read_install_refusal",
    "read_observation",
    "read_reach",
    "read_refusal",
    "read_settlement",
    "read_submission",
    "stage_changed",
    "stage_decided",
]
