"""Checks of rules against one another: which could hold at the same moment, and who then goes first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from stage_engine.domain.boxes import contains, example, intersect
from stage_engine.domain.finding import LintFinding, error, info, warning
from stage_engine.domain.grammar import Blank, Cell
from stage_engine.domain.literals import Known
from stage_engine.domain.overlap import Mask, overlap_masks
from stage_engine.domain.parsed import ParsedRule, rules_by_stage
from stage_engine.domain.pipeline import Pipeline

Box = dict[str, Cell]

# Pairs reported of one pipeline: who has settled these will ask again.
PAIR_LIMIT = 500


@dataclass(frozen=True, slots=True)
class _Contender:
    """A rule that acts, as one cell for each fact, with the stages it can hold in."""

    parsed: ParsedRule
    box: Box
    stages: frozenset[str]


def overlap_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Pairs of acting rules that one piece of evidence can make hold together, each pair reported once."""
    index = {rule.rule_id: i for i, rule in enumerate(pipeline.rules)}
    contenders = _contenders(pipeline)
    masks = _masks(contenders)
    reported = 0
    for (first, low), (second, high) in combinations(zip(contenders, masks, strict=True), 2):
        if first.stages.isdisjoint(second.stages):
            continue
        shared = low.keys() & high.keys()
        if not shared or not all(_meet(low[fact], high[fact]) for fact in shared):
            continue
        if reported == PAIR_LIMIT:
            text = f"more than {PAIR_LIMIT} pairs of rules can hold together; settle these first, then check again"
            yield warning("overlaps_omitted", "/rules", text)
            return
        reported += 1
        yield _finding(f"/rules/{index[second.parsed.rule.rule_id]}", first, second)


def _meet(a: Mask, b: Mask) -> bool:
    return a[0] & b[0] != 0 and a[1] & b[1] != 0


def _contenders(pipeline: Pipeline) -> list[_Contender]:
    """The acting rules that do not contradict themselves, those that go first in front: that order is the same in
    every stage."""
    stages: dict[str, set[str]] = {}
    parsed: dict[str, ParsedRule] = {}
    for stage_key, table in rules_by_stage(pipeline).items():
        for each in table:
            if each.acts and each.possible:
                stages.setdefault(each.rule.rule_id, set()).add(stage_key)
                parsed[each.rule.rule_id] = each
    in_order = sorted(parsed.values(), key=ParsedRule.order)
    return [
        _Contender(each, box, frozenset(stages[each.rule.rule_id]))
        for each in in_order
        if (box := _box(each)) is not None
    ]


def _masks(contenders: Sequence[_Contender]) -> list[dict[str, Mask]]:
    """For each contender and fact the values that its cell admits, as bits."""
    found: list[dict[str, Mask]] = [{} for _ in contenders]
    for fact in {fact for each in contenders for fact in each.box}:
        own = [i for i, each in enumerate(contenders) if fact in each.box]
        for i, mask in zip(own, overlap_masks([contenders[i].box[fact] for i in own]), strict=True):
            found[i][fact] = mask
    return found


def _box(parsed: ParsedRule) -> Box | None:
    """The rule as one cell for each fact; None when it contradicts itself."""
    box: Box = {}
    for condition in parsed.conditions:
        joint = intersect((box.get(condition.fact, Blank()), condition.cell))
        if joint is None:
            return None
        box[condition.fact] = joint
    return box


def _covers(outer: Box, inner: Box) -> bool:
    return all(contains(cell, inner.get(fact, Blank())) for fact, cell in outer.items())


def _witness(first: Box, second: Box) -> dict[str, Known]:
    joint = {fact: intersect((first.get(fact, Blank()), second.get(fact, Blank()))) for fact in first | second}
    return {fact: v for fact, cell in joint.items() if cell is not None and (v := example(cell)) is not None}


def _finding(pointer: str, winner: _Contender, other: _Contender) -> LintFinding:
    """`winner` goes first when both hold."""
    first, second, witness = winner.parsed, other.parsed, _witness(winner.box, other.box)
    names = f"{first.rule.rule_id} and {second.rule.rule_id}"
    same = first.rule.to_stage == second.rule.to_stage
    covered = _covers(winner.box, other.box)
    if same and covered and _covers(other.box, winner.box):
        return error("rules_duplicate", pointer, f"{names} say the same", witness)
    if (first.rule.priority, first.kind) == (second.rule.priority, second.kind):
        text = f"{names} can hold together with equal priority: say which goes first"
        return error("rules_tie", f"{pointer}/priority", text, witness)
    if covered:
        text = f"{second.rule.rule_id} never acts: {first.rule.rule_id} always goes first"
        return warning("rule_masked", pointer, text, witness)
    if same:
        return info("rules_overlap_same_target", pointer, f"{names} can hold together", witness)
    text = f"{names} can hold together; then {first.rule.rule_id} goes first, to {first.rule.to_stage}"
    return warning("rules_overlap", pointer, text, witness)
