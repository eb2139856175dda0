"""The one place where tests build what services exchange: forms, and a well-formed event of every kind.

Every event is of one opportunity of the field example. `changes` replace fields; times are given as datetimes.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import uuid4

from forms.answers import Answers
from forms.check import visible_questions
from forms.definition import Form, form_from_json
from forms.messages import answers_to_proto, form_to_event_fields
from google.protobuf.message import Message
from kit.contracts.events import Event, Received
from kit.contracts.facts import AMOUNT, CLOSE_DATE, seen_facts
from kit.ids import identity_digest
from stagecraft.assessment.v1.assessment_published_pb2 import ASSESSMENT_STATUS_PUBLISHED, AssessmentPublished
from stagecraft.assessment.v1.assessment_refused_pb2 import AssessmentRefused
from stagecraft.assessment.v1.assessment_submitted_pb2 import CHANNEL_ONLINE, AssessmentSubmitted
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.common.v1.fact_pb2 import Fact
from stagecraft.common.v1.visit_pb2 import Visit
from stagecraft.crm.v1.action_settled_pb2 import SETTLEMENT_DONE, ActionSettled
from stagecraft.crm.v1.activity_observed_pb2 import ACTIVITY_KIND_CALL, DIRECTION_INBOUND, ActivityObserved
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.person_observed_pb2 import Identity, PersonObserved
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_IMPORTED, MappedStage, RecordObserved
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SubmissionScored
from stagecraft.stage.v1.action_requested_pb2 import ACTION_KIND_TASK, ActionRequested
from stagecraft.stage.v1.assessment_requested_pb2 import AssessmentRequested
from stagecraft.stage.v1.pipeline_published_pb2 import (
    CATEGORY_LOST,
    CATEGORY_OPEN,
    CATEGORY_WON,
    PipelinePublished,
    Stage,
)
from stagecraft.stage.v1.stage_changed_pb2 import CAUSE_RULE, TRANSITION_KIND_ADVANCE, StageChanged
from stagecraft.stage.v1.stage_decided_pb2 import INPUT_KIND_SUBMISSION, OUTCOME_ACCEPTED, StageDecided

OPPORTUNITY = "006A"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
VISIT = Visit(stage_key="prospecting", visit_no=1)
ASSESSMENT = {"assessment_key": "prospecting", "assessment_version": 1}
# 70 points, the most that the prospecting assessment gives.
ANSWERS: Answers = {"hours": "over_5", "compliance": "yes"}
CATEGORIES: Mapping[str, Any] = {
    "prospecting": CATEGORY_OPEN,
    "discovery": CATEGORY_OPEN,
    "demo": CATEGORY_OPEN,
    "closed_won": CATEGORY_WON,
    "closed_lost": CATEGORY_LOST,
}


@cache
def shipped_form(key: str = "prospecting", version: int = 1) -> Form:
    """An assessment of the field example, as this version."""
    text = (files("assessment") / "templates" / f"{key}.json").read_text(encoding="utf-8")
    return form_from_json(json.loads(text), version)


def assessment_published(form: Form | None = None, **changes: Any) -> AssessmentPublished:
    """A form as its service publishes it; by default the shipped one of prospecting."""
    fields = form_to_event_fields(form or shipped_form())
    return AssessmentPublished(**fields | {"status": ASSESSMENT_STATUS_PUBLISHED} | changes)


def assessment_submitted(
    form: Form | None = None, answers: Answers | None = None, **changes: Any
) -> AssessmentSubmitted:
    """Answers to a form, captured and received at once."""
    form, answers = form or shipped_form(), ANSWERS if answers is None else answers
    fields = {
        "submission_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "assessment_key": form.key,
        "assessment_version": form.version,
        "answers": answers_to_proto(form, answers),
        "visible_questions": visible_questions(form, answers),
        "visit": VISIT,
        "submitted_by": "ann",
        "captured_at": MOMENT,
        "received_at": MOMENT,
        "channel": CHANNEL_ONLINE,
        "attempt_no": 1,
        "entitled": True,
    }
    return AssessmentSubmitted(**fields | changes)


def scoring_profile_published(**changes: Any) -> ScoringProfilePublished:
    """The points of the prospecting assessment."""
    fields = ASSESSMENT | {
        "profile_id": "profile-1",
        "version": 1,
        "scale": SCALE_RAW,
        "reachable_min": "0",
        "reachable_max": "70",
        "reachable_scores": ["10", "20", "40", "50", "70"],
    }
    return ScoringProfilePublished(**fields | changes)


def submission_scored(**changes: Any) -> SubmissionScored:
    """A submission with all of its 70 points."""
    answer = Answer(question_key="hours", choice="over_5")
    fields = ASSESSMENT | {
        "score_id": str(uuid4()),
        "submission_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "profile_id": "profile-1",
        "profile_version": 1,
        "scale": SCALE_RAW,
        "score": "70",
        "raw_points": "70",
        "reachable_max": "70",
        "reachable_min": "0",
        "percent": "100",
        "complete": True,
        "contributions": [Contribution(question_key="hours", answer=answer, points="50", max_points="50")],
        "visit": VISIT,
        "submitted_by": "ann",
        "attempt_no": 1,
        "entitled": True,
        "captured_at": MOMENT,
        "received_at": MOMENT,
        "scored_at": MOMENT,
    }
    return SubmissionScored(**fields | changes)


def pipeline_published(**changes: Any) -> PipelinePublished:
    """The default pipeline, three open stages and two closed ones."""
    stages = [
        Stage(key=key, name=key.title(), category=category, assessment_keys=["prospecting"])
        for key, category in CATEGORIES.items()
    ]
    fields = {
        "pipeline_key": "sales",
        "version": 1,
        "name": "Sales",
        "stages": stages,
        "is_default": True,
        "published_at": MOMENT,
    }
    return PipelinePublished(**fields | changes)


def stage_changed(**changes: Any) -> StageChanged:
    """The opportunity enters its first stage, or `to_stage` with the category of that stage."""
    fields = {
        "transition_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "pipeline_key": "sales",
        "pipeline_version": 1,
        "revision": 1,
        "kind": TRANSITION_KIND_ADVANCE,
        "to_stage": "prospecting",
        "to_category": CATEGORIES.get(changes.get("to_stage", "prospecting"), CATEGORY_OPEN),
        "visit_no": 1,
        "cycle_no": 1,
        "cause": CAUSE_RULE,
        "changed_at": MOMENT,
    }
    return StageChanged(**fields | changes)


def stage_decided(**changes: Any) -> StageDecided:
    """A submission moved the opportunity to discovery."""
    fields = {
        "decision_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "pipeline_key": "sales",
        "pipeline_version": 1,
        "decision_no": 1,
        "revision": 1,
        "outcome": OUTCOME_ACCEPTED,
        "input_kind": INPUT_KIND_SUBMISSION,
        "input_id": str(uuid4()),
        "from_stage": "prospecting",
        "to_stage": "discovery",
        "submission": submission_scored(),
        "decided_at": MOMENT,
    }
    return StageDecided(**fields | changes)


def record_observed(**changes: Any) -> RecordObserved:
    """The opportunity as it was imported from the CRM. `amount`, `currency` and `close_date` are given as such, further
    facts as `facts`; `stage_key` is its stage in each of these `pipelines`."""
    pipelines, stage_key = changes.pop("pipelines", ("field_example",)), changes.pop("stage_key", "prospecting")
    fields = {
        "object_type": "opportunity",
        "record_id": changes.pop("opportunity_id", OPPORTUNITY),
        "kind": OBSERVATION_KIND_IMPORTED,
        "mapped_stages": [MappedStage(pipeline_key=p, pipeline_version=1, stage_key=stage_key) for p in pipelines],
        "crm_stage": "Prospecting",
        "owner_id": "ann",
        "committed_at": MOMENT,
        "change_id": str(uuid4()),
    }
    amount, close_date = changes.pop("amount", "1000"), changes.pop("close_date", "2026-06-30")
    facts = [
        Fact(name=AMOUNT, decimal=amount or None, currency=changes.pop("currency", "")),
        Fact(name=CLOSE_DATE, date=close_date or None),
        *changes.pop("facts", ()),
    ]
    return RecordObserved(**fields | {"facts": facts} | changes)


def activity_observed(**changes: Any) -> ActivityObserved:
    """A call with the buyer, done."""
    fields = {
        "activity_id": "00T000000000001AAA",
        "object_type": "opportunity",
        "record_id": changes.pop("opportunity_id", OPPORTUNITY),
        "kind": ACTIVITY_KIND_CALL,
        "direction": DIRECTION_INBOUND,
        "done": True,
        "occurred_at": MOMENT,
        "committed_at": MOMENT,
        "change_id": str(uuid4()),
    }
    return ActivityObserved(**fields | changes)


def stages(message: RecordObserved) -> dict[str, str]:
    """What the record's stage is in each pipeline."""
    return {each.pipeline_key: each.stage_key for each in message.mapped_stages}


