"""What a story about a process says, and whether it came out as it was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """A story that was told: a line about it, what it says in detail, its figures, and what did not come out as told.
    `key` is the process that it is about."""

    key: str
    name: str
    line: str
    details: tuple[str, ...]
    figures: Mapping[str, int | None]
    findings: tuple[str, ...]

    @property
    def came_out(self) -> bool:
        return not self.findings

    @property
    def as_figures(self) -> dict[str, Any]:
        return {**self.figures, "came_out": self.came_out}


def id_of(name: str) -> str:
    """The id of the record of that name in the CRM."""
    return name.lower().replace(" ", "-")


def differences(seen: Mapping[str, object], expected: Mapping[str, object]) -> tuple[str, ...]:
    """What came out otherwise than it was told, by name."""
    return tuple(
        f"{name} is {seen.get(name, 'missing')} instead of {wanted}"
        for name, wanted in expected.items()
        if seen.get(name) != wanted
    ) + tuple(f"{name} is {found}, and should not be there" for name, found in seen.items() if name not in expected)
