"""A well-formed event of every kind, all of one deal."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from forms.check import visible_questions
from forms.definition import Form, form_from_json
from forms.messages import answers_to_proto, form_to_event_fields
from google.protobuf.message import Message
from kit.events import registry
from stagecraft.assessment.v1 import assessment_published_pb2, assessment_submitted_pb2
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.crm.v1 import opportunity_observed_pb2
from stagecraft.scoring.v1 import scoring_profile_published_pb2, submission_scored_pb2
from stagecraft.stage.v1 import pipeline_published_pb2, stage_changed_pb2, stage_decided_pb2

MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ANSWERS: dict[str, Any] = {"hours": "over_5", "compliance": "yes"}


@lru_cache(1)
def _form() -> Form:
    import json
    from importlib.resources import files

    text = (files("assessment") / "templates" / "prospecting.json").read_text(encoding="utf-8")
    return form_from_json(json.loads(text), 1)


def _score() -> dict[str, Any]:
    answer = Answer(question_key="hours", choice="over_5")
    return {
        "score_id": str(uuid4()),
        "submission_id": str(uuid4()),
        "assessment_key": "prospecting",
        "assessment_version": 1,
        "profile_id": "profile-1",
        "profile_version": 1,
        "scale": scoring_profile_published_pb2.SCALE_RAW,
        "score": "70",
        "raw_points": "70",
        "reachable_max": "70",
        "reachable_min": "0",
        "percent": "100",
        "complete": True,
        "contributions": [
            submission_scored_pb2.Contribution(question_key="hours", answer=answer, points="50", max_points="50")
        ],
        "visit": Visit(stage_key="prospecting", visit_no=1),
        "submitted_by": "ann",
        "attempt_no": 1,
        "captured_at": MOMENT,
        "received_at": MOMENT,
        "scored_at": MOMENT,
    }


def _fields(name: str) -> dict[str, Any]:
    stages = [("prospecting", 1), ("discovery", 1), ("demo", 1), ("closed_won", 2), ("closed_lost", 3)]
    return {
        "AssessmentPublished": lambda: {
            **form_to_event_fields(_form()),
            "status": assessment_published_pb2.ASSESSMENT_STATUS_PUBLISHED,
        },
        "AssessmentSubmitted": lambda: {
            "submission_id": str(uuid4()),
            "assessment_key": "prospecting",
            "assessment_version": 1,
            "answers": answers_to_proto(_form(), ANSWERS),
            "visible_questions": visible_questions(_form(), ANSWERS),
            "visit": Visit(stage_key="prospecting", visit_no=1),
            "submitted_by": "ann",
            "captured_at": MOMENT,
            "received_at": MOMENT,
            "channel": assessment_submitted_pb2.CHANNEL_ONLINE,
            "attempt_no": 1,
        },
        "ScoringProfilePublished": lambda: {
            "profile_id": "profile-1",
            "assessment_key": "prospecting",
            "assessment_version": 1,
            "version": 1,
            "scale": scoring_profile_published_pb2.SCALE_RAW,
            "reachable_min": "0",
            "reachable_max": "70",
            "reachable_scores": ["10", "20", "40", "50", "70"],
        },
        "SubmissionScored": _score,
        "PipelinePublished": lambda: {
            "pipeline_key": "sales",
            "version": 1,
            "name": "Sales",
            "stages": [
                pipeline_published_pb2.Stage(
                    key=key, name=key.title(), category=category, assessment_keys=["prospecting"]
                )
                for key, category in stages
            ],
            "is_default": True,
            "published_at": MOMENT,
        },
        "StageChanged": lambda: {
            "transition_id": str(uuid4()),
            "pipeline_key": "sales",
            "pipeline_version": 1,
            "revision": 1,
            "kind": stage_changed_pb2.TRANSITION_KIND_ADVANCE,
            "to_stage": "prospecting",
            "to_category": pipeline_published_pb2.CATEGORY_OPEN,
            "visit_no": 1,
            "cycle_no": 1,
            "cause": stage_changed_pb2.CAUSE_RULE,
            "changed_at": MOMENT,
        },
        "StageDecided": lambda: {
            "decision_id": str(uuid4()),
            "pipeline_key": "sales",
            "pipeline_version": 1,
            "decision_no": 1,
            "revision": 1,
            "outcome": stage_decided_pb2.OUTCOME_ACCEPTED,
            "input_kind": stage_decided_pb2.INPUT_KIND_SUBMISSION,
            "input_id": str(uuid4()),
            "from_stage": "prospecting",
            "to_stage": "discovery",
            "submission": submission_scored_pb2.SubmissionScored(opportunity_id="006A", **_score()),
            "decided_at": MOMENT,
        },
        "OpportunityObserved": lambda: {
            "kind": opportunity_observed_pb2.OBSERVATION_KIND_IMPORTED,
            "stage_key": "prospecting",
            "crm_stage": "Prospecting",
            "amount": "1000",
            "close_date": "2026-06-30",
            "owner_id": "ann",
            "committed_at": MOMENT,
            "change_id": str(uuid4()),
        },
        "CrmWriteConfirmed": lambda: _written() | {"write_id": str(uuid4()), "confirmed_at": MOMENT},
        "CrmWriteParked": lambda: _written() | {"code": "FIELD", "reason": "no", "parked_at": MOMENT},
        "StageRecommended": lambda: {
            "recommendation_id": str(uuid4()),
            "pipeline_key": "sales",
            "current_stage": "prospecting",
            "recommended_stage": "discovery",
            "support": 10,
            "model_version": "1",
            "submission_id": str(uuid4()),
            "recommended_at": MOMENT,
        },
    }[name]()


def _written() -> dict[str, Any]:
    return {
        "intent_id": str(uuid4()),
        "decision_id": str(uuid4()),
        "stage_key": "prospecting",
        "revision": 1,
    }


def sample(name: str, /, **changes: Any) -> Message:
    """A valid event of this kind with some fields changed."""
    (kind,) = [kind for kind in registry().values() if kind.message.DESCRIPTOR.name == name]
    fields = {**_fields(name), **changes}
    if "opportunity_id" in kind.message.DESCRIPTOR.fields_by_name:
        fields.setdefault("opportunity_id", "006A")
    return kind.message(**fields)
