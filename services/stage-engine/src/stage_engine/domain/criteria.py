"""Criteria of stages: what a move is held to, and what is missing in their words. Milestones: what was reached."""

from dataclasses import dataclass, replace
from datetime import datetime

from stage_engine.domain.decision import Reason
from stage_engine.domain.evaluate import Ruleset, findings_of
from stage_engine.domain.explain import reasons_of
from stage_engine.domain.facts import Facts
from stage_engine.domain.known_facts import facts_in_force
from stage_engine.domain.opportunity import Opportunity, Reached
from stage_engine.domain.parsed import ParsedRule, Side, table_name
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Category, Criterion


@dataclass(frozen=True, slots=True)
class CriterionState:
    """A criterion of a stage as it is now, and what it still lacks; nothing when it is met."""

    criterion: Criterion
    side: Side
    missing: tuple[Reason, ...]

    @property
    def met(self) -> bool:
        return not self.missing


def gate(opportunity: Opportunity, rules: Ruleset, source: str, target: str, now: datetime) -> tuple[Reason, ...]:
    """What required criteria hold a move back, in their words: exit criteria of what goes on or is won, and entry
    criteria of all but a way back. EngineFault when the two evaluators disagree."""
    names = gate_tables(rules, source, target)
    if not names:
        return ()
    facts = facts_in_force(opportunity, rules.pipeline, now)
    reasons: list[Reason] = []
    for name in names:
        hits = rules.hits(name, facts)
        unmet = [each for each in rules.demands[name] if each.acts and each not in hits]
        for each in unmet:
            reasons += _in_words(each, rules.pipeline, name, facts)
    return tuple(reasons)


def gate_tables(rules: Ruleset, source: str, target: str) -> list[str]:
    """The tables of criteria that a move from one stage to another is held to."""
    pipeline = rules.pipeline
    if not rules.demands or not source or not pipeline.is_open(source):
        return []
    gives_up = pipeline.stage(target).category in (Category.LOST, Category.ABANDONED)
    if not gives_up and pipeline.rank(target) < pipeline.rank(source):
        return []
    names = [] if gives_up else [table_name(source, Side.EXIT)]
    return [name for name in (*names, table_name(target, Side.ENTRY)) if name in rules.demands]


def _in_words(parsed: ParsedRule, pipeline: Pipeline, table: str, facts: Facts) -> list[Reason]:
    stage_key, _, side = table.partition("/")
    criterion = criterion_of(pipeline, stage_key, Side(side), parsed.rule.rule_id)
    return [
        replace(reason, message=f"{criterion.name}: {reason.message}", criterion=criterion.key)
        for reason in reasons_of([findings_of(parsed, facts)])
    ]


def criterion_of(pipeline: Pipeline, stage_key: str, side: Side, key: str) -> Criterion:
    """The criterion of this key."""
    stage = pipeline.stage(stage_key)
    return next(each for each in (stage.entry if side is Side.ENTRY else stage.exit) if each.key == key)


def criteria_now(opportunity: Opportunity, rules: Ruleset, now: datetime) -> tuple[CriterionState, ...]:
    """The exit criteria of the stage in the order of the pipeline, met or not."""
    pipeline, stage_key = rules.pipeline, opportunity.stage_key
    name = table_name(stage_key, Side.EXIT)
    if name not in rules.demands or not pipeline.is_open(stage_key):
        return ()
    facts = facts_in_force(opportunity, pipeline, now)
    parsed = {each.rule.rule_id: each for each in rules.demands[name]}
    return tuple(
        CriterionState(each, Side.EXIT, reasons_of([findings_of(parsed[each.key], facts)]))
        for each in pipeline.stage(stage_key).exit
    )


def with_milestones(
    opportunity: Opportunity, rules: Ruleset, triggers: frozenset[str], input_id: str, now: datetime
) -> tuple[Opportunity, frozenset[str]]:
    """The opportunity with the milestones of its stage that the changed facts complete, and the names of their facts. A
    repeatable one counts each change on which it holds; another is reached once and for ever."""
    name = table_name(opportunity.stage_key, Side.MILESTONES)
    table = rules.demands.get(name, ())
    if not any(not triggers.isdisjoint(each.facts) for each in table):
        return opportunity, frozenset()
    hits = rules.hits(name, facts_in_force(opportunity, rules.pipeline, now))
    repeatable = {m.key for m in rules.pipeline.stage(opportunity.stage_key).milestones if m.repeatable}
    milestones = dict(opportunity.milestones)
    found: set[str] = set()
    for each in hits:
        key = each.rule.rule_id
        last = milestones.get(key)
        if triggers.isdisjoint(each.facts) or (last is not None and key not in repeatable):
            continue
        milestones[key] = Reached(now, input_id) if last is None else replace(last, count=last.count + 1)
        found.add(f"milestones.{key}")
    return (opportunity.changed(milestones=milestones), frozenset(found)) if found else (opportunity, frozenset())