def mapped(message: RecordObserved) -> str:
    """The stage in the record's own pipeline, or in the default one."""
    return message.mapped_stages[0].stage_key


def fact(message: RecordObserved, name: str) -> Any:
    """The value of a fact of the event; None when it is unknown."""
    return seen_facts(message.facts)[name].value


def person_observed(person_id: str = "ann", tenant: str = "acme", **changes: Any) -> PersonObserved:
    """A user of the CRM whose names are `<id>@example.com`, and whose number there is `fed-<id>`."""
    names = {"crm_id": person_id, "federation_id": f"fed-{person_id}"}
    names |= dict.fromkeys(("username", "email"), f"{person_id}@example.com")
    fields = {
        "person_id": person_id,
        "active": True,
        "manager_id": "mona",
        "identities": [Identity(claim=claim, digest=identity_digest(tenant, name)) for claim, name in names.items()],
        "committed_at": MOMENT,
        "change_id": str(uuid4()),
    }
    return PersonObserved(**fields | changes)


def crm_write_confirmed(**changes: Any) -> CrmWriteConfirmed:
    """The CRM shows the stage that was written."""
    return CrmWriteConfirmed(**_write() | {"write_id": str(uuid4()), "confirmed_at": MOMENT} | changes)


def crm_write_parked(**changes: Any) -> CrmWriteParked:
    """The CRM refused the stage that was written."""
    return CrmWriteParked(**_write() | {"code": "FIELD", "reason": "no", "parked_at": MOMENT} | changes)


