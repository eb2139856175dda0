"""Pipelines to start from: data, not code."""

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(1)
def templates() -> dict[str, dict[str, Any]]:
    """Every template as the content of a pipeline draft, by key."""
    found = (
        json.loads(file.read_text(encoding="utf-8"))
        for file in files(__name__).iterdir()
        if file.name.endswith(".json")
    )
    return dict(sorted((template["key"], template) for template in found))
