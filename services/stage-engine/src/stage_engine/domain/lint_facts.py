"""Checks of single conditions: whether the fact exists, and whether its cell asks something of that kind of fact."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from kit.record_ids import full_record_id

from stage_engine.domain.facts import NAME, NAMES, WORKED_OUT, assessment_of, kind_by_name
from stage_engine.domain.finding import LintFinding, error, warning
from stage_engine.domain.grammar import Among, Blank, Cell, CellError, Is, OneOf, Presence, Range, Scale, parse
from stage_engine.domain.literals import DAY, FactType
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Condition

# What the engine objects to in a cell; None when it accepts it.
CellCheck = Callable[[str], str | None]

_WANTED = {
    FactType.DECIMAL: "a number: ask for it by > 60, [10..20] or = 100",
    FactType.TEXT: "a text: ask for it by 'a', 'b' or none of 'c'",
    FactType.BOOLEAN: "true or false: ask for it by these words",
    FactType.DATE: "a date: ask for it by < 2026-06-30, < now - 14d, within 30d or within last 14d, in whole days",
    FactType.INSTANT: "an instant: ask for it by < now - 36h or older than 14d",
    FactType.TEXTS: "a set of texts: ask for it by any of 'a', 'b' or contains 'a'",
}


def declaration_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Facts that the pipeline declares, each once, with a name of its own."""
    names = Counter(fact.name for fact in pipeline.facts)
    for i, fact in enumerate(pipeline.facts):
        pointer = f"/facts/{i}/name"
        if not NAME.fullmatch(fact.name):
            yield error("fact_name_invalid", pointer, f"{fact.name!r} is no name such as account.industry")
        elif assessment_of(fact.name) is not None:
            yield error("fact_built_in", pointer, f"{fact.name} would be evidence: choose another name")
        elif kind_by_name(fact.name) is not None or fact.name.startswith(("milestones.", "timers.")):
            yield error("fact_built_in", pointer, f"{fact.name} is built in and needs no declaration")
        if names[fact.name] > 1:
            yield error("fact_duplicate", pointer, f"{fact.name} is declared more than once")
    name = pipeline.segment_fact
    kind = pipeline.kind_of_fact(name) if name else None
    if name and (kind is None or kind.type is not FactType.TEXT or name in WORKED_OUT):
        text = f"{name!r} cuts nothing into segments: name a text that the CRM or a program supplies"
        yield error("segment_fact_invalid", "/segment_fact", text)


def condition_findings(
    pointer: str, conditions: Sequence[Condition], pipeline: Pipeline, engine_objects: CellCheck
) -> Iterator[LintFinding]:
    """Every condition by itself. `pointer` leads to the list."""
    for j, condition in enumerate(conditions):
        yield from _findings(f"{pointer}/{j}", condition, pipeline, engine_objects)


def _findings(
    pointer: str, condition: Condition, pipeline: Pipeline, engine_objects: CellCheck
) -> Iterator[LintFinding]:
    kind = pipeline.kind_of_fact(condition.fact)
    if kind is None:
        text = f"{condition.fact!r} is no fact; there are {', '.join(NAMES)} and those that the pipeline declares"
        yield error("fact_unknown", f"{pointer}/fact", text)
        return
    try:
        cell = parse(condition.cell)
    except CellError as fault:
        yield error("cell_invalid", f"{pointer}/cell", str(fault))
        return
    objection = engine_objects(condition.cell)
    if objection is not None:
        yield error("cell_refused", f"{pointer}/cell", f"the engine refuses it: {objection}")
    for short in _short_ids(cell):
        text = f"{short!r} is a record's id of 15 characters, which no fact has: write {full_record_id(short)!r}"
        yield warning("record_id_short", f"{pointer}/cell", text)
    if kind.type is not None and not fits(cell, kind.type):
        yield error("cell_type_mismatch", f"{pointer}/cell", f"{condition.fact} is {_WANTED[kind.type]}")


def fits(cell: Cell, kind: FactType) -> bool:
    """Whether a value of this type can meet the cell."""
    match cell:
        case Blank() | Presence():
            return True
        case Is():
            return kind is FactType.BOOLEAN
        case Among():
            return kind in (FactType.TEXT, FactType.TEXTS)
        case OneOf(values) if isinstance(values[0], str):
            return kind is FactType.TEXT
        case OneOf(scale=Scale.NUMBER) | Range(scale=Scale.NUMBER):
            return kind is FactType.DECIMAL
        case _:
            return kind is FactType.INSTANT or (kind is FactType.DATE and _in_days(cell))


def _in_days(cell: Cell) -> bool:
    bounds = (cell.low, cell.high) if isinstance(cell, Range) else cell.values if isinstance(cell, OneOf) else ()
    return all(bound is None or isinstance(bound, str) or bound % DAY == 0 for bound in bounds)


def _short_ids(cell: Cell) -> list[str]:
    values = cell.values if isinstance(cell, (Among, OneOf)) else ()
    return [value for value in values if isinstance(value, str) and full_record_id(value) != value]
