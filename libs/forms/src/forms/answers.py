"""Answers by question key, and their way to and from the events' `Answer`."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from stagecraft.common.v1 import answer_pb2 as pb

from forms.definition import Form, QuestionType

# A choice's key or a text; the keys of all choices taken; a number; yes or no.
Value = str | tuple[str, ...] | Decimal | bool
Answers = Mapping[str, Value]

MAX_NUMBER_LENGTH = 40
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


class AnswerMalformed(ValueError):
    """An answer that no question could have: without a value, given twice, or not a plain decimal number."""


def is_answered(value: Value | None) -> bool:
    """Whether a value counts as an answer: blank text and an empty selection do not."""
    if value is None or value == ():
        return False
    return bool(value.strip()) if isinstance(value, str) else True


def parse_number(text: str) -> Decimal:
    """A number in plain notation of at most 40 characters; raises AnswerMalformed for anything else."""
    if len(text) > MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        raise AnswerMalformed("a number must be in plain decimal notation, such as 12.50")
    return Decimal(text)


def answers_from_proto(answers: Iterable[pb.Answer]) -> dict[str, Value]:
    """The answers of an event by question key; raises AnswerMalformed."""
    values: dict[str, Value] = {}
    for answer in answers:
        if answer.question_key in values:
            raise AnswerMalformed(f"question {answer.question_key!r} is answered twice")
        values[answer.question_key] = _value(answer)
    return values


def _value(answer: pb.Answer) -> Value:
    match answer.WhichOneof("value"):
        case "choice":
            return answer.choice
        case "choices":
            return tuple(answer.choices.keys)
        case "number":
            return parse_number(answer.number)
        case "text":
            return answer.text
        case "boolean":
            return answer.boolean
        case _:
            raise AnswerMalformed(f"the answer to {answer.question_key!r} has no value")


def answers_to_proto(form: Form, answers: Answers) -> list[pb.Answer]:
    """The answers in the order of the form's questions; answers to questions it does not have are left out.

    The answers must have passed `check_answers`: a value is written in the field of its question's type.
    """
    return [
        answer_to_proto(question.key, question.type, answers[question.key])
        for question in form.questions
        if question.key in answers
    ]


def answer_to_proto(question_key: str, question_type: QuestionType, value: Value) -> pb.Answer:
    match value:
        case bool():
            return pb.Answer(question_key=question_key, boolean=value)
        case Decimal():
            return pb.Answer(question_key=question_key, number=format(value, "f"))
        case tuple():
            return pb.Answer(question_key=question_key, choices=pb.ChoiceList(keys=value))
        case str() if question_type is QuestionType.SINGLE_CHOICE:
            return pb.Answer(question_key=question_key, choice=value)
        case str():
            return pb.Answer(question_key=question_key, text=value)
