"""The check of a pipeline before it is published: what cannot work is refused, what may surprise is reported.

Each part assumes that the ones before found no error: the stages and where rules lead (`lint_structure`), the cells
(`lint_facts`), criteria (`lint_criteria`), whether rules can ever hold (here), how they compete (`lint_overlap`), and
what they leave open (`lint_gaps`).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from kit.numbers import plain

from stage_engine.domain.boxes import contains, intersect, within
from stage_engine.domain.cells import predicate
from stage_engine.domain.facts import assessment_of, score_fact
from stage_engine.domain.finding import LintFinding, ScoreReach, Severity, error, info, warning
from stage_engine.domain.grammar import Blank, Cell, OneOf, Presence, Range
from stage_engine.domain.lint_actions import action_findings
from stage_engine.domain.lint_approvals import approval_findings
from stage_engine.domain.lint_criteria import criteria_findings, stage_findings
from stage_engine.domain.lint_facts import CellCheck, condition_findings, declaration_findings
from stage_engine.domain.lint_gaps import gap_findings
from stage_engine.domain.lint_obligations import obligation_findings
from stage_engine.domain.lint_overlap import overlap_findings
from stage_engine.domain.lint_structure import structure_findings
from stage_engine.domain.lint_timers import timer_findings
from stage_engine.domain.parsed import read_cell
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.rules import Rule, RuleMode
from stage_engine.domain.stages import Category

Reach = Mapping[str, ScoreReach]


def lint(
    pipeline: Pipeline, reach: Reach, engine_objects: CellCheck, people: frozenset[str] | None = None
) -> list[LintFinding]:
    """Every finding, errors first. `reach` holds the assessments known, by key; `people` are the active ones of those
    that are named, None where that is not known."""
    findings = list(structure_findings(pipeline))
    findings += _assessment_findings(pipeline, reach)
    findings += declaration_findings(pipeline)
    for index, rule in enumerate(pipeline.rules):
        findings += condition_findings(f"/rules/{index}/conditions", rule.conditions, pipeline, engine_objects)
    findings += criteria_findings(pipeline, engine_objects)
    findings += timer_findings(pipeline)
    findings += action_findings(pipeline)
    findings += approval_findings(pipeline, people)
    findings += obligation_findings(pipeline, engine_objects)
    if not any(f.severity is Severity.ERROR for f in findings):
        findings += stage_findings(pipeline)
        for index, rule in enumerate(pipeline.rules):
            findings += _evidence_findings(index, rule, pipeline)
            findings += _satisfiability_findings(index, rule, pipeline, reach)
        findings += overlap_findings(pipeline)
        findings += gap_findings(pipeline, reach)
    order = list(Severity)
    return sorted(findings, key=lambda f: order.index(f.severity))


def unreachable(pipeline: Pipeline, reach: Reach) -> list[LintFinding]:
    """The rules of a published version that no score meets any more."""
    return [
        finding
        for index, rule in enumerate(pipeline.rules)
        if rule.mode is not RuleMode.OFF
        for finding in _satisfiability_findings(index, rule, pipeline, reach)
        if finding.code == "threshold_unreachable"
    ]


def _assessment_findings(pipeline: Pipeline, reach: Reach) -> Iterator[LintFinding]:
    for i, stage in enumerate(pipeline.stages):
        for j, key in enumerate(stage.assessment_keys):
            if key not in reach:
                text = f"no points are published for {key!r}, so nothing is known of the scores it can give"
                yield warning("assessment_unknown", f"/stages/{i}/assessment_keys/{j}", text)


def _evidence_findings(index: int, rule: Rule, pipeline: Pipeline) -> Iterator[LintFinding]:
    """A score counts only in a stage that lists its assessment: elsewhere the rule can never hold."""
    if rule.mode is RuleMode.OFF:
        return
    needed = {
        key: j
        for j, condition in enumerate(rule.conditions)
        if (key := assessment_of(condition.fact)) is not None and not predicate(read_cell(condition, pipeline))(None)
    }
    sources = [
        s
        for s in pipeline.stages
        if s.category is Category.OPEN and rule.from_stage in (None, s.key) and s.key != rule.to_stage
    ]
    able = [s.key for s in sources if needed.keys() <= set(s.assessment_keys)]
    if not able:
        missing = next((k for k in needed if all(k not in s.assessment_keys for s in sources)), next(iter(needed)))
        where = rule.from_stage or "any open stage"
        text = f"{missing!r} is not among the assessments of {where}, so {rule.rule_id} can never hold: add it there"
        yield error("evidence_not_in_stage", f"/rules/{index}/conditions/{needed[missing]}/fact", text)
    elif rule.from_stage is None and len(able) < len(sources):
        text = f"{rule.rule_id} can hold only in {', '.join(able)}: elsewhere its assessments do not count"
        yield info("rule_limited_to_stages", f"/rules/{index}", text)


def _satisfiability_findings(index: int, rule: Rule, pipeline: Pipeline, reach: Reach) -> Iterator[LintFinding]:
    pointer = f"/rules/{index}"
    for fact, conditions in conditions_by_fact(rule, pipeline).items():
        cells = [cell for _, cell in conditions]
        place = f"{pointer}/conditions/{conditions[-1][0]}/cell"
        joint = intersect(cells)
        if joint is None:
            yield error("rule_contradiction", place, f"no value of {fact} meets all its conditions")
            continue
        assessment = assessment_of(fact)
        known = reach.get(assessment) if assessment is not None and fact == score_fact(assessment) else None
        if known is None or isinstance(joint, (Blank, Presence)):
            continue
        domain = within(known.domain)
        possible = intersect((joint, domain))
        if possible is None:
            yield _unreachable(place, fact, joint, known)
        elif len(known.scores) > 1 and isinstance(possible, OneOf) and len(possible.values) == 1:
            scores = ", ".join(map(plain, known.scores))
            only = possible.values[0]
            assert isinstance(only, Decimal)
            text = f"only {plain(only)} of {scores} passes"
            yield warning("threshold_selective", place, text, {fact: only})
        elif contains(joint, domain):
            low = known.scores[0] if known.scores else known.minimum
            assert low is not None
            text = f"every score that {assessment_of(fact)} can give passes, from {plain(low)} up"
            yield warning("condition_always_true", place, text, {fact: low})
    if rule.conditions and all(isinstance(read_cell(c, pipeline), Blank) for c in rule.conditions):
        text = f"{rule.rule_id} always holds: all its cells are empty"
        # By itself it would move every opportunity whose facts change at all.
        finding = error if rule.mode is RuleMode.AUTO else warning
        yield finding("rule_always_true", pointer, text, {})


def _unreachable(place: str, fact: str, cell: Cell, known: ScoreReach) -> LintFinding:
    assessment = assessment_of(fact)
    low = known.scores[0] if known.scores else known.minimum
    high = known.scores[-1] if known.scores else known.maximum
    lower, upper = _bounds(cell)
    if high is not None and lower is not None and lower >= high:
        return error(
            "threshold_unreachable", place, f"no score meets it: {assessment} gives at most {plain(high)}", {fact: high}
        )
    if low is not None and upper is not None and upper <= low:
        return error(
            "threshold_unreachable", place, f"no score meets it: {assessment} gives at least {plain(low)}", {fact: low}
        )
    scores = ", ".join(map(plain, known.scores))
    witness = None if high is None else {fact: high}
    return error("threshold_unreachable", place, f"no score meets it: {assessment} gives {scores}", witness)


def _bounds(cell: Cell) -> tuple[Decimal | None, Decimal | None]:
    if isinstance(cell, Range):
        return cell.low, cell.high
    numbers = [v for v in cell.values if isinstance(v, Decimal)] if isinstance(cell, OneOf) else []
    return min(numbers, default=None), max(numbers, default=None)


def conditions_by_fact(rule: Rule, pipeline: Pipeline) -> dict[str, list[tuple[int, Cell]]]:
    """The parsed conditions of a rule with their positions, by fact."""
    found: dict[str, list[tuple[int, Cell]]] = {}
    for j, condition in enumerate(rule.conditions):
        found.setdefault(condition.fact, []).append((j, read_cell(condition, pipeline)))
    return found
