"""Checks of rules against one another: which could hold at the same moment, and who then goes first."""

from collections.abc import Iterator
from itertools import combinations

from stage_engine.domain.boxes import contains, example, intersect
from stage_engine.domain.evaluate import ParsedRule, rules_by_stage
from stage_engine.domain.finding import LintFinding, error, info, warning
from stage_engine.domain.grammar import Blank, Cell, Literal
from stage_engine.domain.opportunity import OPPORTUNITY_FACTS
from stage_engine.domain.pipeline import Pipeline

Box = dict[str, Cell]


def overlap_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Pairs of acting rules that one piece of evidence can make hold together, each pair reported once."""
    index = {rule.rule_id: i for i, rule in enumerate(pipeline.rules)}
    reported: set[tuple[str, str]] = set()
    for stage_key, table in rules_by_stage(pipeline).items():
        keys = pipeline.stage(stage_key).assessment_keys
        known = {*OPPORTUNITY_FACTS, *(f"{key}.score" for key in keys)}
        able = [(p, box) for p in table if p.acts and (box := _box(p)) is not None and _facts(box) <= known]
        for (first, outer), (second, inner) in combinations(able, 2):
            pair = (first.rule.rule_id, second.rule.rule_id)
            if pair in reported or not first.facts & second.facts:
                continue
            joint = _joint(outer, inner)
            if joint is None:
                continue
            reported.add(pair)
            witness = {fact: v for fact, cell in joint.items() if (v := example(cell)) is not None}
            yield _finding(f"/rules/{index[pair[1]]}", first, second, outer, inner, witness)


def _box(parsed: ParsedRule) -> Box | None:
    """The rule as one cell for each fact; None when it contradicts itself."""
    box: Box = {}
    for condition in parsed.conditions:
        joint = intersect((box.get(condition.fact, Blank()), condition.cell))
        if joint is None:
            return None
        box[condition.fact] = joint
    return box


def _facts(box: Box) -> set[str]:
    return {fact for fact, cell in box.items() if not isinstance(cell, Blank)}


def _joint(a: Box, b: Box) -> Box | None:
    joint: Box = {}
    for fact in a | b:
        cell = intersect((a.get(fact, Blank()), b.get(fact, Blank())))
        if cell is None:
            return None
        joint[fact] = cell
    return joint


def _covers(outer: Box, inner: Box) -> bool:
    return all(contains(cell, inner.get(fact, Blank())) for fact, cell in outer.items())


def _finding(
    pointer: str, first: ParsedRule, second: ParsedRule, outer: Box, inner: Box, witness: dict[str, Literal]
) -> LintFinding:
    """`first` goes first when both hold."""
    names = f"{first.rule.rule_id} and {second.rule.rule_id}"
    same = first.rule.to_stage == second.rule.to_stage
    if same and _covers(outer, inner) and _covers(inner, outer):
        return error("rules_duplicate", pointer, f"{names} say the same", witness)
    if (first.rule.priority, first.kind) == (second.rule.priority, second.kind):
        text = f"{names} can hold together with equal priority: say which goes first"
        return error("rules_tie", f"{pointer}/priority", text, witness)
    if _covers(outer, inner):
        text = f"{second.rule.rule_id} never acts: {first.rule.rule_id} always goes first"
        return warning("rule_masked", pointer, text, witness)
    if same:
        return info("rules_overlap_same_target", pointer, f"{names} can hold together", witness)
    text = f"{names} can hold together; then {first.rule.rule_id} goes first, to {first.rule.to_stage}"
    return warning("rules_overlap", pointer, text, witness)
