"""Forms and answers as they travel in events: the only module here that knows the generated contracts."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from stagecraft.assessment.v1 import assessment_published_pb2 as pb
from stagecraft.common.v1 import answer_pb2 as answers_pb

from forms.answers import AnswerMalformed, Answers, Value, parse_number
from forms.definition import Choice, Form, Question, QuestionType, bound_text, definition_hash

_TYPE_TO_PROTO = {
    QuestionType.SINGLE_CHOICE: pb.QUESTION_TYPE_SINGLE_CHOICE,
    QuestionType.MULTIPLE_CHOICE: pb.QUESTION_TYPE_MULTIPLE_CHOICE,
    QuestionType.NUMBER: pb.QUESTION_TYPE_NUMBER,
    QuestionType.TEXT: pb.QUESTION_TYPE_TEXT,
    QuestionType.BOOLEAN: pb.QUESTION_TYPE_BOOLEAN,
}
_TYPE_FROM_PROTO = {number: type_ for type_, number in _TYPE_TO_PROTO.items()}


def form_from_event(event: pb.AssessmentPublished) -> Form:
    """The form a published event carries.

    Raises ValueError for a question type that this version does not know, and for a bound that is not a plain number.
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
            minimum=bound_text(question.minimum),
            maximum=bound_text(question.maximum),
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


def _bound(text: str) -> Decimal | None:
    return parse_number(text) if text else None


def answers_from_proto(answers: Iterable[answers_pb.Answer]) -> dict[str, Value]:
    """The answers of an event by question key; raises AnswerMalformed."""
    values: dict[str, Value] = {}
    for answer in answers:
        if not answer.question_key:
            raise AnswerMalformed("an answer has no question")
        if answer.question_key in values:
            raise AnswerMalformed(f"question {answer.question_key!r} is answered twice")
        values[answer.question_key] = _value(answer)
    return values


def _value(answer: answers_pb.Answer) -> Value:
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


def answers_to_proto(form: Form, answers: Answers) -> list[answers_pb.Answer]:
    """The answers in the order of the form's questions; answers to questions it does not have are left out.

    The answers must have passed `check_answers`: a value is written in the field of its question's type.
    """
    return [
        answer_to_proto(question.key, question.type, answers[question.key])
        for question in form.questions
        if question.key in answers
    ]


def answer_to_proto(question_key: str, question_type: QuestionType, value: Value) -> answers_pb.Answer:
    match value:
        case bool():
            return answers_pb.Answer(question_key=question_key, boolean=value)
        case Decimal():
            return answers_pb.Answer(question_key=question_key, number=format(value, "f"))
        case tuple():
            return answers_pb.Answer(question_key=question_key, choices=answers_pb.ChoiceList(keys=value))
        case str() if question_type is QuestionType.SINGLE_CHOICE:
            return answers_pb.Answer(question_key=question_key, choice=value)
        case str():
            return answers_pb.Answer(question_key=question_key, text=value)
