"""Which questions are visible for some answers, and what is wrong with the answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from forms.answers import MAX_NUMBER_LENGTH, Answers, Value, is_answered
from forms.conditions import parse
from forms.definition import Form, Question, QuestionType
from forms.evaluation import holds

# The platform's limit for a text whose question sets none.
MAX_TEXT_LENGTH = 10_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class AnswerProblem:
    """Why one answer is refused.

    `code` is one of unknown_question, wrong_type, unknown_choice, required_missing, out_of_range,
    too_many_choices, exclusive_choice, too_long, bad_text.
    """

    question_key: str
    code: str
    message: str


def visible_questions(form: Form, answers: Answers) -> tuple[str, ...]:
    """Keys of the questions these answers make visible, in the form's order.

    The answer to a hidden question does not count in later conditions. Raises ConditionSyntaxError for a form
    that `lint` would have refused.
    """
    visible: list[str] = []
    counted: dict[str, Value] = {}
    for question in form.questions:
        if question.visible_if and not holds(parse(question.visible_if), counted):
            continue
        visible.append(question.key)
        if question.key in answers:
            counted[question.key] = answers[question.key]
    return tuple(visible)


def check_answers(form: Form, answers: Answers) -> list[AnswerProblem]:
    """Everything wrong with the answers; empty when they may be submitted.

    Answers to hidden questions are no problem, unless they cannot be stored as text.
    """
    questions = {question.key: question for question in form.questions}
    problems = [
        AnswerProblem(key, "unknown_question", "the assessment has no such question")
        for key in answers
        if key not in questions
    ]
    problems += [
        AnswerProblem(key, "bad_text", "the text holds a NUL or half of a surrogate pair")
        for key, value in answers.items()
        if not all(map(_storable, (key, *_texts(value))))
    ]
    visible = visible_questions(form, answers)
    for key in visible:
        problems += _question_problems(questions[key], answers.get(key))
    return problems


def _texts(value: Value) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) else ()


def _storable(text: str) -> bool:
    return _UNSTORABLE.search(text) is None


def _question_problems(question: Question, value: Value | None) -> Iterator[AnswerProblem]:
    if value is None or not is_answered(value):
        if question.required:
            yield AnswerProblem(question.key, "required_missing", "an answer is required")
        return
    match question.type, value:
        case QuestionType.SINGLE_CHOICE, str():
            yield from _choice_problems(question, (value,))
        case QuestionType.MULTIPLE_CHOICE, tuple():
            yield from _choice_problems(question, value)
        case QuestionType.NUMBER, Decimal():
            yield from _number_problems(question, value)
        case QuestionType.TEXT, str():
            limit = question.max_length or MAX_TEXT_LENGTH
            if len(value) > limit:
                yield AnswerProblem(question.key, "too_long", f"a text of at most {limit} characters is allowed")
        case QuestionType.BOOLEAN, bool():
            pass
        case _:
            yield AnswerProblem(question.key, "wrong_type", f"a {question.type.value} question cannot have this value")


def _choice_problems(question: Question, taken: tuple[str, ...]) -> Iterator[AnswerProblem]:
    choices = {choice.key: choice for choice in question.choices}
    if any(key not in choices for key in taken):
        yield AnswerProblem(question.key, "unknown_choice", "the question has no such choice")
        return
    if len(set(taken)) < len(taken):
        yield AnswerProblem(question.key, "too_many_choices", "a choice is taken twice")
    if question.max_choices and len(taken) > question.max_choices:
        yield AnswerProblem(question.key, "too_many_choices", f"at most {question.max_choices} choices may be taken")
    if len(taken) > 1 and any(choices[key].exclusive for key in taken):
        yield AnswerProblem(question.key, "exclusive_choice", "a choice is taken that excludes the others")


def _number_problems(question: Question, value: Decimal) -> Iterator[AnswerProblem]:
    if not value.is_finite() or not _is_short(value):
        yield AnswerProblem(question.key, "out_of_range", f"a number of at most {MAX_NUMBER_LENGTH} digits is allowed")
    elif question.minimum is not None and value < question.minimum:
        yield AnswerProblem(question.key, "out_of_range", f"the least allowed is {question.minimum:f}")
    elif question.maximum is not None and value > question.maximum:
        yield AnswerProblem(question.key, "out_of_range", f"the most allowed is {question.maximum:f}")


def _is_short(value: Decimal) -> bool:
    # The exponent is checked first, because writing 1E+1000000 in full would take all memory.
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > MAX_NUMBER_LENGTH or len(digits) > MAX_NUMBER_LENGTH:
        return False
    return len(format(value, "f")) <= MAX_NUMBER_LENGTH
