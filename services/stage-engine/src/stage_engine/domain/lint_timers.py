"""Checks of timers: whether each can run, and whether anything comes of it."""

from collections import Counter
from collections.abc import Iterator

from stage_engine.domain.clocks import Starts, Timer, duration_of
from stage_engine.domain.facts import AGES, assessment_of, milestone_of, timer_of
from stage_engine.domain.finding import LintFinding, error, warning
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Category


def timer_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Every timer by itself, and whether something reads it. Reading one that is not declared is an unknown fact."""
    placed = [(f"/timers/{i}", timer) for i, timer in enumerate(pipeline.timers)]
    for i, stage in enumerate(pipeline.stages):
        placed += [(f"/stages/{i}/timers/{j}", timer) for j, timer in enumerate(stage.timers)]
        if stage.timers and stage.category is not Category.OPEN:
            yield error("timer_in_closed_stage", f"/stages/{i}/timers", f"no timer runs in {stage.key}: it is closed")
    if pipeline.reassign_after:
        try:
            duration_of(pipeline.reassign_after)
        except ValueError as fault:
            yield error("duration_invalid", "/reassign_after", str(fault))
    keys = Counter(timer.key for _, timer in placed)
    for pointer, timer in placed:
        if keys[timer.key] > 1:
            yield error("timer_duplicate", f"{pointer}/key", f"{timer.key!r} names more than one timer")
        elif timer.reads not in pipeline.reads and not timer.actions:
            text = f"nothing reads {timer.reads}, and it asks for nothing, so nothing comes of it"
            yield warning("timer_unread", pointer, text)
        yield from _duration_findings(pointer, timer)
        yield from _fact_findings(pointer, timer, pipeline)


def _duration_findings(pointer: str, timer: Timer) -> Iterator[LintFinding]:
    for name, text in (("after", timer.after), ("repeats", timer.repeats)):
        try:
            if text or name == "after":
                duration_of(text)
        except ValueError as fault:
            yield error("duration_invalid", f"{pointer}/{name}", str(fault))


def _fact_findings(pointer: str, timer: Timer, pipeline: Pipeline) -> Iterator[LintFinding]:
    name, place = timer.fact, f"{pointer}/fact"
    if timer.starts is not Starts.AFTER_FACT:
        if name:
            yield error("timer_fact_unused", place, f"{timer.key} starts {timer.starts}: only after_fact names a fact")
    elif not name:
        yield error("timer_fact_missing", place, f"{timer.key} starts after a fact: name it")
    elif pipeline.kind_of_fact(name) is None:
        yield error("fact_unknown", place, f"{name!r} is no fact, neither built in nor declared")
    elif name in AGES or assessment_of(name) or milestone_of(name) or timer_of(name):
        yield error("timer_fact_worked_out", place, f"{name} has no moment of its own; name a field or a reported fact")
