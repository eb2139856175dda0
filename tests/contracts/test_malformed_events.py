"""Every reader of an event refuses what its contract does not allow, with a known code, and never fails otherwise.

Each field of each event is malformed in turn. A service that reads the field has to refuse the event, or, where the
contract lets the field be empty, to accept it. Counts and flags are left out: any number is one.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from kit.contracts.events import Event, Received, registry
from kit.errors import InvalidEvent

SERVICES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ID = UUID(int=7)

IDS = {
    "action_id", "change_id", "decision_id", "input_id", "intent_id", "profile_id", "recommendation_id", "request_id",
    "score_id", "submission_id", "transition_id", "write_id",
}  # fmt: skip
DECIMALS = {
    "decimal", "margin", "max_points", "maximum", "minimum", "number", "percent", "points", "raw_points",
    "reachable_max", "reachable_min", "reachable_scores", "score",
}  # fmt: skip
DATES = {"date"}

MAY_BE_EMPTY = {
    "ActionField": {"value"},
    "ActionRequested": {"text", "details", "person_id", "target", "fields", "due_at", "object_type"},
    "ActionSettled": {"code", "words", "record_id"},
    "ActivityObserved": {"direction", "person_id", "outcome"},
    "AssessmentPublished": {"description", "template_key"},
    "AssessmentSubmitted": {"answers", "visible_questions", "visit", "move"},
    "ChoiceList": {"keys"},
    "Contribution": {"answer"},
    "Criterion": {"help", "playbook_url", "supplied_by"},
    "CrmWriteConfirmed": {"submission_id"},
    "CrmWriteParked": {"submission_id", "stage_key", "reason"},
    "MappedStage": {"stage_key"},
    "Move": {"expected_revision", "reason_code", "text", "facts"},
    "MoveOutcome": {"refused"},
    "NearMiss": {"question_keys"},
    "RecordObserved": {
        "mapped_stages", "crm_stage", "owner_id", "facts", "changed_facts", "changed_by", "change_id",
        "in_stage_since",
    },
    "PersonObserved": {"manager_id", "identities", "change_id"},
    "PipelinePublished": {"rules", "currency", "object_type", "assessment_versions"},
    "Question": {"text", "help_text", "section", "visible_if", "minimum", "maximum"},
    "Reason": {"fact", "margin", "message", "criterion"},
    "ScoringProfilePublished": {"reachable_scores", "ceilings", "template_key"},
    "Stage": {"description", "assessment_keys", "entry", "exit"},
    "StageChanged": {
        "from_stage", "skipped_stages", "rule_id", "submission_id", "decision_id", "actor", "reason_code",
        "earned_stage", "object_type",
    },
    "StageDecided": {
        "pipeline_key", "reasons", "rule_id", "from_stage", "to_stage", "proposed_stage", "earned_stage", "margin",
        "near_misses", "submission", "change", "actor", "crm_target_stage", "crm_expected_stage", "object_type",
        "move", "waiting", "proposed", "assigned", "owed",
    },
    "StageRecommended": {"recommended_stage", "abstention_code", "probabilities"},
    "SubmissionScored": {"score", "sections", "contributions", "visit", "move"},
    "Visit": {"stage_key"},
    "WaitingMove": {"asked_by", "rule_id", "approved_by"},
}  # fmt: skip

_EVIDENCE = {
    "submission_id", "assessment_key", "scale", "reachable_max", "percent", "submitted_by",
    "contributions.question_key", "contributions.points", "contributions.max_points", "contributions.answer.choice",
    "contributions.answer.choices", "contributions.answer.number", "contributions.answer.text",
    "contributions.answer.boolean",
}  # fmt: skip

# Fields that a service still accepts malformed. Nothing may be added; what is refused is taken out.
LENIENT = {
    ("crm_connector", "AssessmentPublished"): {
        "title", "questions", "questions.key", "questions.choices", "questions.choices.key", "questions.choices.text",
    },
    ("crm_connector", "PipelinePublished"): {"name", "published_at", "stages", "stages.key", "stages.name"},
    ("crm_connector", "StageDecided"): {f"submission.{name}" for name in _EVIDENCE},
    ("crm_connector", "SubmissionScored"): _EVIDENCE,
    ("stage_engine", "ScoringProfilePublished"): {"scale", "reachable_min", "reachable_max"},
    ("stage_engine", "SubmissionScored"): {
        "profile_id", "submitted_by", "contributions.question_key", "contributions.points", "contributions.max_points",
    },
}  # fmt: skip

# What a reader may say to each malformation. A form and its answers are judged as wholes.
_WHOLE = {"bad_definition", "bad_answers"}
CODES = {
    "cleared": {"missing_field", "unknown_value", *_WHOLE},
    "no number": {"bad_decimal", *_WHOLE},
    "too large": {"bad_decimal", *_WHOLE},
    "not finite": {"bad_decimal", *_WHOLE},
    "no id": {"bad_id"},
    "no date": {"bad_date"},
    "unknown value": {"unknown_value", *_WHOLE},
    "beyond the calendar": {"bad_moment"},
}
VALUES = {
    "no number": "x",
    "too large": "1e400",
    "not finite": "NaN",
    "no id": "x",
    "no date": "x",
    "unknown value": 99,
    "beyond the calendar": Timestamp(seconds=10**17),
}


class Case(NamedTuple):
    """One field of one event, and how it is malformed."""

    event: str
    path: tuple[str, ...]
    field: FieldDescriptor
    malformation: str

    def __str__(self) -> str:
        return f"{self.event}.{'.'.join(self.path)}-{self.malformation}"

    @property
    def may_be_accepted(self) -> bool:
        """Whether the contract allows it. An id that a reader keeps as a text need not be a UUID to it."""
        assert self.field.containing_type is not None
        if self.field.containing_type.name == "Fact":
            # What cannot be read is unknown, and the rest of the event counts.
            return True
        optional = self.field.name in MAY_BE_EMPTY.get(self.field.containing_type.name, set())
        return optional if self.malformation == "cleared" else self.malformation == "no id"


def is_message(field: FieldDescriptor) -> bool:
    """Whether the field holds messages of ours; a timestamp counts as a value."""
    return field.message_type is not None and field.message_type.full_name != Timestamp.DESCRIPTOR.full_name


def malformations(field: FieldDescriptor) -> Iterator[str]:
    if field.type in (field.TYPE_STRING, field.TYPE_ENUM, field.TYPE_MESSAGE) or field.containing_oneof is not None:
        yield "cleared"
    if field.type == field.TYPE_ENUM:
        yield "unknown value"
    elif field.type == field.TYPE_MESSAGE and not is_message(field):
        yield "beyond the calendar"
    elif field.name in DECIMALS:
        yield from ("no number", "too large", "not finite")
    elif field.name in IDS:
        yield "no id"
    elif field.name in DATES:
        yield "no date"


def cases() -> Iterator[Case]:
    def of(event: str, descriptor: Any, path: tuple[str, ...], aggregate: str = "") -> Iterator[Case]:
        for field in descriptor.fields:
            # An event without the id of its aggregate does not match its key, and comes to no reader.
            if field.name == aggregate:
                continue
            here = (*path, field.name)
            yield from (Case(event, here, field, malformation) for malformation in malformations(field))
            if is_message(field):
                yield from of(event, field.message_type, here)

    for kind in registry().values():
        yield from of(kind.message.DESCRIPTOR.name, kind.message.DESCRIPTOR, (), kind.aggregate_field)


def filled(descriptor: Any, number: int = 0) -> Any:
    """A valid message with every field set; `number` chooses among the members of a oneof."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if field.containing_oneof is not None:
            members = field.containing_oneof.fields
            if members[number % len(members)].name != field.name:
                continue
        value = _value(field, number)
        if field.is_repeated:
            several = [_value(field, n) for n in range(5)] if is_message(field) else [value]
            getattr(message, field.name).extend(several)
        elif isinstance(value, Message):
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    if descriptor.name == "Question":
        _make_plausible(message, number)
    return message