def action_requested(**changes: Any) -> ActionRequested:
    """A decision asks for a call."""
    fields = {
        "action_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "object_type": "opportunity",
        "decision_id": str(uuid4()),
        "revision": 1,
        "action_key": "call",
        "kind": ACTION_KIND_TASK,
        "text": "Call the customer",
        "person_id": "005000000000001AAA",
        "requested_at": MOMENT,
        "expires_at": datetime(2999, 1, 1, tzinfo=UTC),
    }
    return ActionRequested(**fields | changes)


def action_settled(**changes: Any) -> ActionSettled:
    """The CRM holds what was asked for."""
    fields = {
        "action_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "settlement": SETTLEMENT_DONE,
        "record_id": "00T000000000001AAA",
        "settled_at": MOMENT,
    }
    return ActionSettled(**fields | changes)


def assessment_requested(**changes: Any) -> AssessmentRequested:
    """A process template needs the shipped prospecting assessment."""
    fields = {
        "request_id": str(uuid4()),
        "assessment_key": "prospecting",
        "template_key": "prospecting",
        "requested_by": "ada",
        "requested_at": MOMENT,
    }
    return AssessmentRequested(**fields | changes)


def assessment_refused(**changes: Any) -> AssessmentRefused:
    """The key of a shipped assessment belongs to another one."""
    fields = {"request_id": str(uuid4()), "assessment_key": "bant", "detail": "It is taken.", "refused_at": MOMENT}
    return AssessmentRefused(**fields | changes)


def stage_recommended(**changes: Any) -> StageRecommended:
    """A recommendation to move on to discovery."""
    fields = {
        "recommendation_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "pipeline_key": "sales",
        "current_stage": "prospecting",
        "recommended_stage": "discovery",
        "support": 10,
        "model_version": "1",
        "submission_id": str(uuid4()),
        "recommended_at": MOMENT,
    }
    return StageRecommended(**fields | changes)


def sample(name: str, /, **changes: Any) -> Message:
    """A well-formed event by the name of its message."""
    return _BUILDERS[name](**changes)


def received(message: Message, sequence: int = 1, tenant: str = "acme") -> Received[Any]:
    """The event as a handler gets it, without a broker."""
    sent = Event(tenant, message, sequence)
    return Received(sent.id, tenant, message, sequence, sent.time, "", sent.record("test"), 0, 0)


def _write() -> dict[str, Any]:
    return {
        "intent_id": str(uuid4()),
        "opportunity_id": OPPORTUNITY,
        "decision_id": str(uuid4()),
        "stage_key": "prospecting",
        "revision": 1,
    }


_BUILDERS: Mapping[str, Callable[..., Message]] = {
    "AssessmentPublished": assessment_published,
    "AssessmentRequested": assessment_requested,
    "AssessmentRefused": assessment_refused,
    "AssessmentSubmitted": assessment_submitted,
    "ScoringProfilePublished": scoring_profile_published,
    "SubmissionScored": submission_scored,
    "PipelinePublished": pipeline_published,
    "StageChanged": stage_changed,
    "StageDecided": stage_decided,
    "PersonObserved": person_observed,
    "RecordObserved": record_observed,
    "ActivityObserved": activity_observed,
    "CrmWriteConfirmed": crm_write_confirmed,
    "CrmWriteParked": crm_write_parked,
    "StageRecommended": stage_recommended,
    "ActionRequested": action_requested,
    "ActionSettled": action_settled,
}
