"""Whether answers fit their form, and how a capture is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from forms.answers import AnswerMalformed, Value, parse_number
from forms.check import check
from forms.definition import Form, QuestionType
from forms.steps import TooManySteps


@dataclass(frozen=True, slots=True)
class Fault:
    """One answer that is refused; path leads to it inside the capture."""

    path: tuple[str, ...]
    code: str
    message: str


class CaptureRefused(Exception):
    """The capture is not accepted. facts are what a client needs to correct it, such as both hashes of a mismatch."""

    def __init__(
        self, code: str, detail: str, faults: tuple[Fault, ...] = (), facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = faults
        self.facts = dict(facts or {})


def checked_answers(form: Form, raw: Mapping[str, Any]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """The answers by question, and the questions that they show. Refused as validation_failed or too_complex."""
    answers = typed_answers(form, raw)
    try:
        checked = check(form, answers)
    except TooManySteps:
        detail = "These answers take too long to check against the conditions of their form. Send shorter ones."
        raise CaptureRefused("too_complex", detail) from None
    if checked.problems:
        faults = tuple(Fault(("answers", p.question_key), p.code, p.message) for p in checked.problems)
        many = (
            f"{len(faults)} answers break rules of their questions" if len(faults) > 1 else "One answer breaks a rule"
        )
        raise CaptureRefused("validation_failed", f"{many}; errors says which and what is allowed.", faults)
    return answers, checked.visible


def typed_answers(form: Form, raw: Mapping[str, Any]) -> dict[str, Value]:
    """JSON answers as the values that conditions and checks understand: a number may come as a decimal string, and null
    is no answer.

    What fits no question is passed on as it is, for the check to name it.
    """
    types = {question.key: question.type for question in form.questions}
    return {key: _typed(types.get(key), value) for key, value in raw.items() if value is not None}


def _typed(kind: QuestionType | None, value: Any) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return Decimal(str(value))
    if isinstance(value, list):
        return tuple(value)
    if kind is QuestionType.NUMBER:
        try:
            return parse_number(value)
        except AnswerMalformed:
            return value
    return value
