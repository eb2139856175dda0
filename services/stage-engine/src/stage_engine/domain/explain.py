"""Turning how the rules came out into reasons a person can act on."""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from operator import itemgetter

from stage_engine.domain.cells import side
from stage_engine.domain.decision import Code, NearMiss, Reason
from stage_engine.domain.evaluate import Finding, RuleResult
from stage_engine.domain.facts import Facts, assessment_of
from stage_engine.domain.literals import shown
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import ParsedRule

# Questions named in a near miss: more would hide the ones that matter.
QUESTION_LIMIT = 5
# Near misses named in one decision: the nearest are those that can be closed.
NEAR_MISS_LIMIT = 5
# Reasons named in one decision, of the rules that come first: its event has no room for all that a pipeline may hold.
REASON_LIMIT = 100


@lru_cache(8192)
def _reason(finding: Finding) -> Reason:
    fact, actual, margin = finding.fact, finding.actual, finding.margin
    if actual is None:
        return Reason(Code.MISSING, fact, None, f"{fact} is not known; needed: {finding.cell}")
    text = f"{fact} is {shown(actual)}; needed: {finding.cell}"
    gap = gap_of(finding)
    return Reason(Code.FAILED, fact, margin, f"{text}; {gap}" if gap else text, finding.condition.unit)


def gap_of(finding: Finding) -> str:
    """How far off a condition is in words, such as `3 days late` or `2,000 EUR short`; empty where that has no
    meaning or is nothing."""
    if not finding.margin or finding.actual is None:
        return ""
    number, unit = abs(finding.margin), finding.condition.unit
    amount = f"{number.normalize():,f}" if number % 1 else f"{number:,.0f}"
    if number == 1 and unit in ("points", "days", "contacts"):
        unit = unit.removesuffix("s")
    return " ".join(filter(None, (amount, unit, side(finding.condition.cell, finding.actual))))


def reasons_of(results: Iterable[RuleResult]) -> tuple[Reason, ...]:
    """What is missing or failed, each once, in the order of the rules, REASON_LIMIT at most."""
    unmet: dict[tuple[str, str], Finding] = {}
    for result in results:
        for finding in result.unmet:
            unmet.setdefault((finding.fact, finding.cell), finding)
    return tuple([_reason(finding) for finding in islice(unmet.values(), REASON_LIMIT)])


def shadows_of(hits: Iterable[ParsedRule]) -> tuple[Reason, ...]:
    """Rules that hold but only record."""
    shadows: list[Reason] = []
    for parsed in hits:
        if not parsed.acts:
            text = f"{parsed.rule.rule_id} would move to {parsed.rule.to_stage}"
            shadows.append(Reason(Code.RULE_SHADOW, "", None, text))
    return tuple(shadows)


def near_misses_of(opportunity: Opportunity, results: Iterable[RuleResult]) -> tuple[NearMiss, ...]:
    """The conditions of rules that only numbers kept from holding, the nearest first."""
    missed: list[tuple[Decimal, str, NearMiss]] = []
    for result in results:
        parsed, unmet = result.parsed, result.unmet
        for finding in unmet:
            if finding.margin is None:
                break
        else:
            for finding in unmet:
                assert finding.margin is not None
                near = _near_miss(parsed, finding, _questions(opportunity, finding))
                missed.append((abs(finding.margin), parsed.rule.rule_id, near))
    if len(missed) > 1:
        missed.sort(key=itemgetter(0, 1))
    return tuple([miss for _, _, miss in missed[:NEAR_MISS_LIMIT]])


def _questions(opportunity: Opportunity, finding: Finding) -> tuple[str, ...]:
    """The questions that lost points of what the finding is about, most first."""
    score = opportunity.scores.get(assessment_of(finding.fact) or "")
    return tuple([key for key, _ in score.lost[:QUESTION_LIMIT]]) if score is not None else ()


@lru_cache(8192)
def _near_miss(parsed: ParsedRule, finding: Finding, keys: tuple[str, ...]) -> NearMiss:
    rule, condition, margin = parsed.rule, finding.condition, finding.margin
    assert margin is not None and finding.actual is not None
    actual = shown(finding.actual)
    return NearMiss(rule.rule_id, rule.to_stage, condition.fact, condition.text, actual, margin, keys, condition.unit)


def smallest_margin(results: Iterable[RuleResult]) -> Decimal | None:
    """The distance of the tightest comparison."""
    tightest = None
    for result in results:
        for finding in result.findings:
            margin = finding.margin
            if margin is not None and (tightest is None or abs(margin) < abs(tightest)):
                tightest = margin
    return tightest


def facts_read(names: Iterable[str], facts: Facts) -> tuple[tuple[str, str], ...]:
    """Those of these facts that are known, as text."""
    return tuple([(n, shown(facts[n])) for n in names if n in facts])