def _value(field: FieldDescriptor, number: int) -> Any:
    if is_message(field):
        return filled(field.message_type, number)
    if field.type == field.TYPE_MESSAGE:
        stamp = Timestamp()
        stamp.FromDatetime(MOMENT)
        return stamp
    if field.type == field.TYPE_STRING:
        if field.name in DATES:
            return "2026-06-30"
        return str(ID) if field.name in IDS else "70" if field.name in DECIMALS else f"{field.name}_{number}"
    return True if field.type == field.TYPE_BOOL else 1


def _make_plausible(question: Any, number: int) -> None:
    """A choice question with choices, or a number with bounds, that is always visible."""
    for name in ("visible_if", "max_choices", "max_length"):
        question.ClearField(name)
    if number:
        question.type = 3
        question.ClearField("choices")
    else:
        question.ClearField("minimum")
        question.ClearField("maximum")


def malformed(case: Case) -> Message:
    (kind,) = [kind for kind in registry().values() if kind.message.DESCRIPTOR.name == case.event]
    message = filled(kind.message.DESCRIPTOR)
    for holder in _holders(message, case.path[:-1]):
        name, field = case.path[-1], case.field
        if not dict((each.name, value) for each, value in holder.ListFields()).get(name):
            continue
        if case.malformation == "cleared":
            holder.ClearField(name)
        elif field.is_repeated:
            getattr(holder, name)[0] = VALUES[case.malformation]
        elif isinstance(value := VALUES[case.malformation], Message):
            getattr(holder, name).CopyFrom(value)
        else:
            setattr(holder, name, value)
    return message


