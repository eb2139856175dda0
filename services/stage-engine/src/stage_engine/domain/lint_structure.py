"""Checks of the stages themselves and of where rules lead."""

from collections import Counter
from collections.abc import Iterator

from stage_engine.domain.boxes import intersect
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.facts import assessment_of
from stage_engine.domain.finding import LintFinding, error, info, warning
from stage_engine.domain.grammar import Cell, CellError
from stage_engine.domain.parsed import read_cell, read_condition
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import SkipPolicy
from stage_engine.domain.rules import Rule, RuleMode
from stage_engine.domain.stages import Category


def structure_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Stages in order, rules between stages that exist, no way back, no way round in circles."""
    yield from _stage_findings(pipeline)
    yield from _reassign_findings(pipeline)
    rule_ids = Counter(r.rule_id for r in pipeline.rules)
    for index, rule in enumerate(pipeline.rules):
        pointer = f"/rules/{index}"
        if rule_ids[rule.rule_id] > 1:
            yield error("rule_duplicate_id", f"{pointer}/rule_id", f"{rule.rule_id!r} names more than one rule")
        if not rule.conditions:
            text = f"{rule.rule_id} has no condition, so nothing could ever trigger it"
            yield error("rule_without_conditions", f"{pointer}/conditions", text)
        unknown = [
            error("stage_unknown", f"{pointer}/{name}", f"there is no stage {key!r}")
            for name, key in (("from_stage", rule.from_stage), ("to_stage", rule.to_stage))
            if key is not None and key not in pipeline
        ]
        yield from unknown or _direction_findings(pointer, rule, pipeline)
    yield from _cascade_findings(pipeline)
    yield from _cycles(pipeline)
    yield from _unled_stages(pipeline)


def _reassign_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    for source, stages in pipeline.reassign.items():
        for stage_key, target in stages.items():
            pointer = f"/reassign/{source}/{stage_key}"
            if target not in pipeline:
                yield error("stage_unknown", pointer, f"there is no stage {target!r}")
            elif not pipeline.is_open(target):
                yield error("reassign_closes", pointer, f"{target} is closed: going to another pipeline closes nothing")


def _stage_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    keys = Counter(s.key for s in pipeline.stages)
    if not any(s.category is Category.OPEN for s in pipeline.stages):
        yield error("no_open_stage", "/stages", "an opportunity needs an open stage to start in")
    closed = False
    for i, stage in enumerate(pipeline.stages):
        if keys[stage.key] > 1:
            yield error("stage_duplicate", f"/stages/{i}/key", f"{stage.key!r} names more than one stage")
        if closed and stage.category is Category.OPEN:
            text = f"{stage.key} comes after a closed stage; stages are listed in the order of progress"
            yield error("open_after_closed", f"/stages/{i}", text)
        closed = closed or stage.category is not Category.OPEN


def _direction_findings(pointer: str, rule: Rule, pipeline: Pipeline) -> Iterator[LintFinding]:
    target = pipeline.stage(rule.to_stage)
    to_open = target.category is Category.OPEN
    if target.category is Category.WON and rule.mode is RuleMode.AUTO:
        text = f"{rule.rule_id} closes opportunities as won without asking a person; the default is to propose"
        yield warning("won_is_automatic", f"{pointer}/mode", text)
    if target.category in (Category.LOST, Category.ABANDONED) and rule.mode is RuleMode.AUTO and not rule.reason_code:
        text = f"{rule.rule_id} gives opportunities up by itself, so it needs a reason_code"
        yield error("rule_without_reason", f"{pointer}/reason_code", text)
    yield from _lasting_findings(pointer, rule)
    if rule.from_stage is None:
        if rule.back:
            text = f"{rule.rule_id} leads back, so it has to name the stage it leaves"
            yield error("rule_not_back", f"{pointer}/from_stage", text)
        if to_open:
            text = f"{rule.rule_id} acts only in stages before {target.key}: rules never lead back"
            yield info("rule_limited_to_stages", f"{pointer}/to_stage", text)
        return
    if rule.from_stage == rule.to_stage:
        yield error("rule_goes_nowhere", f"{pointer}/to_stage", f"{rule.rule_id} leads to where it starts")
    elif not pipeline.is_open(rule.from_stage):
        text = f"{rule.from_stage} is closed: only a person reopens an opportunity"
        yield error("rule_leaves_closed_stage", f"{pointer}/from_stage", text)
    elif to_open and pipeline.rank(rule.to_stage) < pipeline.rank(rule.from_stage):
        if not rule.back:
            text = "only a person goes back to an earlier stage; a rule that is meant to says `back`"
            yield error("rule_goes_back", f"{pointer}/to_stage", text)
    elif rule.back:
        yield error("rule_not_back", f"{pointer}/back", f"{rule.to_stage} is no earlier stage than {rule.from_stage}")
    elif to_open and pipeline.skipped(rule.from_stage, rule.to_stage):
        skipped = ", ".join(pipeline.skipped(rule.from_stage, rule.to_stage))
        if pipeline.skip_policy is not SkipPolicy.IF_GUARDS_HOLD:
            text = f"{rule.rule_id} skips {skipped}, which the pipeline's skip policy forbids"
            yield error("rule_skips", f"{pointer}/to_stage", text)


def _lasting_findings(pointer: str, rule: Rule) -> Iterator[LintFinding]:
    if not rule.lasting:
        if rule.back and rule.mode is RuleMode.AUTO:
            text = f"{rule.rule_id} leads back the moment it holds; with `lasting` it waits until that has lasted"
            yield warning("back_at_once", f"{pointer}/lasting", text)
        return
    if not rule.back:
        text = f"{rule.rule_id} leads on: only a rule that leads back waits until its conditions have lasted"
        yield error("lasting_not_back", f"{pointer}/lasting", text)
    try:
        duration_of(rule.lasting)
    except ValueError as fault:
        yield error("duration_invalid", f"{pointer}/lasting", str(fault))


def _cascade_findings(pipeline: Pipeline) -> Iterator[LintFinding]:
    if pipeline.cascade_at_most > len(pipeline.stages):
        text = f"at most {len(pipeline.stages)} moves can follow one another: there are no more stages"
        yield error("cascade_too_long", "/cascade_at_most", text)


def _cycles(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Circles among rules that act by themselves; each is reported once, at the rule that closes it."""
    follows: dict[str, list[tuple[int, Rule]]] = {}
    for index, rule in enumerate(pipeline.rules):
        if rule.mode is RuleMode.AUTO and not _undoes(rule, pipeline):
            for source in _sources(rule, pipeline):
                follows.setdefault(source, []).append((index, rule))
    finished: set[str] = set()

    def walk(stage: str, path: list[str]) -> Iterator[LintFinding]:
        for index, rule in follows.get(stage, []):
            if rule.to_stage in path:
                circle = " → ".join((*path[path.index(rule.to_stage) :], rule.to_stage))
                yield error("rules_circular", f"/rules/{index}/to_stage", f"automatic rules go round: {circle}")
            elif rule.to_stage not in finished:
                yield from walk(rule.to_stage, [*path, rule.to_stage])
        finished.add(stage)

    for stage in list(follows):
        if stage not in finished:
            yield from walk(stage, [stage])


