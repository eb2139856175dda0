"""The form a rep fills in, and its plain JSON. `messages.py` has its shape as an event.

Points are never part of a form: they are in the scoring profile.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from kit.numbers import plain


class QuestionType(StrEnum):
    SINGLE_CHOICE = "single_choice"
    MULTIPLE_CHOICE = "multiple_choice"
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"


# The CRM keeps an answer under its question's key, in a field of this width.
MAX_QUESTION_KEY = 80
MAX_CHOICE_KEY = 100
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


def bound_text(bound: Decimal | None) -> str:
    """The bound in plain notation; empty when there is none."""
    return "" if bound is None else plain(bound)


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
        "minimum": bound_text(question.minimum) or None,
        "maximum": bound_text(question.maximum) or None,
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
