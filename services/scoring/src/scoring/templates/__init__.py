"""Scoring profiles that ship with the service: data, read once."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class ProfileTemplate:
    """`profile` has the shape of a draft's points, see `scoring.domain.profile.profile_from_json`."""

    key: str
    title: str
    description: str
    assessment_key: str
    profile: dict[str, Any]


@cache
def profile_templates() -> dict[str, ProfileTemplate]:
    """All templates by key, in alphabetical order."""
    documents = sorted(entry.name for entry in files(__name__).iterdir() if entry.name.endswith(".json"))
    loaded = (ProfileTemplate(**json.loads((files(__name__) / name).read_text(encoding="utf-8"))) for name in documents)
    return {template.key: template for template in loaded}
