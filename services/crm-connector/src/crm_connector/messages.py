"""Every event in and out, as pure functions: the only module that knows the generated contracts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from kit.contracts import wire
from kit.contracts.events import Received
from kit.contracts.facts import OPPORTUNITY, fact_of
from stagecraft.assessment.v1.assessment_published_pb2 import AssessmentPublished
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.crm.v1.action_settled_pb2 import ActionSettled
from stagecraft.crm.v1.activity_observed_pb2 import ActivityObserved
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.person_observed_pb2 import Identity, PersonObserved
from stagecraft.crm.v1.record_observed_pb2 import (
    STAGE_CLOCK_SOURCE_CREATION,
    STAGE_CLOCK_SOURCE_HISTORY,
    STAGE_CLOCK_SOURCE_STAGE_STAMP,
    MappedStage,
    RecordObserved,
)
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import action_requested_pb2 as requests
from stagecraft.stage.v1.action_requested_pb2 import ActionRequested
from stagecraft.stage.v1.pipeline_published_pb2 import Category as StageCategory
from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from crm_connector.domain.actions import ActionKind, ActionState, QueuedAction, Settled
from crm_connector.domain.activities import Activity, Subject
from crm_connector.domain.fields import OWNER, STAGE, currency_of, value_of
from crm_connector.domain.observation import ClockSource, Effect, Facts, Occasion
from crm_connector.domain.people import CrmPerson
from crm_connector.domain.stages import Category, PipelineStage
from crm_connector.domain.writes import AnswerLine, AnswerType, Evidence, QuestionText
from crm_connector.records import AssessmentTextRecord, OpportunityRecord, PipelineVersion, QueuedWrite

__all__ = ["ActionRequested", "AssessmentPublished", "PipelinePublished", "StageDecided"]

_ZERO = Decimal(0)
# The CRM's words are as long as it likes; an event has no room for a whole page of a proxy.
_LONGEST_REASON = 2000
# For so long it is tried to show an owner in the CRM.
_OWNER_EXPIRES = timedelta(days=30)
_CLOCK_SOURCES = {
    ClockSource.HISTORY: STAGE_CLOCK_SOURCE_HISTORY,
    ClockSource.STAGE_STAMP: STAGE_CLOCK_SOURCE_STAGE_STAMP,
    ClockSource.CREATION: STAGE_CLOCK_SOURCE_CREATION,
}


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision asks of the CRM. `evidence` is the submission as it is kept until it is written."""

    decision_id: UUID
    object_type: str
    opportunity_id: str
    decision_no: int
    revision: int
    pipeline_key: str
    pipeline_version: int
    target_stage: str
    expected_stage: str
    expected_version: int
    earned_stage: str
    reason_code: str
    evidence: bytes | None
    submission_id: str
    assessment_key: str
    assessment_version: int
    traceparent: str

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.target_stage) or self.evidence is not None


def read_decision(event: Received[StageDecided]) -> Decided:
    """A decision. InvalidEvent also when its evidence could not be written later."""
    message = event.message
    scored = message.submission if message.HasField("submission") else None
    if scored is not None:
        read_evidence(scored)
    return Decided(
        decision_id=wire.uuid(message.decision_id, "decision_id"),
        object_type=message.object_type or OPPORTUNITY,
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        decision_no=message.decision_no,
        revision=message.revision,
        pipeline_key=message.pipeline_key,
        pipeline_version=message.pipeline_version,
        target_stage=message.crm_target_stage,
        expected_stage=message.crm_expected_stage,
        expected_version=message.crm_expected_version,
        earned_stage=message.earned_stage,
        reason_code=message.change.reason_code,
        evidence=scored.SerializeToString() if scored is not None else None,
        submission_id=scored.submission_id if scored is not None else "",
        assessment_key=scored.assessment_key if scored is not None else "",
        assessment_version=scored.assessment_version if scored is not None else 0,
        traceparent=event.traceparent,
    )


