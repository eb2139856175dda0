"""The move that a person asks for together with answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# As the person wrote it: the pipeline says what type the fact has.
FactValue = str | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class SuppliedFact:
    """A fact that the person adds to the answers."""

    name: str
    value: FactValue


@dataclass(frozen=True, slots=True)
class Move:
    """Where the opportunity is to go. `expected_revision` is None for whatever revision it is at, in the visit of the
    answers."""

    to_stage: str
    expected_revision: int | None = None
    reason_code: str = ""
    text: str = ""
    skip: bool = False
    facts: tuple[SuppliedFact, ...] = ()


def move_from_json(given: Mapping[str, Any] | None) -> Move | None:
    """The move again from a canonical body."""
    if given is None:
        return None
    facts = (SuppliedFact(each["name"], _value(each["value"])) for each in given["facts"])
    return Move(**{**given, "facts": tuple(facts)})


def _value(given: Any) -> FactValue:
    return tuple(given) if isinstance(given, list) else given
