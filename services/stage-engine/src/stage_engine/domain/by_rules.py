"""Letting the rules decide on changed facts of a deal."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from stage_engine.domain.decision import Cause, Code, Decision, Outcome, Reason
from stage_engine.domain.evaluate import EngineFault, Facts, ParsedRule, RuleResult, Ruleset, facts_read_by, findings_of
from stage_engine.domain.explain import (
    answer,
    facts_read,
    near_misses_of,
    reasons_of,
    shadows_of,
    smallest_margin,
)
from stage_engine.domain.move import moved
from stage_engine.domain.pipeline import Pipeline, RuleMode, SkipPolicy
from stage_engine.domain.state import Instance, facts_of

_acts = attrgetter("acts")


def decide_by_rules(
    before: Instance,
    instance: Instance,
    rules: Ruleset,
    now: datetime,
    triggers: frozenset[str],
    *,
    submission_id: str = "",
    actor: str = "",
) -> Decision:
    """What the rules of the current stage make of the triggering facts. A rule that reads none of them is not asked:
    it fires on the edge, not on an unrelated change. `instance` already holds the new facts."""
    pipeline = rules.pipeline
    stage = pipeline.stage(instance.stage_key)
    facts = facts_of(instance, stage.assessment_keys)
    asked = rules.asked(stage.key, triggers)
    try:
        hits = [p for p in rules.hits(stage.key, facts) if p in asked.rules]
        winning = next(filter(_acts, hits), None)
        if winning is not None:
            return _won(before, instance, rules, now, findings_of(winning, facts), hits, facts, submission_id, actor)
    except EngineFault as fault:
        return engine_fault(pipeline, before, instance, now, fault, actor)
    missed = [findings_of(p, facts) for p in asked.acting]
    return answer(
        pipeline,
        before,
        instance,
        Outcome.REJECTED if missed else Outcome.NO_OP,
        now,
        reasons=reasons_of(missed) + shadows_of(hits),
        near_misses=near_misses_of(instance, missed),
        rule_id=hits[0].rule.rule_id if hits else "",
        margin=smallest_margin(missed),
        facts=facts_read(asked.facts, facts),
        actor=actor,
    )


def _won(
    before: Instance,
    instance: Instance,
    rules: Ruleset,
    now: datetime,
    winner: RuleResult,
    hits: Sequence[ParsedRule],
    facts: Facts,
    submission_id: str,
    actor: str,
) -> Decision:
    pipeline = rules.pipeline
    rule = winner.parsed.rule
    refusal = _refusal(instance, rules, winner)
    outcome, transition, proposed = Outcome.REJECTED, None, ""
    if not refusal and rule.mode is not RuleMode.PROPOSE:
        outcome = Outcome.ACCEPTED
        after, transition = moved(
            instance,
            pipeline,
            rule.to_stage,
            cause=Cause.RULE,
            at=now,
            earned_stage=pipeline.further(instance.earned_stage, rule.to_stage),
            rule_id=rule.rule_id,
            submission_id=submission_id,
        )
    else:
        after = with_earned(instance, pipeline, winner)
        if not refusal:
            outcome, proposed = Outcome.PROPOSED, rule.to_stage
    return answer(
        pipeline,
        before,
        after,
        outcome,
        now,
        reasons=refusal + shadows_of(hits),
        rule_id=rule.rule_id,
        margin=smallest_margin((winner,)),
        facts=facts_read(facts_read_by((winner.parsed,)), facts),
        proposed_stage=proposed,
        transition=transition,
        write=transition is not None,
        actor=actor,
    )


def _captured_before_override(instance: Instance, winner: RuleResult) -> bool:
    override = instance.override
    if override is None:
        return False
    scores = (instance.scores.get(fact.removesuffix(".score")) for fact in winner.parsed.facts)
    return any(score is not None and score.captured_at < override.at for score in scores)


def with_earned(instance: Instance, pipeline: Pipeline, winner: RuleResult) -> Instance:
    """The deal with what a rule that holds has earned it. Evidence newer than an override that has caught up with the
    claimed stage ends the override: nobody disagrees any more."""
    earned = pipeline.further(instance.earned_stage, winner.parsed.rule.to_stage)
    agrees = (
        instance.override is not None
        and pipeline.rank(earned) >= pipeline.rank(instance.stage_key)
        and not _captured_before_override(instance, winner)
    )
    if earned == instance.earned_stage and not agrees:
        return instance
    return instance._replace(earned_stage=earned, override=None if agrees else instance.override)


def _refusal(instance: Instance, rules: Ruleset, winner: RuleResult) -> tuple[Reason, ...]:
    """Why a rule that holds may still not act."""
    if instance.override is not None and _captured_before_override(instance, winner):
        text = f"{instance.override.actor} set {instance.override.stage_key} after this evidence was captured"
        return (Reason(Code.OVERRIDE_ACTIVE, "", None, text),)
    skipped = rules.pipeline.skipped(instance.stage_key, winner.parsed.rule.to_stage)
    if not skipped or not rules.pipeline.is_open(winner.parsed.rule.to_stage):
        return ()
    if rules.pipeline.skip_policy is not SkipPolicy.IF_GUARDS_HOLD:
        return (Reason(Code.SKIP_FORBIDDEN, "", None, f"the pipeline forbids to skip {', '.join(skipped)}"),)
    hops = zip(skipped, (*skipped[1:], winner.parsed.rule.to_stage), strict=True)
    return tuple(reason for source, target in hops for reason in guard(instance, rules, source, target))


def guard(instance: Instance, rules: Ruleset, source: str, target: str) -> tuple[Reason, ...]:
    """What keeps a deal from stepping from one stage to another: nothing when any rule for the step holds, or when no
    rule guards it. Stages the deal is not in are judged by their latest evidence of any visit."""
    pipeline = rules.pipeline
    keys = pipeline.stage(source).assessment_keys
    facts = facts_of(instance, keys, of_any_visit=source != instance.stage_key)
    hits = rules.hits(source, facts)
    step = [p for p in rules.tables[source] if p.acts and p.rule.to_stage == target]
    if any(p in hits for p in step):
        return ()
    return reasons_of([findings_of(p, facts) for p in step])


def engine_fault(
    pipeline: Pipeline, before: Instance, instance: Instance, now: datetime, fault: EngineFault, actor: str
) -> Decision:
    """Nothing is guessed when the engine cannot be believed; the new facts are kept."""
    reason = Reason(Code(fault.code), "", None, str(fault))
    return answer(pipeline, before, instance, Outcome.REJECTED, now, reasons=(reason,), actor=actor)
