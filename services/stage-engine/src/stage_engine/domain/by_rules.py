"""Letting the rules decide on changed facts of an opportunity."""

from datetime import datetime
from operator import attrgetter

from stage_engine.domain.decision import Cause, Code, Explanation, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, ParsedRule, RuleResult, Ruleset, facts_read_by, findings_of
from stage_engine.domain.explain import facts_read, near_misses_of, reasons_of, shadows_of, smallest_margin
from stage_engine.domain.facts import Facts
from stage_engine.domain.move import Move, moved
from stage_engine.domain.opportunity import Opportunity, facts_of, score_fact
from stage_engine.domain.pipeline import Pipeline, RuleMode, SkipPolicy

_acts = attrgetter("acts")


def all_facts(opportunity: Opportunity, pipeline: Pipeline) -> frozenset[str]:
    """What is known in the current stage: the triggers when something that kept rules from acting has gone."""
    return frozenset(facts_of(opportunity, pipeline.stage(opportunity.stage_key).assessment_keys))


def by_rules(
    opportunity: Opportunity, rules: Ruleset, now: datetime, triggers: frozenset[str], submission_id: str = ""
) -> Ruling:
    """What the rules of the current stage make of the triggering facts, which `opportunity` already holds. A rule that
    reads none of them is not asked: it fires on the edge, not on an unrelated change."""
    stage = rules.pipeline.stage(opportunity.stage_key)
    facts = facts_of(opportunity, stage.assessment_keys)
    asked = rules.asked(stage.key, triggers)
    try:
        hits = [p for p in rules.hits(stage.key, facts) if p in asked.rules]
        winning = next(filter(_acts, hits), None)
        if winning is not None:
            return _won(opportunity, rules, now, findings_of(winning, facts), facts, shadows_of(hits), submission_id)
    except EngineFault as fault:
        return engine_fault(opportunity, fault)
    missed = [findings_of(p, facts) for p in asked.acting]
    return Ruling(
        Outcome.REJECTED if missed else Outcome.NO_OP,
        opportunity,
        reasons_of(missed) + shadows_of(hits),
        Explanation(
            hits[0].rule.rule_id if hits else "",
            smallest_margin(missed),
            facts_read(asked.facts, facts),
            near_misses_of(opportunity, missed),
        ),
    )


def _won(
    opportunity: Opportunity,
    rules: Ruleset,
    now: datetime,
    winner: RuleResult,
    facts: Facts,
    shadows: tuple[Reason, ...],
    submission_id: str,
) -> Ruling:
    pipeline, rule = rules.pipeline, winner.parsed.rule
    explanation = Explanation(
        rule_id=rule.rule_id,
        margin=smallest_margin((winner,)),
        facts=facts_read(facts_read_by((winner.parsed,)), facts),
    )
    refusal = _refusal(opportunity, rules, winner)
    if refusal:
        return Ruling(Outcome.REJECTED, with_earned(opportunity, pipeline, winner), refusal + shadows, explanation)
    if rule.mode is RuleMode.PROPOSE:
        after = with_earned(opportunity, pipeline, winner)
        return Ruling(Outcome.PROPOSED, after, shadows, explanation, proposed_stage=rule.to_stage)
    if not rules.automation:
        text = f"{rule.rule_id} holds, and automation of {pipeline.key} is switched off"
        withheld = (Reason(Code.AUTOMATION_OFF, "", None, text),)
        return Ruling(Outcome.REJECTED, with_earned(opportunity, pipeline, winner), withheld + shadows, explanation)
    move = Move(
        rule.to_stage,
        Cause.RULE,
        now,
        earned_stage=pipeline.further(opportunity.earned_stage, rule.to_stage),
        rule_id=rule.rule_id,
        submission_id=submission_id,
        reason_code=rule.reason_code,
    )
    after, transition = moved(opportunity, pipeline, move)
    return Ruling(Outcome.ACCEPTED, after, shadows, explanation, transition=transition, write=True)


