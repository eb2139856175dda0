"""Which questions are visible for some answers, and what is wrong with the answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from forms.answers import MAX_NUMBER_LENGTH, Answers, Value, is_answered
from forms.conditions import parse
from forms.definition import MAX_CHOICE_KEY, Form, Question, QuestionType
from forms.evaluation import holds
from forms.findings import listed
from forms.steps import Steps

# The platform's limit for a text whose question sets none.
MAX_TEXT_LENGTH = 10_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_EXPECTED = {
    QuestionType.SINGLE_CHOICE: "The answer is the key of one choice.",
    QuestionType.MULTIPLE_CHOICE: "The answer is a list of keys of choices.",
    QuestionType.NUMBER: "The answer is a number, such as 12.50.",
    QuestionType.TEXT: "The answer is a text.",
    QuestionType.BOOLEAN: "The answer is true or false.",
}


@dataclass(frozen=True, slots=True)
class AnswerProblem:
    """Why one answer is refused.

    `code` is one of unknown_question, wrong_type, unknown_choice, required_missing, out_of_range,
    too_many_choices, exclusive_choice, too_long, bad_text.
    """

    question_key: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a form makes of answers: the keys of the questions that are visible, and what is wrong."""

    visible: tuple[str, ...]
    problems: tuple[AnswerProblem, ...]


def visible_questions(form: Form, answers: Answers) -> tuple[str, ...]:
    """Keys of the questions these answers make visible, in the form's order.

    An answer that is refused does not count in later conditions, nor does the answer to a hidden question. Raises
    ConditionSyntaxError or TooManySteps for a form that `lint` would have refused.
    """
    return check(form, answers).visible


def check_answers(form: Form, answers: Answers) -> list[AnswerProblem]:
    """Everything wrong with the answers; empty when they may be submitted."""
    return list(check(form, answers).problems)


def check(form: Form, answers: Answers) -> Checked:
    """Goes through the form once, from the first question to the last. An answer is checked before any condition looks
    at it, so that conditions see only what their form allows.

    Answers to hidden questions are no problem, unless they cannot be stored as text.
    """
    problems: list[AnswerProblem] = []
    visible: list[str] = []
    # survey-core has an empty list for a multiple choice without an answer, where other questions have nothing.
    counted: dict[str, Value] = {each.key: () for each in form.questions if each.type is QuestionType.MULTIPLE_CHOICE}
    known: set[str] = set()
    steps = Steps()
    for question in form.questions:
        key = question.key
        known.add(key)
        if question.visible_if and not holds(parse(question.visible_if), counted, steps):
            continue
        visible.append(key)
        found = list(_question_problems(question, answers.get(key)))
        problems += found
        if key in answers and not found:
            counted[key] = answers[key]
    for key, value in answers.items():
        if key not in known:
            problems.append(AnswerProblem(key, "unknown_question", "The assessment has no question with this key."))
        elif not all(map(storable, _texts(value))):
            problems.append(
                AnswerProblem(key, "bad_text", "The text must not contain U+0000 or half of a surrogate pair.")
            )
    return Checked(tuple(visible), tuple(problems))


def _texts(value: Value) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) else ()


def storable(text: str) -> bool:
    """Whether a database and JSON can hold the text: it has no NUL, and no half of a surrogate pair."""
    return _UNSTORABLE.search(text) is None


def _question_problems(question: Question, value: Value | None) -> Iterator[AnswerProblem]:
    if value is None or not is_answered(value):
        if question.required:
            yield AnswerProblem(question.key, "required_missing", "An answer is required.")
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
                message = f"At most {limit} characters are allowed; these are {len(value)}."
                yield AnswerProblem(question.key, "too_long", message)
        case QuestionType.BOOLEAN, bool():
            pass
        case _:
            yield AnswerProblem(question.key, "wrong_type", _EXPECTED[question.type])


def _choice_problems(question: Question, taken: tuple[str, ...]) -> Iterator[AnswerProblem]:
    choices = {choice.key: choice for choice in question.choices}
    unknown = next((key for key in taken if key not in choices), None)
    if unknown is not None:
        message = f"There is no choice {unknown[:MAX_CHOICE_KEY]!r}. The choices are {listed(choices)}."
        yield AnswerProblem(question.key, "unknown_choice", message)
        return
    if len(set(taken)) < len(taken):
        yield AnswerProblem(question.key, "too_many_choices", "Each choice may be taken once only.")
    if question.max_choices and len(taken) > question.max_choices:
        message = f"At most {question.max_choices} choices may be taken; these are {len(taken)}."
        yield AnswerProblem(question.key, "too_many_choices", message)
    alone = [key for key in taken if choices[key].exclusive]
    if len(taken) > 1 and alone:
        yield AnswerProblem(question.key, "exclusive_choice", f"{alone[0]!r} excludes every other choice.")


def _number_problems(question: Question, value: Decimal) -> Iterator[AnswerProblem]:
    if not value.is_finite() or not _is_short(value):
        yield AnswerProblem(question.key, "out_of_range", f"A number has at most {MAX_NUMBER_LENGTH} digits.")
    elif question.minimum is not None and value < question.minimum:
        yield AnswerProblem(question.key, "out_of_range", f"The least allowed is {question.minimum:f}.")
    elif question.maximum is not None and value > question.maximum:
        yield AnswerProblem(question.key, "out_of_range", f"The most allowed is {question.maximum:f}.")


def _is_short(value: Decimal) -> bool:
    # The exponent is checked first, because writing 1E+1000000 in full would take all memory.
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or abs(exponent) > MAX_NUMBER_LENGTH or len(digits) > MAX_NUMBER_LENGTH:
        return False
    return len(format(value, "f")) <= MAX_NUMBER_LENGTH