def read_action(event: Received[ActionRequested], now: datetime) -> QueuedAction | None:
    """What is to be done in the CRM; None for a kind that is done elsewhere."""
    message = event.message
    action_id = wire.uuid(message.action_id, "action_id")
    kind = wire.word(requests.ActionKind, message.kind, "kind")
    opportunity_id = wire.required(message.opportunity_id, "opportunity_id")
    expires_at = wire.moment(message.expires_at, "expires_at")
    requested_at = wire.moment(message.requested_at, "requested_at")
    due_on = wire.moment(message.due_at, "due_at") if message.HasField("due_at") else None
    if kind not in set(ActionKind):
        return None
    return QueuedAction(
        action_id=action_id,
        object_type=message.object_type or OPPORTUNITY,
        opportunity_id=opportunity_id,
        kind=ActionKind(kind),
        text=message.text,
        details=message.details,
        person_id=message.person_id,
        target=message.target,
        fields={wire.required(field.name, "name"): field.value for field in message.fields},
        due_on=due_on,
        expires_at=expires_at,
        requested_at=requested_at,
        state=ActionState.NEW,
        attempts=0,
        due_at=now,
        code="",
        reason="",
        traceparent=event.traceparent,
        created_at=now,
    )


def owner_actions(event: Received[StageDecided], now: datetime) -> Iterator[QueuedAction]:
    """That the CRM is to show who was chosen as the owner, as an action."""
    message = event.message
    for each in message.assigned:
        if not each.action_id:
            continue
        at = wire.moment(message.decided_at, "decided_at")
        yield QueuedAction(
            action_id=wire.uuid(each.action_id, "action_id"),
            object_type=message.object_type or OPPORTUNITY,
            opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
            kind=ActionKind.OWNER,
            text="",
            details="",
            person_id=wire.required(each.person_id, "person_id"),
            target="",
            fields={},
            due_on=None,
            expires_at=at + _OWNER_EXPIRES,
            requested_at=at,
            state=ActionState.NEW,
            attempts=0,
            due_at=now,
            code="",
            reason="",
            traceparent=event.traceparent,
            created_at=now,
        )


def action_settled(settled: Settled, now: datetime) -> ActionSettled:
    """What became of an action."""
    return ActionSettled(
        action_id=str(settled.action.action_id),
        opportunity_id=settled.action.opportunity_id,
        settlement=f"SETTLEMENT_{settled.settlement.name}",
        code=settled.code,
        words=settled.words[:_LONGEST_REASON],
        record_id=settled.record_id,
        settled_at=now,
    )


def unpack_evidence(packed: bytes) -> Evidence:
    """The evidence that was queued with a write."""
    return read_evidence(SubmissionScored.FromString(packed))


def received_at(packed: bytes) -> datetime:
    """When the queued evidence was received."""
    return SubmissionScored.FromString(packed).received_at.ToDatetime(UTC)


def read_evidence(scored: SubmissionScored) -> Evidence:
    """The evidence of a scored submission."""
    answers = tuple(
        AnswerLine(
            part.question_key,
            *_typed(part.answer),
            wire.optional_decimal(part.points, "points") or _ZERO,
            wire.optional_decimal(part.max_points, "max_points") or _ZERO,
        )
        for part in scored.contributions
        if part.HasField("answer") and part.answer.WhichOneof("value")
    )
    percent = scored.scale == SCALE_PERCENT
    return Evidence(
        submission_id=scored.submission_id,
        assessment_key=scored.assessment_key,
        assessment_version=scored.assessment_version,
        stage_key=scored.visit.stage_key,
        score=wire.optional_decimal(scored.score, "score"),
        score_max=Decimal(100) if percent else wire.optional_decimal(scored.reachable_max, "reachable_max") or _ZERO,
        percent=wire.optional_decimal(scored.percent, "percent"),
        complete=scored.complete,
        submitted_by=scored.submitted_by,
        captured_at=wire.moment(scored.captured_at, "captured_at"),
        answers=answers,
        voided=scored.voided,
    )


def read_pipeline(message: PipelinePublished) -> PipelineVersion:
    """A version of a pipeline."""
    return PipelineVersion(
        pipeline_key=wire.required(message.pipeline_key, "pipeline_key"),
        version=message.version,
        name=message.name,
        is_default=message.is_default,
        object_type=message.object_type or OPPORTUNITY,
        stages=tuple(
            PipelineStage(stage.key, stage.name, Category(wire.word(StageCategory, stage.category, "category")))
            for stage in message.stages
        ),
        published_at=wire.moment(message.published_at, "published_at") if message.HasField("published_at") else None,
    )


def read_texts(message: AssessmentPublished) -> AssessmentTextRecord:
    """How people read the questions and choices of an assessment version."""
    return AssessmentTextRecord(message.assessment_key, message.version, message.title, question_texts(message))


