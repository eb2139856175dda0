"""Checks of criteria and milestones: whether each can be met, and whether together they say what a stage is for."""

from collections import Counter
from collections.abc import Iterator

from stage_engine.domain.boxes import intersect
from stage_engine.domain.facts import AGES, assessment_of, milestone_of
from stage_engine.domain.finding import LintFinding, error, info, warning
from stage_engine.domain.grammar import Cell
from stage_engine.domain.lint_facts import CellCheck, condition_findings
from stage_engine.domain.parsed import read_cell
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Category, Condition, Criterion, Milestone, Need, Stage

# More required ones than this are filled in without a look.
CRITERIA_LIMIT = 7
_BUYER = ("account.", "contacts.", "contact.", "signal.")


def criteria_findings(pipeline: Pipeline, engine_objects: CellCheck) -> Iterator[LintFinding]:
    """Every criterion and milestone by itself."""
    yield from condition_findings("/applies_when", pipeline.applies_when, pipeline, engine_objects)
    for i, condition in enumerate(pipeline.applies_when):
        if assessment_of(condition.fact) or milestone_of(condition.fact) or condition.fact in AGES:
            text = f"{condition.fact} is not known before a record has a pipeline"
            yield error("fact_too_late", f"/applies_when/{i}/fact", text)
    keys = Counter(m.key for stage in pipeline.stages for m in stage.milestones)
    for i, stage in enumerate(pipeline.stages):
        for side, demands in (("entry", stage.entry), ("exit", stage.exit), ("milestones", stage.milestones)):
            own = Counter(each.key for each in demands)
            for j, demand in enumerate(demands):
                pointer = f"/stages/{i}/{side}/{j}"
                if own[demand.key] > 1 or (isinstance(demand, Milestone) and keys[demand.key] > 1):
                    yield error("criterion_duplicate", f"{pointer}/key", f"{demand.key!r} names more than one")
                if not demand.conditions:
                    yield error("criterion_empty", f"{pointer}/conditions", f"{demand.name} asks for nothing")
                yield from condition_findings(f"{pointer}/conditions", demand.conditions, pipeline, engine_objects)


def stage_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """What the criteria of stages leave out or say twice. Their cells can be read."""
    yield from _start_findings(pipeline)
    used = any(stage.entry or stage.exit for stage in pipeline.stages)
    seen: dict[frozenset[tuple[Condition, ...]], str] = {}
    for i, stage in enumerate(pipeline.stages):
        pointer = f"/stages/{i}/exit"
        for side, demands in (("entry", stage.entry), ("exit", stage.exit), ("milestones", stage.milestones)):
            for j, demand in enumerate(demands):
                yield from _reach_findings(f"/stages/{i}/{side}/{j}/conditions", demand, pipeline)
        if stage.category is not Category.OPEN:
            continue
        if not stage.exit:
            text = f"{stage.name} has no exit criterion: nothing says when it is done"
            yield (warning if used else info)("exit_criterion_missing", pointer, text)
            continue
        required = [each for each in stage.exit if each.need is Need.REQUIRED]
        if len(required) > CRITERIA_LIMIT:
            text = f"{stage.name} has {len(required)} required exit criteria: more than {CRITERIA_LIMIT} are not read"
            yield warning("criteria_too_many", pointer, text)
        if not _names_buyer(stage):
            text = f"no exit criterion of {stage.name} names a fact of the buyer: an answer, a contact, the account"
            yield warning("criteria_without_buyer", pointer, text)
        same = frozenset(each.conditions for each in stage.exit)
        if same in seen:
            yield warning("criteria_repeated", pointer, f"{stage.name} asks for the same as {seen[same]}")
        seen.setdefault(same, stage.name)


def _start_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Whether a new subject can ever begin further on, where it may."""
    if not pipeline.start_by_criteria:
        return
    later = [stage for stage in pipeline.stages if pipeline.is_open(stage.key) and stage.key != pipeline.first]
    required = [each for stage in later for each in stage.entry if each.need is Need.REQUIRED]
    if not required:
        text = "no later open stage has a required entry criterion, so every subject begins in the first stage"
        yield warning("start_without_criteria", "/start_by_criteria", text)


def _names_buyer(stage: Stage) -> bool:
    facts = [condition.fact for each in stage.exit for condition in each.conditions]
    return any(assessment_of(fact) is not None or fact.startswith(_BUYER) for fact in facts)


def _reach_findings(pointer: str, demand: Criterion | Milestone, pipeline: Pipeline) -> Iterator[LintFinding]:
    cells: dict[str, list[Cell]] = {}
    for j, condition in enumerate(demand.conditions):
        assessment = assessment_of(condition.fact)
        if assessment is not None and assessment not in pipeline.assessment_keys:
            text = f"{assessment!r} counts in no stage, so nothing is ever known of {condition.fact}"
            yield error("evidence_not_in_stage", f"{pointer}/{j}/fact", text)
        cells.setdefault(condition.fact, []).append(read_cell(condition, pipeline))
    for fact, asked in cells.items():
        if intersect(asked) is None:
            yield error("criterion_contradiction", pointer, f"no value of {fact} meets all conditions of {demand.name}")
