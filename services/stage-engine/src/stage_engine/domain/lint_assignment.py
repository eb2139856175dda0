"""Checks of assignment rules before they are put in force."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from stage_engine.domain.assignment import (
    MOST_ABSENCES,
    MOST_FACTS,
    MOST_FALLBACKS,
    MOST_OF_A_POOL,
    MOST_POOLS,
    MOST_RULES,
    AssignmentRules,
    Goal,
)
from stage_engine.domain.facts import AGES
from stage_engine.domain.finding import LintFinding, error, warning
from stage_engine.domain.lint_facts import CellCheck, condition_findings
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import SkipPolicy


def assignment_findings(object_type: str, rules: AssignmentRules, engine_objects: CellCheck) -> list[LintFinding]:
    """Every finding."""
    return [
        *_too_many(rules),
        *_rule_findings(object_type, rules, engine_objects),
        *_pool_findings(rules),
        *_fallback_findings(rules),
    ]


def _too_many(rules: AssignmentRules) -> Iterator[LintFinding]:
    counted = [
        ("/rules", len(rules.rules), MOST_RULES),
        ("/pools", len(rules.pools), MOST_POOLS),
        ("/absences", len(rules.absences), MOST_ABSENCES),
        ("/fallback", len(rules.fallback), MOST_FALLBACKS),
        ("/facts", len(rules.facts), MOST_FACTS),
    ]
    counted += ((f"/pools/{i}/people", len(pool.people), MOST_OF_A_POOL) for i, pool in enumerate(rules.pools))
    for pointer, number, most in counted:
        if number > most:
            yield error("too_many", pointer, f"there would be {number}, and {most} may be; take some out first")


def people_findings(rules: AssignmentRules, active: Mapping[str, bool]) -> Iterator[LintFinding]:
    """Who of the people named gets nothing: `active` has those whom the CRM has."""
    named = [(f"/rules/{i}/to/person", each.to.person) for i, each in enumerate(rules.rules)]
    named += [
        (f"/pools/{i}/people/{j}", person) for i, pool in enumerate(rules.pools) for j, person in enumerate(pool.people)
    ]
    named += [(f"/fallback/{role}/person", goal.person) for role, goal in rules.fallback.items()]
    for pointer, person in named:
        if person and person not in active:
            yield warning("person_unknown", pointer, f"{person} is no user of the CRM, and gets nothing")
        elif person and not active[person]:
            yield warning("person_inactive", pointer, f"{person} is not active in the CRM any more, and gets nothing")


def facts_of(object_type: str, rules: AssignmentRules) -> Pipeline:
    """What is known of facts by the rules' declarations."""
    facts = rules.facts
    return Pipeline("", 0, "", (), (), SkipPolicy.FORBID, facts=facts, object_type=object_type, currency=rules.currency)


def _rule_findings(object_type: str, rules: AssignmentRules, engine_objects: CellCheck) -> Iterator[LintFinding]:
    known = facts_of(object_type, rules)
    ids = Counter(each.rule_id for each in rules.rules)
    certain: dict[str, str] = {}
    for i, rule in enumerate(rules.rules):
        pointer = f"/rules/{i}"
        if ids[rule.rule_id] > 1:
            yield error("rule_duplicate", f"{pointer}/rule_id", f"{rule.rule_id!r} names more than one rule")
        yield from condition_findings(f"{pointer}/conditions", rule.conditions, known, engine_objects)
        for j, condition in enumerate(rule.conditions):
            if condition.fact in AGES:
                text = f"{condition.fact} is not known of what is new: ask for a field or a reported fact"
                yield error("fact_worked_out", f"{pointer}/conditions/{j}/fact", text)
        yield from _goal_findings(f"{pointer}/to", rule.to, rules, known)
        if rule.role in certain:
            text = f"{certain[rule.role]} comes before it and holds always: it gets what that one finds no person for"
            yield warning("rule_shadowed", pointer, text)
        elif not rule.conditions:
            certain[rule.role] = rule.rule_id


def _pool_findings(rules: AssignmentRules) -> Iterator[LintFinding]:
    keys = Counter(each.key for each in rules.pools)
    used = {goal.pool for goal in _goals(rules)}
    for i, pool in enumerate(rules.pools):
        if keys[pool.key] > 1:
            yield error("pool_duplicate", f"/pools/{i}/key", f"{pool.key!r} names more than one pool")
        if not pool.people:
            yield error("pool_empty", f"/pools/{i}/people", f"there is no one in {pool.key}")
        if pool.key not in used:
            yield warning("pool_unused", f"/pools/{i}", f"no rule leads to {pool.key}")
    for i, each in enumerate(rules.absences):
        if each.until <= each.since:
            yield error("absence_empty", f"/absences/{i}/until", "an absence ends after it begins")


def _fallback_findings(rules: AssignmentRules) -> Iterator[LintFinding]:
    for role, goal in rules.fallback.items():
        yield from _goal_findings(f"/fallback/{role}", goal, rules, None)
    for role in rules.roles:
        if role not in rules.fallback:
            text = f"what no rule finds a person for stays without {role}: name a fallback"
            yield warning("fallback_missing", "/fallback", text)


def _goal_findings(pointer: str, goal: Goal, rules: AssignmentRules, known: Pipeline | None) -> Iterator[LintFinding]:
    if sum(map(bool, (goal.person, goal.person_of, goal.pool))) != 1:
        yield error("goal_unclear", pointer, "name a person, a fact that names one, or a pool: exactly one of them")
    if goal.pool and goal.pool not in {each.key for each in rules.pools}:
        yield error("pool_unknown", f"{pointer}/pool", f"{goal.pool!r} is no pool of these rules")
    if goal.person_of and known is not None and known.kind_of_fact(goal.person_of) is None:
        yield error("fact_unknown", f"{pointer}/person_of", f"{goal.person_of!r} is no fact; declare it")


def _goals(rules: AssignmentRules) -> Iterable[Goal]:
    return [*(each.to for each in rules.rules), *rules.fallback.values()]