def question_texts(message: AssessmentPublished) -> dict[str, QuestionText]:
    """The texts of a published assessment by question key."""
    return {q.key: QuestionText(q.text, {c.key: c.text for c in q.choices}) for q in message.questions}


def record_observed(row: OpportunityRecord, facts: Facts, effect: Effect, occasion: Occasion) -> RecordObserved:
    """What the CRM holds of a record after that effect."""
    return RecordObserved(
        object_type=row.object_type,
        record_id=row.opportunity_id,
        kind=f"OBSERVATION_KIND_{effect.kind}",
        mapped_stages=[
            MappedStage(pipeline_key=each.pipeline_key, pipeline_version=each.version, stage_key=each.stage_key)
            for each in row.mapped_stages
        ],
        crm_stage=facts.stage,
        owner_id=facts.owner_id,
        facts=[
            fact_of(name, value_of(text), currency=currency_of(name, facts.fields))
            for name, text in sorted(facts.fields.items())
        ],
        changed_facts=[f"{row.object_type}.{name}" if name in (STAGE, OWNER) else name for name in effect.changed],
        changed_by=occasion.changed_by,
        change_id=occasion.change_id,
        committed_at=occasion.committed_at,
        in_stage_since=occasion.stage_clock.since if occasion.stage_clock else None,
        in_stage_since_source=_CLOCK_SOURCES[occasion.stage_clock.source] if occasion.stage_clock else None,
    )


def person_observed(person: CrmPerson, digests: Mapping[str, str]) -> PersonObserved:
    """A user as it is now, its names by claim as digests."""
    return PersonObserved(
        person_id=person.person_id,
        active=person.active,
        manager_id=person.manager_id,
        identities=[Identity(claim=claim, digest=digest) for claim, digest in digests.items()],
        committed_at=person.modified_at,
        change_id=f"{person.person_id}/{person.modified_at.isoformat()}",
    )


def activity_observed(activity: Activity, subject: Subject) -> ActivityObserved:
    """An activity about a record."""
    return ActivityObserved(
        activity_id=activity.activity_id,
        object_type=subject.object_type,
        record_id=subject.record_id,
        kind=f"ACTIVITY_KIND_{activity.kind}",
        direction=None if activity.inbound is None else f"DIRECTION_{'INBOUND' if activity.inbound else 'OUTBOUND'}",
        person_id=activity.person_id,
        outcome=activity.outcome[:_LONGEST_REASON],
        duration_seconds=activity.duration_seconds,
        done=activity.done,
        withdrawn=activity.withdrawn,
        occurred_at=activity.occurred_at,
        committed_at=activity.modified_at,
        change_id=activity.change_id,
    )


def crm_write_confirmed(write: QueuedWrite, write_id: str, at: datetime) -> CrmWriteConfirmed:
    """The CRM holds the stage that the write set."""
    return CrmWriteConfirmed(
        intent_id=str(write.intent_id),
        opportunity_id=write.opportunity_id,
        decision_id=str(write.decision_id),
        submission_id=write.submission_id,
        stage_key=write.target_stage,
        revision=write.revision,
        write_id=write_id,
        attempts=write.attempts,
        confirmed_at=at,
    )


def crm_write_parked(write: QueuedWrite, at: datetime) -> CrmWriteParked:
    """The CRM refused the write, and a person has to look."""
    return CrmWriteParked(
        intent_id=str(write.intent_id),
        opportunity_id=write.opportunity_id,
        decision_id=str(write.decision_id),
        submission_id=write.submission_id,
        stage_key=write.target_stage,
        revision=write.revision,
        code=write.code,
        reason=write.reason[:_LONGEST_REASON],
        parked_at=at,
    )


def _typed(answer: Answer) -> tuple[AnswerType, str | bool | tuple[str, ...]]:
    match answer.WhichOneof("value"):
        case "choice":
            return AnswerType.CHOICE, answer.choice
        case "choices":
            return AnswerType.CHOICES, tuple(answer.choices.keys)
        case "number":
            return AnswerType.NUMBER, f"{wire.decimal(answer.number, 'answer'):f}"
        case "boolean":
            return AnswerType.BOOLEAN, answer.boolean
        case _:
            return AnswerType.TEXT, answer.text
