"""What keeps a deal where it is, asked at any time: the same explanation that a rejected decision gives."""

from typing import NamedTuple

from stage_engine.domain.decision import NearMiss, Reason
from stage_engine.domain.evaluate import Ruleset, findings_of
from stage_engine.domain.explain import near_misses_of, reasons_of
from stage_engine.domain.pipeline import RuleMode
from stage_engine.domain.state import OPPORTUNITY_FACTS, Instance, facts_of, score_fact


class Way(NamedTuple):
    """A rule that leads on from here, and what it still lacks; nothing when it holds."""

    rule_id: str
    to_stage: str
    mode: RuleMode
    missing: tuple[Reason, ...]
    near_misses: tuple[NearMiss, ...]


def ways_on(instance: Instance, rules: Ruleset) -> tuple[Way, ...]:
    """The acting rules that could hold in the deal's current stage. None for a deal that is closed or not placed."""
    pipeline = rules.pipeline
    if not instance.stage_key or not pipeline.is_open(instance.stage_key):
        return ()
    keys = pipeline.stage(instance.stage_key).assessment_keys
    possible = {*OPPORTUNITY_FACTS, *map(score_fact, keys)}
    facts = facts_of(instance, keys)
    ways = []
    for parsed in rules.tables[instance.stage_key]:
        if parsed.acts and parsed.facts <= possible:
            result = (findings_of(parsed, facts),)
            rule = parsed.rule
            ways.append(
                Way(rule.rule_id, rule.to_stage, rule.mode, reasons_of(result), near_misses_of(instance, result))
            )
    return tuple(ways)
