"""Answers by question key. `messages.py` has their shape in events."""

import re
from collections.abc import Mapping
from decimal import Decimal

# A choice's key or a text; the keys of all choices taken; a number; yes or no.
Value = str | tuple[str, ...] | Decimal | bool
Answers = Mapping[str, Value]

MAX_NUMBER_LENGTH = 40
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


class AnswerMalformed(ValueError):
    """An answer that no question could have: without a question or a value, given twice, or not a plain number."""


def is_answered(value: Value | None) -> bool:
    """Whether a value counts as an answer: blank text and an empty selection do not."""
    if value is None or value == ():
        return False
    return bool(value.strip()) if isinstance(value, str) else True


def parse_number(text: str) -> Decimal:
    """A number in plain notation of at most 40 characters; raises AnswerMalformed for anything else."""
    if len(text) > MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        raise AnswerMalformed("A number is written in plain decimals, such as 12.50.")
    return Decimal(text)
