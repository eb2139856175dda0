"""Salesforce record ids: 15 characters, or 18 that survive case folding."""

import re

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_INSTANCE = "Sg000"


class MalformedId(ValueError):
    """The text is not a record id."""


def full_id(text: str) -> str:
    """Gives the 18-character form of a 15- or 18-character id.

    Each check character holds, for five characters of the id, which of them are upper case.
    """
    if not _SHAPE.fullmatch(text):
        raise MalformedId(text)
    head = text[:15]
    checks = ""
    for start in (0, 5, 10):
        bits = sum(1 << i for i, char in enumerate(head[start : start + 5]) if "A" <= char <= "Z")
        checks += _CHECK[bits]
    if len(text) == 18 and text[15:].upper() != checks:
        raise MalformedId(text)
    return head + checks


def make_id(prefix: str, number: int) -> str:
    """Gives the id of the `number`-th record of an object; ids of one object sort by number."""
    tail = ""
    for _ in range(7):
        number, digit = divmod(number, 62)
        tail = _DIGITS[digit] + tail
    return full_id(prefix + _INSTANCE + tail)


def number_of(record_id: str) -> int:
    """Gives back the number `make_id` was called with, or 0 for an id that was not made here."""
    if record_id[3:8] != _INSTANCE:
        return 0
    number = 0
    for char in record_id[8:15]:
        number = number * 62 + _DIGITS.index(char)
    return number