def _captured_before_override(opportunity: Opportunity, winner: RuleResult) -> bool:
    override = opportunity.override
    if override is None:
        return False
    scores = (opportunity.scores.get(fact.removesuffix(".score")) for fact in winner.parsed.facts)
    return any(score is not None and score.captured_at < override.at for score in scores)


def with_earned(opportunity: Opportunity, pipeline: Pipeline, winner: RuleResult) -> Opportunity:
    """The opportunity with what a rule that holds has earned it. Evidence newer than an override that has caught up
    with the claimed stage ends the override: evidence and person agree."""
    earned = pipeline.further(opportunity.earned_stage, winner.parsed.rule.to_stage)
    agrees = (
        opportunity.override is not None
        and pipeline.rank(earned) >= pipeline.rank(opportunity.stage_key)
        and not _captured_before_override(opportunity, winner)
    )
    if earned == opportunity.earned_stage and not agrees:
        return opportunity
    return opportunity.changed(earned_stage=earned, override=None if agrees else opportunity.override)


def _refusal(opportunity: Opportunity, rules: Ruleset, winner: RuleResult) -> tuple[Reason, ...]:
    """Why a rule that holds may still not act."""
    if opportunity.override is not None and _captured_before_override(opportunity, winner):
        text = f"{opportunity.override.actor} set {opportunity.override.stage_key} after this evidence was captured"
        return (Reason(Code.OVERRIDE_ACTIVE, "", None, text),)
    target = winner.parsed.rule.to_stage
    skipped = rules.pipeline.skipped(opportunity.stage_key, target)
    if not skipped or not rules.pipeline.is_open(target):
        return ()
    if rules.pipeline.skip_policy is not SkipPolicy.IF_GUARDS_HOLD:
        return (Reason(Code.SKIP_FORBIDDEN, "", None, f"the pipeline forbids to skip {', '.join(skipped)}"),)
    hops = zip(skipped, (*skipped[1:], target), strict=True)
    return tuple(reason for source, following in hops for reason in guard(opportunity, rules, source, following))


def guard(opportunity: Opportunity, rules: Ruleset, source: str, target: str) -> tuple[Reason, ...]:
    """What keeps an opportunity from stepping from one stage to another: nothing when any rule for the step holds, or
    when no rule guards it. Stages the opportunity is not in are judged by their latest evidence of any visit."""
    facts = _facts_for_step(opportunity, rules, source)
    step = _step(rules, source, target)
    hits = rules.hits(source, facts)
    if any(p in hits for p in step):
        return ()
    return reasons_of([findings_of(p, facts) for p in step])


def rests_on_own(opportunity: Opportunity, rules: Ruleset, source: str, target: str, person_id: str) -> bool:
    """Whether a step is one that rules only propose, and on answers of this person, in force from any visit. A step
    that a rule takes by itself needs no confirmation."""
    step = _step(rules, source, target)
    hits = rules.hits(source, _facts_for_step(opportunity, rules, source))
    holding = [p for p in step if p in hits]
    if any(p.rule.mode is RuleMode.AUTO for p in holding):
        return False
    read = facts_read_by(holding or step)
    return any(s.submitted_by == person_id for key, s in opportunity.scores.items() if score_fact(key) in read)


def _step(rules: Ruleset, source: str, target: str) -> list[ParsedRule]:
    return [p for p in rules.tables[source] if p.acts and p.rule.to_stage == target]


def _facts_for_step(opportunity: Opportunity, rules: Ruleset, source: str) -> Facts:
    keys = rules.pipeline.stage(source).assessment_keys
    return facts_of(opportunity, keys, of_any_visit=source != opportunity.stage_key)


def engine_fault(opportunity: Opportunity, fault: EngineFault) -> Ruling:
    """Nothing is guessed when the engine cannot be believed; the new facts are kept."""
    return Ruling(Outcome.REJECTED, opportunity, (Reason(Code(fault.code), "", None, str(fault)),))
