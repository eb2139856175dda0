"""Events of other services, as the domain and the tables take them."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import islice

from kit.contracts import wire
from kit.contracts.events import Received
from kit.contracts.facts import AMOUNT, CLOSE_DATE, SeenFact, seen_facts
from kit.errors import InvalidEvent
from stagecraft.assessment.v1.assessment_refused_pb2 import AssessmentRefused
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.common.v1.move_pb2 import Move
from stagecraft.crm.v1 import action_settled_pb2 as settlements
from stagecraft.crm.v1 import activity_observed_pb2 as activities
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.crm.v1.action_settled_pb2 import ActionSettled
from stagecraft.crm.v1.activity_observed_pb2 import ActivityObserved
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT, ScoringProfilePublished
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from stage_engine.domain.activities import Activity
from stage_engine.domain.explain import QUESTION_LIMIT
from stage_engine.domain.facts import ACCOUNT, ACCOUNT_TYPE, CRM, CURRENCY, FactInForce
from stage_engine.domain.inputs import MappedStage, Observation, Occasion, RequestedMove, Submission, SuppliedFact
from stage_engine.domain.literals import Literal, exact_number
from stage_engine.domain.sync import ConfirmedWrite, ParkedWrite
from stage_engine.records.pipelines import InstallRefusal, ReachRecord
from stage_engine.records.work import SettledAction

# Unanswered questions that a decision names: the first ones are where to go on.
NAMED_LIMIT = 20


def read_submission(message: SubmissionScored) -> Submission:
    """A scored submission as the domain takes it."""
    lost = [
        (part.question_key, _number(part.max_points, "max_points") - _number(part.points, "points"))
        for part in message.contributions
        if part.points and part.max_points
    ]
    lost.sort(key=lambda each: (-each[1], each[0]))
    return Submission(
        submission_id=wire.required(message.submission_id, "submission_id"),
        opportunity_id=message.opportunity_id,
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        score=_number(message.score, "score") if message.complete and message.score else None,
        stage_key=message.visit.stage_key,
        visit_no=message.visit.visit_no,
        attempt_no=message.attempt_no,
        captured_at=wire.moment(message.captured_at, "captured_at"),
        received_at=wire.moment(message.received_at, "received_at"),
        profile_id=message.profile_id,
        profile_version=message.profile_version,
        submitted_by=message.submitted_by,
        lost=tuple(each for each in lost[:QUESTION_LIMIT] if each[1] > 0),
        unanswered=tuple(islice((part.question_key for part in message.contributions if part.unanswered), NAMED_LIMIT)),
        entitled=message.entitled,
        details=tuple(_details(message)),
        move=_move(message.move) if message.HasField("move") else None,
    )


def _move(move: Move) -> RequestedMove:
    return RequestedMove(
        to_stage=wire.required(move.to_stage, "to_stage"),
        expected_revision=move.expected_revision if move.HasField("expected_revision") else None,
        reason_code=move.reason_code,
        text=move.text,
        skip=move.skip,
        facts=tuple(SuppliedFact(fact.name, fact.value) for fact in seen_facts(move.facts).values()),
    )


def _details(message: SubmissionScored) -> Iterator[tuple[str, Literal]]:
    """What else than the score rules may read of a submission, by the rest of the facts' names. A number that the rules
    engine does not hold exactly counts as unknown."""
    found = [("percent", _exact(message.percent, "percent"))]
    for section in message.sections:
        found.append((f"sections.{wire.required(section.section, 'section')}", _exact(section.points, "points")))
    for part in message.contributions:
        if part.HasField("answer"):
            found.append((f"answers.{part.question_key}", _answer(part.answer)))
    return ((name, literal) for name, literal in found if literal is not None)


def _answer(answer: Answer) -> Literal | None:
    match answer.WhichOneof("value"):
        case "choice":
            return answer.choice
        case "choices":
            return frozenset(answer.choices.keys)
        case "number":
            return _exact(answer.number, "number")
        case "text":
            return answer.text
        case "boolean":
            return answer.boolean
        case _:
            raise InvalidEvent("missing_field", "answer has no value")


def _exact(text: str, field: str) -> Literal | None:
    number = wire.decimal(text, field)
    try:
        return exact_number(str(number))
    except ValueError:
        return None


def read_observation(event: Received[RecordObserved]) -> Observation:
    """An observation in the CRM. Without a change id of its own it takes its event's."""
    message = event.message
    facts, committed_at = seen_facts(message.facts), wire.moment(message.committed_at, "committed_at")
    amount, close_date = facts.get(AMOUNT, SeenFact(AMOUNT)), facts.get(CLOSE_DATE, SeenFact(CLOSE_DATE)).value
    currency = facts.get(CURRENCY, SeenFact(CURRENCY)).value
    dated, source = message.HasField("in_stage_since"), message.in_stage_since_source
    return Observation(
        change_id=message.change_id or str(event.id),
        opportunity_id=message.record_id,
        occasion=Occasion(wire.word(crm.ObservationKind, message.kind, "kind")),
        stage_key="",
        crm_stage=message.crm_stage,
        amount=amount.value if isinstance(amount.value, Decimal) else None,
        close_date=close_date.isoformat() if isinstance(close_date, date) else "",
        owner_id=message.owner_id,
        changed_by=message.changed_by,
        committed_at=committed_at,
        number=event.sequence,
        currency=amount.currency or (currency if isinstance(currency, str) else ""),
        unread=tuple(name for name, fact in facts.items() if fact.unread),
        in_stage_since=wire.moment(message.in_stage_since, "in_stage_since") if dated else None,
        in_stage_since_source=wire.word(crm.StageClockSource, source, "in_stage_since_source") if dated else "",
        facts=tuple(
            FactInForce(fact.name, fact.value, CRM, fact.observed_at or committed_at, event.sequence)
            for fact in facts.values()
            if fact.name not in (AMOUNT, CLOSE_DATE, CURRENCY)
        ),
        object_type=wire.required(message.object_type, "object_type"),
        account_id=_text_of(facts.get(ACCOUNT)),
        account_type=_text_of(facts.get(ACCOUNT_TYPE)),
        mapped=tuple(
            MappedStage(wire.required(m.pipeline_key, "pipeline_key"), m.pipeline_version, m.stage_key)
            for m in message.mapped_stages
        ),
    )


