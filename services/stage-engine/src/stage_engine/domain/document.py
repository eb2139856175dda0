"""A pipeline as the JSON document that is authored, shipped as a template and stored."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from stage_engine.domain.pipeline import Pipeline

_PIPELINE = TypeAdapter(Pipeline)


def to_document(pipeline: Pipeline) -> dict[str, Any]:
    """The content of the pipeline, without its version."""
    return _PIPELINE.dump_python(pipeline, mode="json", exclude={"version", "calendar"})


def from_document(document: Mapping[str, Any], version: int) -> Pipeline:
    """The pipeline version of a document; a rule without a mode only proposes."""
    return _PIPELINE.validate_python({**document, "version": version})
