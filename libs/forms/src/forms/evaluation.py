"""Whether a condition holds for answers, as SurveyJS would say in the browser.

A missing answer makes `=`, `<`, `>`, `contains`, `anyof` and `allof` false against any value; `!=`,
`notcontains` and `noneof` are exact complements and so true. Texts are equal regardless of case and outer
spaces; texts that are numbers compare as numbers; other texts are ordered by character; arrays are equal
regardless of order. Never raises, whatever the types of the answers.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from forms.answers import Answers
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
from forms.definition import plain

_NUMERIC = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_MAX_NUMERIC_LENGTH = 60


def holds(condition: Condition, answers: Answers) -> bool:
    match condition:
        case And(parts):
            return all(holds(part, answers) for part in parts)
        case Or(parts):
            return any(holds(part, answers) for part in parts)
        case Not(part):
            return not holds(part, answers)
        case Emptiness(operand, empty):
            return _is_empty(_resolve(operand, answers)) is empty
        case Truth(operand):
            return _is_true(_resolve(operand, answers))
        case Comparison(operator, left, right):
            return _COMPARE[operator](_resolve(left, answers), _resolve(right, answers))


def _resolve(operand: Operand, answers: Answers) -> Literal | None:
    return answers.get(operand.question_key) if isinstance(operand, Reference) else operand


def _is_empty(value: Literal | None) -> bool:
    return value is None or value in ("", ())


def _is_true(value: Literal | None) -> bool:
    if isinstance(value, str):
        return value not in ("", "0", "false")
    return bool(value)


def number_of(value: Literal | None) -> Decimal | None:
    """The number a value compares as, or None when it is none."""
    if isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, str) and len(value) <= _MAX_NUMERIC_LENGTH:
        text = value.strip()
        return Decimal(text) if _NUMERIC.fullmatch(text) else None
    return None


def _equal(left: Literal | None, right: Literal | None) -> bool:
    if _is_empty(left) or _is_empty(right):
        return _is_empty(left) and _is_empty(right)
    if isinstance(left, tuple) or isinstance(right, tuple):
        return isinstance(left, tuple) and isinstance(right, tuple) and _same_items(left, right)
    left_number, right_number = number_of(left), number_of(right)
    if left_number is not None and right_number is not None:
        return left_number == right_number
    return _text(left) == _text(right)


def _text(value: Literal | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip().lower()


def _same_items(left: tuple[str | Decimal | bool, ...], right: tuple[str | Decimal | bool, ...]) -> bool:
    return sorted(map(_item, left)) == sorted(map(_item, right))


def _item(item: str | Decimal | bool) -> str:
    number = number_of(item)
    return str(item) if number is None else plain(number)


def _less(left: Literal | None, right: Literal | None) -> bool:
    if _is_empty(left) or _is_empty(right):
        return False
    left_number, right_number = number_of(left), number_of(right)
    if left_number is not None and right_number is not None:
        return left_number < right_number
    return isinstance(left, str) and isinstance(right, str) and left < right


def _items(value: Literal | None) -> tuple[str | Decimal | bool, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _has(value: Literal | None, item: str | Decimal | bool) -> bool:
    return any(_equal(own, item) for own in _items(value))


def _contains(left: Literal | None, right: Literal | None) -> bool:
    if isinstance(left, str):
        return all(_text(part) != "" and _text(part) in left.lower() for part in _items(right))
    return _all_of(left, right)


def _any_of(left: Literal | None, right: Literal | None) -> bool:
    return any(_has(left, item) for item in _items(right))


def _all_of(left: Literal | None, right: Literal | None) -> bool:
    return all(_has(left, item) for item in _items(right))


_COMPARE: dict[str, Callable[[Literal | None, Literal | None], bool]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _less,
    "<=": lambda left, right: _less(left, right) or _equal(left, right),
    ">": lambda left, right: _less(right, left),
    ">=": lambda left, right: _less(right, left) or _equal(left, right),
    "contains": _contains,
    "notcontains": lambda left, right: not _contains(left, right),
    "anyof": _any_of,
    "noneof": lambda left, right: not _any_of(left, right),
    "allof": _all_of,
}
