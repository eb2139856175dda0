"""What rules leave open between them, and which scores together are enough."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice, pairwise, product

from kit.numbers import plain

from stage_engine.domain.boxes import intersect
from stage_engine.domain.cells import predicate, to_text
from stage_engine.domain.facts import assessment_of, score_fact
from stage_engine.domain.finding import LintFinding, ScoreReach, info
from stage_engine.domain.grammar import Cell, Range, Scale
from stage_engine.domain.parsed import ParsedRule, rules_by_stage
from stage_engine.domain.pipeline import Pipeline

# Combinations that are tried for one rule, and named of it.
TRIED_LIMIT = 500
NAMED_LIMIT = 10


def gap_findings(pipeline: Pipeline, reach: Mapping[str, ScoreReach]) -> Iterator[LintFinding]:
    """Stretches of a number between rules of one stage in which none of them acts, and combinations that pass."""
    tables = rules_by_stage(pipeline)
    index = {rule.rule_id: i for i, rule in enumerate(pipeline.rules)}
    reported: set[str] = set()
    for i, stage in enumerate(pipeline.stages):
        acting = [p for p in tables.get(stage.key, ()) if p.acts and p.possible]
        by_fact: dict[str, list[Cell]] = {}
        for parsed in acting:
            box = intersect([c.cell for c in parsed.conditions]) if len(parsed.facts) == 1 else None
            if box is not None:
                by_fact.setdefault(next(iter(parsed.facts)), []).append(box)
        for fact, cells in by_fact.items():
            for gap in _gaps(cells):
                text = f"in {stage.key} no rule acts while {fact} is in {to_text(gap)}"
                yield info("rules_leave_gap", f"/stages/{i}", text)
        for parsed in acting:
            if parsed.rule.rule_id not in reported:
                reported.add(parsed.rule.rule_id)
                yield from _passing(f"/rules/{index[parsed.rule.rule_id]}/conditions", parsed, reach)


def _gaps(cells: list[Cell]) -> Iterator[Range]:
    """Stretches between the cells that belong to none of them. What lies beyond all of them is no gap."""
    ranges = [c for c in cells if isinstance(c, Range) and c.scale is Scale.NUMBER]
    bounds = sorted({b for c in ranges for b in (c.low, c.high) if b is not None})
    lowest_open = any(c.low is None for c in ranges)
    highest_open = any(c.high is None for c in ranges)
    if not (lowest_open or highest_open) or len(ranges) < 2:
        return
    tests = [predicate(c) for c in cells]
    for low, high in pairwise(bounds):
        if not any(holds((low + high) / 2) for holds in tests):
            open_low, open_high = (any(holds(bound) for holds in tests) for bound in (low, high))
            yield Range(low, not open_low, high, not open_high)


def _passing(pointer: str, parsed: ParsedRule, reach: Mapping[str, ScoreReach]) -> Iterator[LintFinding]:
    choices: list[tuple[str, tuple[Decimal, ...]]] = []
    for fact in sorted(parsed.facts):
        assessment = assessment_of(fact)
        known = reach.get(assessment) if assessment is not None and fact == score_fact(assessment) else None
        if known is None or not known.scores:
            return
        choices.append((fact, known.scores))
    names = [fact for fact, _ in choices]
    every = list(islice(product(*(scores for _, scores in choices)), TRIED_LIMIT + 1))
    if len(choices) < 2 or len(every) > TRIED_LIMIT:
        return
    passing = [c for c in every if all(holds(dict(zip(names, c, strict=True)).get(f)) for f, holds in parsed.tests)]
    if not passing or len(passing) == len(every):
        return
    shown = "; ".join(" with ".join(map(plain, each)) for each in passing[:NAMED_LIMIT])
    more = f" and {len(passing) - NAMED_LIMIT} more" if len(passing) > NAMED_LIMIT else ""
    text = f"{len(passing)} of {len(every)} combinations of {' and '.join(names)} pass: {shown}{more}"
    yield info("combinations_that_pass", pointer, text, dict(zip(names, passing[0], strict=True)))
