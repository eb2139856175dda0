"""Whether a condition holds for answers: exactly as survey-core decides it in the browser.

Every rule here has its twin in survey-core, and `tests/forms/test_surveyjs.py` compares the two on generated conditions
and answers. So an answer that reads as a number is one, texts are equal regardless of case and outer spaces, and lists
are equal regardless of order. Nothing raises for any type of answer, save TooManySteps.
"""

import math
from collections.abc import Callable
from decimal import Decimal

from forms.answers import Answers
from forms.comparison import COMPARE, is_empty
from forms.conditions import (
    And,
    Comparison,
    Condition,
    Emptiness,
    Literal,
    Not,
    Operand,
    Or,
    Reference,
    Truth,
)
from forms.javascript import Value, loosely_equal, number, parse_float, parse_int, trim, truthy
from forms.steps import Steps, cost, size_of

_LONGEST_HEXADECIMAL = 32
_LONGEST_DIGITS = 15
_OPERATOR_SIGNS = "*^/%"
_QUOTES = "'\""


def holds(condition: Condition, answers: Answers, steps: Steps | None = None) -> bool:
    """Whether the condition holds. TooManySteps when it costs more than is left."""
    return loosely_equal(_value(condition, answers, steps or Steps()), True)


def _value(condition: Condition, answers: Answers, steps: Steps) -> Value:
    match condition:
        case And(parts):
            return _folded(_both, [_value(part, answers, steps) for part in parts])
        case Or(parts):
            return _folded(_either, [_value(part, answers, steps) for part in parts])
        case Not(part):
            return not truthy(_value(part, answers, steps))
        case Emptiness(operand, empty):
            steps.spend(1)
            return is_empty(_resolve(operand, answers)) is empty
        case Truth(operand):
            steps.spend(1)
            return _resolve(operand, answers)
        case Comparison(operator, left, right):
            one, other = _resolve(left, answers), _resolve(right, answers)
            steps.spend(cost(operator, size_of(one), size_of(other)))
            return COMPARE[operator](one, other)


def _folded(fold: Callable[[Value, Value], Value], values: list[Value]) -> Value:
    result = values[0]
    for value in values[1:]:
        result = fold(result, value)
    return result


def _both(left: Value, right: Value) -> Value:
    left, right = _converted(left, right)
    return right if truthy(left) else left


def _either(left: Value, right: Value) -> Value:
    left, right = _converted(left, right)
    return left if truthy(left) else right


def _converted(left: Value, right: Value) -> tuple[Value, Value]:
    left = _stand_in(left, right)
    return left, _stand_in(right, left)


def _stand_in(value: Value, other: Value) -> Value:
    """What an empty side of `and` and `or` counts as: it depends on the other side."""
    if not is_empty(value):
        return value
    if isinstance(other, float):
        return 0.0
    if isinstance(value, str):
        return value
    if isinstance(other, str):
        return ""
    return () if isinstance(other, tuple) else 0.0


def _resolve(operand: Operand, answers: Answers) -> Value:
    if isinstance(operand, Reference):
        answer = answers.get(operand.question_key)
        return _answer(answer) if isinstance(answer, str) else plain_value(answer)
    return plain_value(operand)


def plain_value(value: Literal | None) -> Value:
    """A value of a condition as JavaScript has it: without decimals."""
    if isinstance(value, tuple):
        return tuple(float(item) if isinstance(item, Decimal) else item for item in value)
    return _float(value) if isinstance(value, Decimal) else value


def _float(value: Decimal) -> float:
    return math.nan if value.is_snan() else float(value)


def _answer(given: str) -> Value:
    """An answer that reads as a boolean, a quoted text or a number is one."""
    if given.lower() in ("true", "false"):
        return given.lower() == "true"
    if len(given) > 1 and given[0] in _QUOTES and given[-1] in _QUOTES:
        return given[1:-1]
    found = _number_in(given)
    if math.isnan(found):
        return given
    # "007" stays a text, "0.7" and "0x7" do not.
    return given if given[0] == "0" and given[1:2] not in ("", ".", ",", "x") else found


def _number_in(given: str) -> float:
    trimmed = trim(given)
    if not trimmed:
        return math.nan
    if trimmed.startswith("0x"):
        return parse_int(trimmed) if len(trimmed) <= _LONGEST_HEXADECIMAL else math.nan
    if len(trimmed) > _LONGEST_DIGITS and trimmed.isascii() and trimmed.isdecimal():
        return math.nan
    signed = trimmed.rfind("-") > 0 or trimmed.rfind("+") > 0
    if not signed and any(sign in trimmed for sign in _OPERATOR_SIGNS):
        return math.nan
    if trimmed.count(",") == 1:
        trimmed = trimmed.replace(",", ".")
    return parse_float(trimmed) if math.isfinite(number(trimmed)) else math.nan


def number_of(literal: Literal) -> Decimal | None:
    """The number that equals this literal in a comparison with a number, or None when there is none."""
    if isinstance(literal, Decimal):
        return literal
    if isinstance(literal, tuple) or literal == "":
        return None
    found = number(plain_value(literal))
    return Decimal(repr(found)) if math.isfinite(found) else None
