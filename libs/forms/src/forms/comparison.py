"""The operators of conditions, exactly as survey-core has them in `OperandMaker` and `Helpers.isTwoValueEquals`."""

import math
from collections.abc import Callable

from forms.javascript import Value, less, loosely_equal, number, parse_float, parse_int, text, trim, truthy, units


def is_empty(value: Value) -> bool:
    """Whether survey-core takes a value for no answer."""
    return value is None or value in ("", ()) or (isinstance(value, float) and math.isnan(value))


def _equal(left: Value, right: Value) -> bool:
    # survey-core takes the text "undefined" for no value.
    return _same(None if left == "undefined" else left, None if right == "undefined" else right)


def _same(left: Value, right: Value) -> bool:
    match left, right:
        case str(), str():
            return trim(left).lower() == trim(right).lower()
        case str(), float():
            return _reads_as(left, right)
        case float(), str():
            return _reads_as(right, left)
        case (None, "" | ()) | ("" | (), None):
            return True
        case _:
            return is_empty(left) is is_empty(right) and _same_kind(left, right)


def _reads_as(given: str, wanted: float) -> bool:
    found = number(given)
    if not given or math.isnan(found):
        return False
    return found == wanted or (parse_int(given) == parse_int(wanted) and parse_float(given) == wanted)


def _same_kind(left: Value, right: Value) -> bool:
    match left, right:
        case (bool(), str()) | (str(), bool()):
            return text(left).lower() == text(right).lower()
        case tuple(), tuple():
            return _same_items(left, right)
        case (tuple(), _) | (_, tuple()):
            return False
        case _:
            return loosely_equal(left, right)


def _same_items(left: tuple[str | float | bool, ...], right: tuple[str | float | bool, ...]) -> bool:
    if len(left) != len(right):
        return False
    ordered = (sorted(each, key=lambda item: units(text(item))) for each in (left, right))
    return all(_same(one, other) for one, other in zip(*ordered, strict=True))


def _greater(left: Value, right: Value) -> bool:
    return left is not None and right is not None and less(right, left)


def _less(left: Value, right: Value) -> bool:
    return left is not None and right is not None and less(left, right)


def _found(left: Value, right: Value, *, contained: bool) -> bool:
    """Whether `left` contains `right`, or, for `contained` False, does not. With nothing on one side neither holds."""
    if left == () and isinstance(left, tuple):
        return not contained
    if left is None or left == "":
        return False
    if not isinstance(left, tuple):
        if not truthy(right):
            return False
        return (text(right).lower() in text(left).lower()) is contained
    wanted = right if isinstance(right, tuple) else (right,)
    return all(any(_equal(own, item) for own in left) for item in wanted) is contained


def _contains(left: Value, right: Value) -> bool:
    return _found(left, right, contained=True)


def _not_contains(left: Value, right: Value) -> bool:
    if not truthy(left) and not is_empty(right):
        return True
    return _found(left, right, contained=False)


def _any_of(left: Value, right: Value) -> bool:
    if is_empty(left) or is_empty(right):
        return not is_empty(left) or is_empty(right)
    if not isinstance(left, tuple):
        return _contains(right, left)
    if not isinstance(right, tuple):
        return _contains(left, right)
    return any(_contains(left, item) for item in right)


def _all_of(left: Value, right: Value) -> bool:
    if not truthy(left) and not is_empty(right):
        return False
    return all(_contains(left, item) for item in right) if isinstance(right, tuple) else _contains(left, right)


COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _less,
    "<=": lambda left, right: _equal(left, right) or _less(left, right),
    ">": _greater,
    ">=": lambda left, right: _equal(left, right) or _greater(left, right),
    "contains": _contains,
    "notcontains": _not_contains,
    "anyof": _any_of,
    "noneof": lambda left, right: not _any_of(left, right),
    "allof": _all_of,
}