def _sources(rule: Rule, pipeline: Pipeline) -> list[str]:
    """The open stages that a rule leaves; one that names none leads on only."""
    if rule.from_stage is not None:
        return [rule.from_stage]
    if rule.to_stage not in pipeline:
        return []
    return [s.key for s in pipeline.stages[: pipeline.rank(rule.to_stage)] if pipeline.is_open(s.key)]


def _undoes(rule: Rule, pipeline: Pipeline) -> bool:
    """Whether no automatic rule that leads on from there follows a rule that leads back: on the same facts it does not
    hold, or it needs answers of the new visit that the way back does not rest on."""
    if not rule.back:
        return False
    onward = [
        r
        for r in pipeline.rules
        if r.mode is RuleMode.AUTO and not r.back and rule.to_stage in _sources(r, pipeline)
        # A closed stage is the end of every way.
        if r.to_stage in pipeline and pipeline.is_open(r.to_stage)
    ]
    return all(_exclude(rule, other, pipeline) or _needs_answers(other, rule, pipeline) for other in onward)


def _needs_answers(rule: Rule, besides: Rule, pipeline: Pipeline) -> bool:
    """Whether a rule cannot hold without answers that the other does not read: those of before are stale."""
    read = {condition.fact for condition in besides.conditions}
    try:
        return any(
            assessment_of(c.fact) is not None and c.fact not in read and not read_condition(c, pipeline).holds(None)
            for c in rule.conditions
        )
    except CellError:
        return False


def _exclude(rule: Rule, other: Rule, pipeline: Pipeline) -> bool:
    cells: dict[str, list[Cell]] = {}
    try:
        for condition in (*rule.conditions, *other.conditions):
            cells.setdefault(condition.fact, []).append(read_cell(condition, pipeline))
    except CellError:
        return False
    return any(intersect(each) is None for each in cells.values())


def _unled_stages(pipeline: Pipeline) -> Iterator[LintFinding]:
    targets = {r.to_stage for r in pipeline.rules if r.mode in (RuleMode.AUTO, RuleMode.PROPOSE)}
    first = next((s.key for s in pipeline.stages if s.category is Category.OPEN), None)
    for i, stage in enumerate(pipeline.stages):
        if stage.key in targets or stage.key == first:
            continue
        text = f"no rule leads to {stage.key}: only a person goes there"
        if stage.category in (Category.LOST, Category.ABANDONED):
            yield info("stage_without_rule", f"/stages/{i}", text)
        else:
            yield warning("stage_without_rule", f"/stages/{i}", text)
