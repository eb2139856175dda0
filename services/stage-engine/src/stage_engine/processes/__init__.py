"""Processes to start from: pipelines, the assessments they read, and who gets what. Data, not code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from pydantic import TypeAdapter

from stage_engine.domain.assignment import AssignmentRules


@dataclass(frozen=True, slots=True)
class ProcessTemplate:
    """`assessments` ship with the assessment service under these keys, their points with scoring. `pipelines` are
    contents of drafts, or the keys of shipped pipelines. `assignment_rules` are by the type of object; who is in their
    pools is said when the template is installed."""

    key: str
    name: str
    description: str
    pipelines: tuple[dict[str, Any] | str, ...]
    assessments: tuple[str, ...] = ()
    assignment_rules: Mapping[str, AssignmentRules] = field(default_factory=dict)

    @property
    def pools(self) -> tuple[str, ...]:
        """Every pool, by key."""
        return tuple(sorted(pool.key for rules in self.assignment_rules.values() for pool in rules.pools))


@lru_cache(1)
def process_templates() -> dict[str, ProcessTemplate]:
    """Every process template by key, in its order."""
    read = TypeAdapter(ProcessTemplate).validate_json
    found = [
        read(each.read_text(encoding="utf-8")) for each in files(__name__).iterdir() if each.name.endswith(".json")
    ]
    return {each.key: each for each in sorted(found, key=lambda each: each.key)}