def _text_of(fact: SeenFact | None) -> str:
    return fact.value if fact is not None and isinstance(fact.value, str) else ""


def read_confirmation(event: Received[CrmWriteConfirmed]) -> ConfirmedWrite:
    """What the CRM holds of our writes."""
    message = event.message
    return ConfirmedWrite(
        write_id=wire.required(message.write_id, "write_id"),
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        revision=message.revision,
        stage_key=wire.required(message.stage_key, "stage_key"),
        number=event.sequence,
        at=wire.moment(message.confirmed_at, "confirmed_at"),
    )


def read_refusal(message: CrmWriteParked) -> ParkedWrite:
    """What the CRM refused of our writes; without a `stage_key` when it refused answers alone."""
    return ParkedWrite(
        opportunity_id=wire.required(message.opportunity_id, "opportunity_id"),
        revision=message.revision,
        stage_key=message.stage_key,
        code=wire.required(message.code, "code"),
        reason=message.reason,
        at=wire.moment(message.parked_at, "parked_at"),
    )


def read_activity(message: ActivityObserved) -> Activity:
    """What a person did, or plans to do, about a subject."""
    directed = message.direction != activities.DIRECTION_UNSPECIFIED
    return Activity(
        subject_id=wire.required(message.record_id, "record_id"),
        activity_id=wire.required(message.activity_id, "activity_id"),
        kind=wire.word(activities.ActivityKind, message.kind, "kind"),
        done=message.done,
        withdrawn=message.withdrawn,
        inbound=directed and wire.word(activities.Direction, message.direction, "direction") == "inbound",
        occurred_at=wire.moment(message.occurred_at, "occurred_at"),
        committed_at=wire.moment(message.committed_at, "committed_at"),
        person_id=message.person_id,
    )


def read_settlement(message: ActionSettled) -> SettledAction:
    """What the connector to the CRM says of an action."""
    return SettledAction(
        action_id=wire.uuid(message.action_id, "action_id"),
        state=wire.word(settlements.Settlement, message.settlement, "settlement"),
        code=message.code,
        words=message.words,
        record_id=message.record_id,
        settled_at=wire.moment(message.settled_at, "settled_at"),
        settled_by="crm-connector",
    )


def read_reach(message: ScoringProfilePublished) -> ReachRecord:
    """The scores an assessment can give. A percentage lies between 0 and 100 unless points can be negative."""
    minimum, maximum = (
        _number(text, name) if text else None
        for text, name in ((message.reachable_min, "reachable_min"), (message.reachable_max, "reachable_max"))
    )
    if message.scale == SCALE_PERCENT:
        minimum, maximum = None if minimum is not None and minimum < 0 else Decimal(0), Decimal(100)
    return ReachRecord(
        assessment_key=message.assessment_key,
        assessment_version=message.assessment_version,
        profile_version=message.version,
        minimum=minimum,
        maximum=maximum,
        scores=tuple(sorted(_number(score, "reachable_scores") for score in message.reachable_scores)),
        template_key=message.template_key,
    )


def read_install_refusal(message: AssessmentRefused) -> InstallRefusal:
    """An assessment that was asked for and is not to be had."""
    return InstallRefusal(
        request_id=wire.uuid(message.request_id, "request_id"),
        assessment_key=wire.required(message.assessment_key, "assessment_key"),
        detail=wire.required(message.detail, "detail"),
        refused_at=wire.moment(message.refused_at, "refused_at"),
    )


def _number(text: str, field: str) -> Decimal:
    """A number that the rules engine holds exactly."""
    try:
        return exact_number(str(wire.decimal(text, field)))
    except ValueError as error:
        raise InvalidEvent("bad_decimal", f"{field} is {text!r}: {error}") from error
