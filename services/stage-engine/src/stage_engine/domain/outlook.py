"""What keeps an opportunity where it is, asked at any time: the same explanation that a rejected decision gives."""

from dataclasses import dataclass
from datetime import datetime

from stage_engine.domain.decision import NearMiss, Reason
from stage_engine.domain.evaluate import Ruleset, findings_of
from stage_engine.domain.explain import near_misses_of, reasons_of
from stage_engine.domain.known_facts import facts_of
from stage_engine.domain.lasting import not_yet
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.rules import RuleMode


@dataclass(frozen=True, slots=True)
class Way:
    """A rule that leads on from here, and what it still lacks; nothing when it holds."""

    rule_id: str
    to_stage: str
    mode: RuleMode
    missing: tuple[Reason, ...]
    near_misses: tuple[NearMiss, ...]


def ways_on(opportunity: Opportunity, rules: Ruleset, now: datetime) -> tuple[Way, ...]:
    """The acting rules that could hold in the current stage. None for an opportunity that is closed or not placed."""
    pipeline = rules.pipeline
    if not opportunity.stage_key or not pipeline.is_open(opportunity.stage_key):
        return ()
    facts = facts_of(opportunity, pipeline, opportunity.stage_key, now)
    ways = []
    for parsed in rules.tables[opportunity.stage_key]:
        if parsed.acts and parsed.possible:
            rule, result = parsed.rule, (findings_of(parsed, facts),)
            missing, near_misses = reasons_of(result), near_misses_of(opportunity, result)
            if not missing and rule.lasting:
                wait = not_yet(opportunity, parsed)
                missing = () if wait is None else (wait,)
            ways.append(Way(rule.rule_id, rule.to_stage, rule.mode, missing, near_misses))
    return tuple(ways)
