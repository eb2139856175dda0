"""What JavaScript makes of a text, a number, a boolean and a list, as far as conditions need it."""

import math
import re
from decimal import Decimal

Value = str | float | bool | tuple[str | float | bool, ...] | None

_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?(?:0[xX]([0-9a-fA-F]*)|([0-9]+))")
_RADIX = re.compile(r"0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]([0-7]+))")
_INFINITY = re.compile(r"[+-]?Infinity")
_LARGEST_PLAIN = 21
_SMALLEST_PLAIN = -7


def trim(text: str) -> str:
    """`trim()`."""
    return text.strip(_SPACE)


def number(value: Value) -> float:
    """`Number(value)`; NaN for what is no number."""
    match value:
        case None:
            return 0.0
        case str():
            return _number(trim(value))
        case tuple():
            return _number(trim(text(value)))
        case _:
            return float(value)


def _number(trimmed: str) -> float:
    if not trimmed:
        return 0.0
    if _DECIMAL.fullmatch(trimmed):
        return float(trimmed)
    if found := _RADIX.fullmatch(trimmed):
        hexadecimal, binary, octal = found.groups()
        return _whole(hexadecimal, 16) if hexadecimal else _whole(binary, 2) if binary else _whole(octal, 8)
    return float(trimmed.replace("Infinity", "inf")) if _INFINITY.fullmatch(trimmed) else math.nan


def _whole(digits: str, base: int) -> float:
    try:
        return float(int(digits, base))
    except OverflowError:
        return math.inf


def parse_float(value: str | float) -> float:
    """`parseFloat(value)` of a text or a number: the number that it begins with."""
    if not isinstance(value, str):
        return float(value)
    trimmed = trim(value)
    if found := _DECIMAL.match(trimmed):
        return float(found[0])
    return float(found[0].replace("Infinity", "inf")) if (found := _INFINITY.match(trimmed)) else math.nan


def parse_int(value: str | float) -> float:
    """`parseInt(value)` of a text or a number: the whole number that it begins with."""
    found = _INTEGER.match(trim(text(value)))
    if found is None or found[1] == "":
        return math.nan
    size = _whole(found[1], 16) if found[1] else float(found[2])
    return -size if found[0].startswith("-") else size


def text(value: Value) -> str:
    """`String(value)`."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case tuple():
            return ",".join(map(text, value))
        case _:
            return _number_text(value)


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    point = len(digits) + exponent
    written = "".join(map(str, digits))
    if _SMALLEST_PLAIN < point - 1 < _LARGEST_PLAIN:
        plain = format(Decimal((0, digits, exponent)), "f")
    else:
        plain = written[0] + ("." + written[1:] if written[1:] else "") + f"e{point - 1:+d}"
    return ("-" if sign else "") + plain


def truthy(value: Value) -> bool:
    """`!!value`: every list is true, also an empty one."""
    return isinstance(value, tuple) or bool(value)


def less(left: Value, right: Value) -> bool:
    """`left < right`: two texts by their UTF-16 units, all else as numbers."""
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return units(left) < units(right)
    return number(left) < number(right)


def loosely_equal(left: Value, right: Value) -> bool:
    """`left == right` of two values that are not both lists."""
    if left is None or right is None:
        return left is right
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return number(left) == number(right)


def _primitive(value: Value) -> Value:
    return text(value) if isinstance(value, tuple) else value


def units(value: str) -> bytes:
    """A key that sorts texts as JavaScript does."""
    return value.encode("utf-16-be", "surrogatepass")
