"""The form a rep fills in, and its two outside shapes: the published event and plain JSON.

Points are never part of a form; they stand in the scoring profile.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from stagecraft.assessment.v1 import assessment_published_pb2 as pb


class QuestionType(StrEnum):
    SINGLE_CHOICE = "single_choice"
    MULTIPLE_CHOICE = "multiple_choice"
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"


CHOICE_TYPES = frozenset({QuestionType.SINGLE_CHOICE, QuestionType.MULTIPLE_CHOICE})


@dataclass(frozen=True, slots=True)
class Choice:
    key: str
    text: str
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Bounds of a number are inclusive; `max_choices` and `max_length` 0 mean no own limit."""

    key: str
    text: str
    type: QuestionType
    required: bool = False
    help_text: str = ""
    section: str = ""
    choices: tuple[Choice, ...] = ()
    visible_if: str = ""
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    max_choices: int = 0
    max_length: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """One version of an assessment, immutable once published."""

    key: str
    version: int
    title: str
    description: str
    questions: tuple[Question, ...]

    def question(self, key: str) -> Question | None:
        return next((question for question in self.questions if question.key == key), None)


_TYPE_TO_PROTO = {
    QuestionType.SINGLE_CHOICE: pb.QUESTION_TYPE_SINGLE_CHOICE,
    QuestionType.MULTIPLE_CHOICE: pb.QUESTION_TYPE_MULTIPLE_CHOICE,
    QuestionType.NUMBER: pb.QUESTION_TYPE_NUMBER,
    QuestionType.TEXT: pb.QUESTION_TYPE_TEXT,
    QuestionType.BOOLEAN: pb.QUESTION_TYPE_BOOLEAN,
}
_TYPE_FROM_PROTO = {number: type_ for type_, number in _TYPE_TO_PROTO.items()}


def plain(number: Decimal) -> str:
    """A finite number in plain notation without trailing zeros: one text per value, never rounded."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _bound_text(bound: Decimal | None) -> str:
    return "" if bound is None else plain(bound)


def _bound(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def form_from_event(event: pb.AssessmentPublished) -> Form:
    """The form a published event carries.

    Raises ValueError for a question type this version does not know, and decimal.InvalidOperation for a
    bound that is not a number.
    """
    return Form(
        key=event.assessment_key,
        version=event.version,
        title=event.title,
        description=event.description,
        questions=tuple(_question_from_proto(question) for question in event.questions),
    )


def _question_from_proto(question: pb.Question) -> Question:
    if question.type not in _TYPE_FROM_PROTO:
        raise ValueError(f"question {question.key!r} has unknown type {question.type}")
    return Question(
        key=question.key,
        text=question.text,
        type=_TYPE_FROM_PROTO[question.type],
        required=question.required,
        help_text=question.help_text,
        section=question.section,
        choices=tuple(Choice(choice.key, choice.text, choice.exclusive) for choice in question.choices),
        visible_if=question.visible_if,
        minimum=_bound(question.minimum),
        maximum=_bound(question.maximum),
        max_choices=question.max_choices,
        max_length=question.max_length,
    )


def questions_to_proto(questions: Iterable[Question]) -> list[pb.Question]:
    return [
        pb.Question(
            key=question.key,
            text=question.text,
            type=_TYPE_TO_PROTO[question.type],
            required=question.required,
            help_text=question.help_text,
            section=question.section,
            choices=[
                pb.Choice(key=choice.key, text=choice.text, exclusive=choice.exclusive) for choice in question.choices
            ],
            visible_if=question.visible_if,
            minimum=_bound_text(question.minimum),
            maximum=_bound_text(question.maximum),
            max_choices=question.max_choices,
            max_length=question.max_length,
        )
        for question in questions
    ]


def form_to_event_fields(form: Form) -> dict[str, Any]:
    """The fields of AssessmentPublished that a form determines; status and time are the publisher's."""
    return {
        "assessment_key": form.key,
        "version": form.version,
        "title": form.title,
        "description": form.description,
        "questions": questions_to_proto(form.questions),
        "definition_hash": definition_hash(form),
    }


def form_to_json(form: Form) -> dict[str, Any]:
    """The form as plain JSON, every field present, bounds as decimal strings or null."""
    return {
        "key": form.key,
        "version": form.version,
        "title": form.title,
        "description": form.description,
        "questions": [_question_to_json(question) for question in form.questions],
    }


def _question_to_json(question: Question) -> dict[str, Any]:
    return {
        "key": question.key,
        "text": question.text,
        "type": question.type.value,
        "required": question.required,
        "help_text": question.help_text,
        "section": question.section,
        "choices": [
            {"key": choice.key, "text": choice.text, "exclusive": choice.exclusive} for choice in question.choices
        ],
        "visible_if": question.visible_if,
        "minimum": _bound_text(question.minimum) or None,
        "maximum": _bound_text(question.maximum) or None,
        "max_choices": question.max_choices,
        "max_length": question.max_length,
    }


def form_from_json(document: Mapping[str, Any], version: int) -> Form:
    """The form in a stored document or a template; fields that are absent take their defaults.

    The document is trusted: it was written by `form_to_json` or checked at the edge.
    """
    return Form(
        key=document["key"],
        version=version,
        title=document["title"],
        description=document.get("description", ""),
        questions=tuple(_question_from_json(question) for question in document["questions"]),
    )


def _question_from_json(question: Mapping[str, Any]) -> Question:
    minimum, maximum = question.get("minimum"), question.get("maximum")
    return Question(
        key=question["key"],
        text=question["text"],
        type=QuestionType(question["type"]),
        required=question.get("required", False),
        help_text=question.get("help_text", ""),
        section=question.get("section", ""),
        choices=tuple(
            Choice(choice["key"], choice["text"], choice.get("exclusive", False))
            for choice in question.get("choices", ())
        ),
        visible_if=question.get("visible_if", ""),
        minimum=None if minimum is None else Decimal(str(minimum)),
        maximum=None if maximum is None else Decimal(str(maximum)),
        max_choices=question.get("max_choices", 0),
        max_length=question.get("max_length", 0),
    )


def definition_hash(form: Form) -> str:
    """SHA-256 of the form's canonical JSON, hexadecimal: what a device proves it answered.

    Canonical means sorted keys, no spaces, UTF-8, and bounds by `plain`, so that the hash survives the way
    through an event or a database.
    """
    canonical = json.dumps(form_to_json(form), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
