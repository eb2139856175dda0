"""Checks of obligations: whether each can be owed and met."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from stage_engine.domain.clocks import Duration, Obligation, Starts, duration_of
from stage_engine.domain.facts import LAST_TOUCH
from stage_engine.domain.finding import LintFinding, error
from stage_engine.domain.lint_facts import CellCheck, condition_findings
from stage_engine.domain.obligations import is_touch
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Condition

SHORTEST = timedelta(hours=1)
_WEEK = timedelta(days=7)


def obligation_findings(pipeline: Pipeline, engine_objects: CellCheck) -> Iterator[LintFinding]:
    """Every obligation by itself."""
    keys = Counter(each.key for each in pipeline.obligations)
    for i, each in enumerate(pipeline.obligations):
        pointer = f"/obligations/{i}"
        if keys[each.key] > 1:
            yield error("obligation_duplicate", f"{pointer}/key", f"{each.key!r} names more than one obligation")
        yield from _start_findings(pointer, each, pipeline)
        yield from _duration_findings(pointer, each, pipeline)
        if is_touch(each.met_by):
            if each.cell != "known":
                text = f"each activity meets it: leave the cell of {each.met_by} out, or ask for another fact"
                yield error("obligation_cell_unused", f"{pointer}/cell", text)
            if pipeline.kind_of_fact(each.met_by) is None:
                text = f"{each.met_by!r} is no fact; ask for {LAST_TOUCH} or for activity.call.last_at"
                yield error("fact_unknown", f"{pointer}/met_by", text)
            continue
        condition = Condition(each.met_by, each.cell)
        for finding in condition_findings("", (condition,), pipeline, engine_objects):
            place = "met_by" if finding.pointer.endswith("/fact") else "cell"
            yield LintFinding(finding.severity, finding.code, f"{pointer}/{place}", finding.message)


def _start_findings(pointer: str, each: Obligation, pipeline: Pipeline) -> Iterator[LintFinding]:
    if each.starts is Starts.AFTER_FACT:
        text = f"{each.key} starts after a fact: an obligation starts on_entry or on_first_sight"
        yield error("obligation_start_unknown", f"{pointer}/starts", text)
    if not each.stage_key:
        return
    place = f"{pointer}/stage_key"
    if each.starts is not Starts.ON_ENTRY:
        yield error("obligation_stage_unused", place, f"{each.key} starts {each.starts}: it belongs to no stage")
    elif each.stage_key not in pipeline:
        yield error("stage_unknown", place, f"{each.stage_key!r} is no stage of this pipeline")
    elif not pipeline.is_open(each.stage_key):
        yield error("obligation_in_closed_stage", place, f"nothing is owed in {each.stage_key}: it is closed")


def _duration_findings(pointer: str, each: Obligation, pipeline: Pipeline) -> Iterator[LintFinding]:
    lengths: dict[str, timedelta] = {}
    for name, text in (("within", each.within), ("repeats", each.repeats)):
        if name == "repeats" and not text:
            continue
        try:
            lengths[name] = _length(duration_of(text), pipeline)
        except ValueError as fault:
            yield error("duration_invalid", f"{pointer}/{name}", str(fault))
    again = lengths.get("repeats")
    if again is None:
        return
    if again < SHORTEST:
        yield error("obligation_repeats_too_often", f"{pointer}/repeats", "an obligation repeats once an hour at most")
    if "within" in lengths and lengths["within"] > again:
        text = f"{each.within} is longer than {each.repeats}: the next would be owed before this one is due"
        yield error("obligation_overlaps", f"{pointer}/within", text)


def _length(duration: Duration, pipeline: Pipeline) -> timedelta:
    """By the wall clock, on average."""
    calendar = pipeline.calendar
    length = duration.length(calendar)
    if not duration.in_business_time:
        return length
    worked = sum(each.closes - each.opens for each in calendar.hours)
    return length * (_WEEK / timedelta(minutes=worked))