def _holders(message: Any, path: tuple[str, ...]) -> list[Any]:
    holders = [message]
    for name in path:
        found = [getattr(holder, name) for holder in holders]
        holders = [each for held in found for each in ([held] if isinstance(held, Message) else held)]
    return holders


class Watched:
    """A message that notes which of its fields are read."""

    def __init__(self, message: Any, read: set[tuple[str, ...]], path: tuple[str, ...] = ()) -> None:
        self._message, self._read, self._path = message, read, path

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._message, name)
        field = self._message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            return value
        here = (*self._path, name)
        self._read.add(here)
        if not is_message(field):
            return value
        return [Watched(each, self._read, here) for each in value] if field.is_repeated else self._watched(value, here)

    def _watched(self, value: Any, here: tuple[str, ...]) -> "Watched":
        return Watched(value, self._read, here)

    def HasField(self, name: str) -> bool:
        self._read.add((*self._path, name))
        return self._message.HasField(name)

    def WhichOneof(self, name: str) -> str | None:
        members = self._message.DESCRIPTOR.oneofs_by_name[name].fields
        self._read.update((*self._path, member.name) for member in members)
        return self._message.WhichOneof(name)


@lru_cache
def readers(service: str) -> dict[str, list[Callable[[Any], object]]]:
    """The functions of a service's `messages.py` that read an event, by the event's name."""
    found: dict[str, list[Callable[[Any], object]]] = {}
    for name, function in inspect.getmembers(importlib.import_module(f"{service}.messages"), inspect.isfunction):
        if not name.startswith("read_"):
            continue
        first, *others = get_type_hints(function).items()
        kind = get_args(first[1])[0] if get_origin(first[1]) is Received else first[1]
        given = {
            parameter: {str: "x", int: 1, datetime: MOMENT}[hint] for parameter, hint in others if parameter != "return"
        }
        wrap = received if get_origin(first[1]) is Received else lambda message: message

        def read(message: Any, function: Any = function, wrap: Any = wrap, given: Any = given) -> object:
            return function(wrap(message), **given)

        found.setdefault(kind.DESCRIPTOR.name, []).append(read)
    return found


def received(message: Any) -> Received[Any]:
    raw = message._message if isinstance(message, Watched) else message
    event = Event("acme", raw, 1)
    return Received(event.id, "acme", message, 1, MOMENT, "", event.record("test"), 0, 0)


@lru_cache
def fields_read(service: str, event: str) -> frozenset[tuple[str, ...]]:
    """Paths of the fields that a service reads of a well-formed event."""
    (kind,) = [kind for kind in registry().values() if kind.message.DESCRIPTOR.name == event]
    read: set[tuple[str, ...]] = set()
    for reader in readers(service).get(event, []):
        reader(Watched(filled(kind.message.DESCRIPTOR), read))
    return frozenset(read)


def code_of(service: str, event: str, message: Message) -> str | None:
    """The code with which a service refuses the event; None when it accepts it. Any other error is the test's."""
    try:
        for reader in readers(service)[event]:
            reader(message)
    except InvalidEvent as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_every_reader_refuses_what_the_contract_does_not_allow(case: Case) -> None:
    message = malformed(case)
    verdicts = {
        service: code_of(service, case.event, message) for service in SERVICES if case.event in readers(service)
    }
    for service, code in verdicts.items():
        said = f"{service} says {code}"
        assert code is None or code in CODES[case.malformation], said
        if case.path not in fields_read(service, case.event):
            continue
        if case.malformation == "cleared" and case.may_be_accepted:
            assert code is None, said
        elif not case.may_be_accepted:
            lenient = ".".join(case.path) in LENIENT.get((service, case.event), set())
            assert code is not None or lenient, said


@pytest.mark.parametrize("service", SERVICES)
def test_a_well_formed_event_is_accepted_by_every_reader(service: str) -> None:
    for name in readers(service):
        (kind,) = [kind for kind in registry().values() if kind.message.DESCRIPTOR.name == name]
        assert code_of(service, name, filled(kind.message.DESCRIPTOR)) is None
    assert readers(service)
