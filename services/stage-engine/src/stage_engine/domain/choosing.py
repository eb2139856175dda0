"""Which pipeline a new subject gets."""

from collections.abc import Iterable
from dataclasses import dataclass

from stage_engine.domain.cells import predicate
from stage_engine.domain.facts import Facts
from stage_engine.domain.parsed import read_cell
from stage_engine.domain.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Choice:
    """The pipeline that takes a subject; without one the reason."""

    pipeline: Pipeline | None
    reason: str = ""


def choose(pipelines: Iterable[Pipeline], object_type: str, facts: Facts) -> Choice:
    """The first pipeline for this type of object, by priority and then key, whose `applies_when` holds."""
    found = sorted((p for p in pipelines if p.object_type == object_type), key=lambda p: (p.priority, p.key))
    if not found:
        return Choice(None, f"no pipeline is for a record of type {object_type}")
    unmet: list[str] = []
    for pipeline in found:
        failing = _failing(pipeline, facts)
        if not failing:
            return Choice(pipeline)
        unmet.append(f"{pipeline.key} ({failing})")
    return Choice(None, f"no pipeline applies: {', '.join(unmet)}")


def _failing(pipeline: Pipeline, facts: Facts) -> str:
    for condition in pipeline.applies_when:
        if not predicate(read_cell(condition, pipeline))(facts.get(condition.fact)):
            return f"{condition.fact} has to be {condition.cell}"
    return ""
