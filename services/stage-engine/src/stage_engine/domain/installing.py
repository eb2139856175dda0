"""What a process template becomes at a tenant: its keys under a prefix, its rules beside those that are there."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stage_engine.domain.assignment import AssignmentRules
from stage_engine.domain.document import from_document

# Members of a pipeline's content that name a fact, and those that are texts over facts.
_FACTS = frozenset({"fact", "supplied_by", "met_by"})
_TEXTS = frozenset({"text", "details", "to", "value"})


def prefixed(prefix: str, key: str) -> str:
    """The key that something gets."""
    return f"{prefix}_{key}" if prefix else key


def renamed(content: Mapping[str, Any], prefix: str, assessments: Collection[str]) -> dict[str, Any]:
    """A pipeline's content whose key, and those of its assessments and of the pipelines that it names, have the prefix.
    It is no default: that is the one without a prefix."""
    if not prefix:
        return dict(content)
    names = "|".join(map(re.escape, assessments)) or "(?!)"
    fact, named = re.compile(rf"(?:{names})\."), re.compile(rf"\{{(?=(?:{names})\.)")

    def walk(value: Any, member: str = "") -> Any:
        if isinstance(value, dict):
            return {name: walk(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [prefixed(prefix, each) for each in value] if member == "assessment_keys" else [*map(walk, value)]
        if isinstance(value, str) and member in _FACTS and fact.match(value):
            return prefixed(prefix, value)
        if isinstance(value, str) and member in _TEXTS:
            return named.sub(f"{{{prefix}_", value)
        return value

    found = walk(dict(content))
    for member in ("reassign", "assessment_max_age"):
        if member in found:
            found[member] = {prefixed(prefix, key): value for key, value in found[member].items()}
    return {**found, "key": prefixed(prefix, content["key"]), "is_default": False}


def same_content(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two contents are the same pipeline, whatever versions of assessments it was released with."""
    first, second = (replace(from_document(each, 1), assessment_versions={}) for each in (one, other))
    return first == second


def staffed(rules: AssignmentRules, prefix: str, people: Mapping[str, Collection[str]]) -> AssignmentRules:
    """A template's rules with the people of their pools, and with the prefix."""
    pools = tuple(replace(pool, key=prefixed(prefix, pool.key), people=tuple(people[pool.key])) for pool in rules.pools)
    named = {pool.key: prefixed(prefix, pool.key) for pool in rules.pools}
    return replace(
        rules,
        rules=tuple(
            replace(rule, rule_id=prefixed(prefix, rule.rule_id), to=replace(rule.to, pool=named.get(rule.to.pool, "")))
            for rule in rules.rules
        ),
        pools=pools,
        fallback={role: replace(goal, pool=named.get(goal.pool, "")) for role, goal in rules.fallback.items()},
    )


@dataclass(frozen=True, slots=True)
class Merged:
    """Rules in force with those of a template after them, and what is in the way: a pointer and words for each."""

    rules: AssignmentRules
    clashes: tuple[tuple[str, str], ...] = ()


def merged(there: AssignmentRules | None, given: AssignmentRules) -> Merged:
    """What is there goes first and stays as it is: also people of a pool, and who gets what no rule takes."""
    if there is None:
        return Merged(given)
    rules = {rule.rule_id: rule for rule in there.rules}
    facts = {fact.name: fact for fact in there.facts}
    clashes = [
        (f"/rules/{rule.rule_id}", f"There is another assignment rule {rule.rule_id!r}.")
        for rule in given.rules
        if rules.get(rule.rule_id, rule) != rule
    ]
    clashes += [
        (f"/facts/{fact.name}", f"The assignment rules declare {fact.name!r} in another way.")
        for fact in given.facts
        if facts.get(fact.name, fact) != fact
    ]
    pools = {pool.key for pool in there.pools}
    return Merged(
        replace(
            there,
            rules=(*there.rules, *(rule for rule in given.rules if rule.rule_id not in rules)),
            pools=(*there.pools, *(pool for pool in given.pools if pool.key not in pools)),
            fallback={**given.fallback, **there.fallback},
            facts=(*there.facts, *(fact for fact in given.facts if fact.name not in facts)),
        ),
        tuple(clashes),
    )
