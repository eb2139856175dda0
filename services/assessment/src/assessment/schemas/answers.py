"""Answers as JSON: checked for kind and size before anything else is made of them."""

import math
from typing import Annotated, Any

from forms.check import MAX_TEXT_LENGTH, storable
from forms.definition import MAX_CHOICE_KEY, MAX_QUESTION_KEY
from kit.http.texts import refusal
from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from assessment.schemas.authoring import MAX_CHOICES, MAX_QUESTIONS

# Of all answers to one assessment. The events that carry them on have room for as much.
MAX_CHARACTERS = 100_000
MAX_DIGITS = 40
_KINDS = (
    "An answer is a choice's key, a list of such keys, a number, a text, true or false; null leaves it unanswered. "
    f"A text has at most {MAX_TEXT_LENGTH} characters, a key {MAX_CHOICE_KEY}, a list {MAX_CHOICES} keys, "
    f"a number {MAX_DIGITS} digits."
)

_UNSTORABLE = "The text must not contain U+0000 or half of a surrogate pair."


def _answer(value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    if not all(storable(text) for text in texts if isinstance(text, str)):
        raise refusal("bad_text", _UNSTORABLE)
    match value:
        case None | bool():
            return value
        case str() if len(value) <= MAX_TEXT_LENGTH:
            return value
        case int() if abs(value) < 10**MAX_DIGITS:
            return value
        case float() if math.isfinite(value):
            return value
        case list() if len(value) <= MAX_CHOICES and all(map(_is_key, value)):
            return value
    raise refusal("bad_answer", _KINDS)


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_CHOICE_KEY


def _together(answers: dict[str, Any]) -> dict[str, Any]:
    if not all(map(storable, answers)):
        raise refusal("bad_text", _UNSTORABLE)
    length = sum(sum(map(len, value)) if isinstance(value, list) else len(str(value)) for value in answers.values())
    if length > MAX_CHARACTERS:
        message = f"All answers together have at most {MAX_CHARACTERS} characters; these have {length}."
        raise refusal("answers_too_large", message)
    return answers


_SCHEMA = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "number"},
        {"type": "string", "maxLength": MAX_TEXT_LENGTH},
        {"type": "array", "items": {"type": "string", "maxLength": MAX_CHOICE_KEY}, "maxItems": MAX_CHOICES},
        {"type": "null"},
    ]
}
Answer = Annotated[Any, PlainValidator(_answer), WithJsonSchema(_SCHEMA)]
Answers = Annotated[
    dict[Annotated[str, Field(max_length=MAX_QUESTION_KEY)], Answer],
    Field(
        max_length=MAX_QUESTIONS,
        description="by question key: a choice's key, a list of them, a number (or decimal text), a text, a boolean",
    ),
    AfterValidator(_together),
]
