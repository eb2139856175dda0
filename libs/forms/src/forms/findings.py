"""What a lint says."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """`pointer` is a JSON pointer into the definition. An error forbids publishing, a warning does not."""

    severity: Severity
    code: str
    pointer: str
    message: str


def error(code: str, pointer: str, message: str) -> Finding:
    """A finding that forbids publishing."""
    return Finding(Severity.ERROR, code, pointer, message)


def warning(code: str, pointer: str, message: str) -> Finding:
    """A finding for the author to look at."""
    return Finding(Severity.WARNING, code, pointer, message)


def listed(words: Iterable[str], most: int = 10) -> str:
    """The words, quoted, with commas; of many the first."""
    found = list(words)
    return ", ".join(map(repr, found[:most])) + (f" and {len(found) - most} more" if len(found) > most else "")
