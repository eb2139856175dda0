"""Turning how the rules came out into reasons a person can act on."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from stage_engine.domain.decision import Code, Decision, NearMiss, Outcome, Reason, Transition
from stage_engine.domain.evaluate import Facts, Finding, RuleResult, Truth
from stage_engine.domain.grammar import plain
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.state import Instance

# Questions named in a near miss: more would hide the ones that matter.
QUESTION_LIMIT = 5


def _reason(finding: Finding) -> Reason:
    if finding.truth is Truth.MISSING:
        return Reason(Code.MISSING, finding.fact, None, f"{finding.fact} is not known; needed: {finding.cell}")
    actual = plain(finding.actual) if isinstance(finding.actual, Decimal) else finding.actual
    return Reason(Code.FAILED, finding.fact, finding.margin, f"{finding.fact} is {actual}; needed: {finding.cell}")


def reasons_of(results: Iterable[RuleResult]) -> tuple[Reason, ...]:
    """What is missing or failed, each once, in the order of the rules."""
    return tuple(dict.fromkeys(_reason(f) for r in results for f in r.findings if f.truth is not Truth.HOLDS))


def shadows_of(results: Iterable[RuleResult]) -> tuple[Reason, ...]:
    """Rules that hold but only record."""
    return tuple(
        Reason(Code.RULE_SHADOW, "", None, f"{r.parsed.rule.rule_id} would move to {r.parsed.rule.to_stage}")
        for r in results
        if r.hit and not r.parsed.acts
    )


def near_misses_of(instance: Instance, results: Iterable[RuleResult]) -> tuple[NearMiss, ...]:
    """Rules that only numbers kept from holding, the nearest first."""
    misses: list[NearMiss] = []
    for result in results:
        open_findings = [f for f in result.findings if f.truth is not Truth.HOLDS]
        if any(f.margin is None for f in open_findings):
            continue
        rule = result.parsed.rule
        for f in open_findings:
            assert isinstance(f.actual, Decimal) and f.margin is not None
            score = instance.scores.get(f.fact.removesuffix(".score"))
            lost = () if score is None else score.lost[:QUESTION_LIMIT]
            questions = tuple(question for question, _ in lost)
            misses.append(NearMiss(rule.rule_id, rule.to_stage, f.fact, f.cell, f.actual, f.margin, questions))
    misses.sort(key=lambda m: (abs(m.margin), m.rule_id))
    return tuple(misses)


def smallest_margin(results: Iterable[RuleResult]) -> Decimal | None:
    """The distance of the tightest comparison."""
    margins = [f.margin for r in results for f in r.findings if f.margin is not None]
    return min(margins, key=abs, default=None)


def facts_read(results: Iterable[RuleResult], facts: Facts) -> tuple[tuple[str, str], ...]:
    """The known facts that these rules read, as text."""
    names = sorted({fact for r in results for fact in r.parsed.facts if fact in facts})
    return tuple([(n, plain(v) if isinstance(v := facts[n], Decimal) else v) for n in names])


def answer(
    pipeline: Pipeline,
    before: Instance | None,
    after: Instance | None,
    outcome: Outcome,
    now: datetime,
    *,
    reasons: Sequence[Reason] = (),
    near_misses: tuple[NearMiss, ...] = (),
    rule_id: str = "",
    margin: Decimal | None = None,
    facts: tuple[tuple[str, str], ...] = (),
    proposed_stage: str = "",
    transition: Transition | None = None,
    write: bool = False,
    actor: str = "",
) -> Decision:
    """The decision. `write` asks for the CRM to be brought to the stage the deal is in now; a write that follows one
    the CRM refused says so."""
    assert after is not None or not write
    target = after.stage_key if write and after is not None else ""
    if write and after is not None and after.sync_error is not None:
        error = after.sync_error
        blocked = Reason(Code.SYNC_BLOCKED, "", None, f"the CRM refused {error.stage_key}: {error.code}")
        reasons = (*reasons, blocked)
    return Decision(
        outcome,
        tuple(reasons),
        near_misses,
        rule_id,
        margin,
        facts,
        pipeline.key,
        pipeline.version,
        before.stage_key if before is not None else "",
        after.stage_key if after is not None else "",
        proposed_stage,
        transition,
        target,
        after.base_stage if write and after is not None else "",
        actor,
        now,
        after,
    )
