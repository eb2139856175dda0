"""Turning how the rules came out into reasons a person can act on."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from operator import itemgetter

from stage_engine.domain.decision import Code, Decision, NearMiss, Outcome, Reason, Transition
from stage_engine.domain.evaluate import Facts, Finding, Match, ParsedRule, RuleResult, Truth
from stage_engine.domain.grammar import plain
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.state import Instance

# Questions named in a near miss: more would hide the ones that matter.
QUESTION_LIMIT = 5
# Near misses told of one decision: the nearest are what can be done something about.
NEAR_MISS_LIMIT = 5
ZERO = Decimal(0)


def _reason(finding: Finding) -> Reason:
    truth, fact, cell, actual, margin = finding
    if truth is Truth.MISSING:
        return Reason(Code.MISSING, fact, None, f"{fact} is not known; needed: {cell}")
    shown = plain(actual) if isinstance(actual, Decimal) else actual
    return Reason(Code.FAILED, fact, margin, f"{fact} is {shown}; needed: {cell}")


def reasons_of(results: Iterable[RuleResult]) -> tuple[Reason, ...]:
    """What is missing or failed, each once, in the order of the rules."""
    open_findings: dict[tuple[str, str], Finding] = {}
    for result in results:
        if not result.hit:
            for f in result.findings:
                if f.truth:
                    open_findings.setdefault((f.fact, f.cell), f)
    return tuple([_reason(f) for f in open_findings.values()])


def shadows_of(matches: Iterable[Match]) -> tuple[Reason, ...]:
    """Rules that hold but only record."""
    return tuple(
        Reason(Code.RULE_SHADOW, "", None, f"{m.parsed.rule.rule_id} would move to {m.parsed.rule.to_stage}")
        for m in matches
        if m.hit and not m.parsed.acts
    )


def near_misses_of(instance: Instance, results: Iterable[RuleResult]) -> tuple[NearMiss, ...]:
    """The conditions of rules that only numbers kept from holding, the nearest first."""
    missed: list[tuple[Decimal, str, RuleResult, Finding]] = []
    for result in results:
        if result.hit:
            continue
        open_findings = [f for f in result.findings if f.truth]
        if None not in [f.margin for f in open_findings]:
            missed += [(abs(f.margin or ZERO), result.parsed.rule.rule_id, result, f) for f in open_findings]
    missed.sort(key=itemgetter(0, 1))
    return tuple([_near_miss(instance, result, f) for _, _, result, f in missed[:NEAR_MISS_LIMIT]])


def _near_miss(instance: Instance, result: RuleResult, finding: Finding) -> NearMiss:
    _, fact, cell, actual, margin = finding
    assert isinstance(actual, Decimal) and margin is not None
    score = instance.scores.get(fact.removesuffix(".score"))
    lost = () if score is None else score.lost[:QUESTION_LIMIT]
    rule = result.parsed.rule
    return NearMiss(rule.rule_id, rule.to_stage, fact, cell, actual, margin, tuple([key for key, _ in lost]))


def smallest_margin(results: Iterable[RuleResult]) -> Decimal | None:
    """The distance of the tightest comparison."""
    margins = [f.margin for r in results for f in r.findings if f.margin is not None]
    return min(margins, key=abs, default=None)


def facts_read(rules: Iterable[ParsedRule], facts: Facts) -> tuple[tuple[str, str], ...]:
    """The known facts that these rules read, as text."""
    names = sorted({fact for parsed in rules for fact in parsed.facts if fact in facts})
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
