"""Letting the rules decide on changed facts of an opportunity."""

from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from stage_engine.domain.approving import approvals_for, asked_for, wish
from stage_engine.domain.criteria import gate, with_milestones
from stage_engine.domain.decision import Cause, Code, Explanation, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, RuleResult, Ruleset, facts_read_by, findings_of
from stage_engine.domain.explain import facts_read, near_misses_of, reasons_of, shadows_of, smallest_margin
from stage_engine.domain.facts import Facts, assessment_of
from stage_engine.domain.holds import ends_hold, resumed
from stage_engine.domain.inputs import FactChange, Hop, Input, Submission
from stage_engine.domain.known_facts import facts_in_force, facts_of
from stage_engine.domain.lasting import has_lasted, not_yet
from stage_engine.domain.move import Move, moved
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import ParsedRule
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import SkipPolicy
from stage_engine.domain.rules import Rule, RuleMode

_acts = attrgetter("acts")
# So many moves may lead to one another through the facts that subjects give each other.
HOPS_LIMIT = 10


def all_facts(opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> frozenset[str]:
    """What is known in the current stage: the triggers when something that kept rules from acting has gone."""
    return frozenset(facts_of(opportunity, pipeline, opportunity.stage_key, now))


def by_rules(opportunity: Opportunity, rules: Ruleset, now: datetime, triggers: frozenset[str], given: Input) -> Ruling:
    """What the rules of the current stage make of the triggering facts, which `opportunity` already holds, and of the
    milestones that these complete. A rule that reads none of them is not asked: it fires on the edge, not on an
    unrelated change."""
    if opportunity.hold is not None:
        in_force = facts_in_force(opportunity, rules.pipeline, now)
        if ends_hold(opportunity, rules.pipeline, in_force):
            opportunity = resumed(opportunity, rules.pipeline, now)
            triggers |= all_facts(opportunity, rules.pipeline, now)
    if rules.demands:
        try:
            opportunity, reached = with_milestones(opportunity, rules, triggers, given.input_id, now)
        except EngineFault as fault:
            return engine_fault(opportunity, fault)
        triggers |= reached
    facts = facts_of(opportunity, rules.pipeline, opportunity.stage_key, now)
    asked = rules.asked(opportunity.stage_key, triggers)
    try:
        every = rules.hits(opportunity.stage_key, facts)
        hits = [p for p in every if p in asked.rules and has_lasted(opportunity, p)] if every else every
        winning = next(filter(_acts, hits), None) if hits else None
        if winning is not None:
            return _won(opportunity, rules, now, findings_of(winning, facts), facts, shadows_of(hits), given)
    except EngineFault as fault:
        return engine_fault(opportunity, fault)
    missed = [findings_of(p, facts) for p in asked.acting]
    counting = [p for p in every if p in asked.rules] if opportunity.lasting else []
    waiting = tuple(reason for p in counting if (reason := not_yet(opportunity, p)) is not None)
    return Ruling(
        Outcome.REJECTED if missed else Outcome.NO_OP,
        opportunity,
        reasons_of(missed) + waiting + (shadows_of(hits) if hits else ()),
        Explanation(
            hits[0].rule.rule_id if hits else "",
            smallest_margin(missed),
            facts_read(asked.facts, facts),
            near_misses_of(opportunity, missed),
        ),
        stuck=not every or not any(map(_acts, every)),
    )


def _won(
    opportunity: Opportunity,
    rules: Ruleset,
    now: datetime,
    winner: RuleResult,
    facts: Facts,
    shadows: tuple[Reason, ...],
    given: Input,
) -> Ruling:
    pipeline, rule = rules.pipeline, winner.parsed.rule
    explanation = Explanation(
        rule_id=rule.rule_id,
        margin=smallest_margin((winner,)),
        facts=facts_read(facts_read_by((winner.parsed,)), facts),
    )
    target = rule.to_stage
    criteria = gate(opportunity, rules, opportunity.stage_key, target, now)
    if criteria:
        return Ruling(Outcome.REJECTED, opportunity, criteria + shadows, explanation)
    hops = given.hops if isinstance(given, FactChange | Hop) else 0
    refusal = _too_far(hops) or _refusal(opportunity, rules, winner, now)
    if refusal:
        return Ruling(Outcome.REJECTED, with_earned(opportunity, pipeline, winner), refusal + shadows, explanation)
    if rule.mode is RuleMode.PROPOSE:
        after = with_earned(opportunity, pipeline, winner)
        return Ruling(Outcome.PROPOSED, after, shadows, explanation, proposed_stage=rule.to_stage)
    if not rules.automation:
        text = f"{rule.rule_id} holds, and automation of {pipeline.key} is switched off"
        withheld = (Reason(Code.AUTOMATION_OFF, "", None, text),)
        return Ruling(Outcome.REJECTED, with_earned(opportunity, pipeline, winner), withheld + shadows, explanation)
    if rules.breaker_open:
        text = f"{rule.rule_id} holds, and rules of {pipeline.key} have moved unusually many: it only proposes"
        held = (Reason(Code.BREAKER_OPEN, "", None, text),)
        after = with_earned(opportunity, pipeline, winner)
        return Ruling(Outcome.PROPOSED, after, held + shadows, explanation, proposed_stage=target)
    approvals = approvals_for(opportunity, pipeline, target)
    if approvals:
        wanted = wish(opportunity, target, given.actor or _answered_by(opportunity, winner), now, rule.rule_id)
        ruling = asked_for(with_earned(opportunity, pipeline, winner), wanted, approvals, pipeline)
        return replace(ruling, reasons=ruling.reasons + shadows, explanation=explanation)
    return replace(carried_out(opportunity, pipeline, rule, now, explanation, given), reasons=shadows)


def _answered_by(opportunity: Opportunity, winner: RuleResult) -> str:
    """Whose answers a rule rests on, the newest: a move that follows from them by a timer, or by another move, is as
    much this person's as one that follows at once."""
    scores = (opportunity.scores.get(assessment_of(fact) or "") for fact in winner.parsed.facts)
    newest = max((each for each in scores if each is not None), key=lambda score: score.order, default=None)
    return "" if newest is None else newest.submitted_by


def carried_out(
    opportunity: Opportunity,
    pipeline: Pipeline,
    rule: Rule,
    now: datetime,
    explanation: Explanation,
    given: Input | None,
    *,
    accepted_by: str | None = None,
    reason_code: str = "",
) -> Ruling:
    """The move of a rule that holds, by itself on what was given, or because a person accepted it."""
    move = Move(
        rule.to_stage,
        Cause.RULE if accepted_by is None else Cause.PROPOSAL,
        now,
        earned_stage=pipeline.further(opportunity.earned_stage, rule.to_stage),
        rule_id=rule.rule_id,
        submission_id=given.submission_id if isinstance(given, Submission) else "",
        actor=accepted_by or "",
        reason_code=rule.reason_code or reason_code,
        hops=(given.hops if isinstance(given, FactChange | Hop) else 0) + 1,
    )
    after, transition = moved(earning_on(opportunity, pipeline), pipeline, move)
    return Ruling(Outcome.ACCEPTED, after, (), explanation, transition=transition, write=True)


def judged_again(opportunity: Opportunity, rules: Ruleset, rule_id: str, now: datetime) -> Ruling:
    """Whether a rule still leads on from here, in the mode that is in force now: ACCEPTED without a move where it does,
    else what it lacks. EngineFault when the two evaluators disagree."""
    stage_key = opportunity.stage_key
    parsed = next((p for p in rules.tables.get(stage_key, ()) if p.rule.rule_id == rule_id), None)
    if parsed is None or not parsed.acts:
        text = f"{rule_id} moves nothing out of {stage_key} any more, and proposes nothing"
        return Ruling(Outcome.REJECTED, opportunity, (Reason(Code.RULE_SHADOW, "", None, text),))
    facts = facts_of(opportunity, rules.pipeline, stage_key, now)
    result = findings_of(parsed, facts)
    explanation = Explanation(rule_id, smallest_margin((result,)), facts_read(facts_read_by((parsed,)), facts))
    missing = () if parsed in rules.hits(stage_key, facts) else reasons_of([result])
    missing = missing or gate(opportunity, rules, stage_key, parsed.rule.to_stage, now)
    missing = missing or _refusal(opportunity, rules, result, now)
    return Ruling(Outcome.REJECTED if missing else Outcome.ACCEPTED, opportunity, missing, explanation)


def _captured_before_override(opportunity: Opportunity, winner: RuleResult) -> bool:
    """Whether what holds is no newer than the override: any score that the rule reads, or without one all its facts."""
    override = opportunity.override
    if override is None:
        return False
    facts = winner.parsed.facts
    scores = (opportunity.scores.get(assessment_of(fact) or "") for fact in facts)
    captured = [score.captured_at for score in scores if score is not None]
    observed = [opportunity.facts[fact].observed_at for fact in facts if fact in opportunity.facts]
    return min(captured) < override.at if captured else bool(observed) and max(observed) < override.at


def with_earned(opportunity: Opportunity, pipeline: Pipeline, winner: RuleResult) -> Opportunity:
    """The opportunity with what a rule that holds has earned it. Evidence newer than an override that has caught up
    with the claimed stage ends the override: evidence and person agree."""
    earned = pipeline.further(opportunity.earned_stage, winner.parsed.rule.to_stage)
    agrees = (
        opportunity.override is not None
        and pipeline.rank(earned) >= pipeline.rank(opportunity.stage_key)
        and not _captured_before_override(opportunity, winner)
    )
    opportunity = earning_on(opportunity, pipeline)
    if earned == opportunity.earned_stage and not agrees:
        return opportunity
    return opportunity.changed(earned_stage=earned, override=None if agrees else opportunity.override)


def earning_on(opportunity: Opportunity, pipeline: Pipeline) -> Opportunity:
    """The opportunity once a rule has led on from its stage: evidence may earn on from there."""
    stage_key = opportunity.stage_key
    if stage_key == pipeline.first_stage() or stage_key in opportunity.earned_from or not pipeline.is_open(stage_key):
        return opportunity
    return opportunity.changed(earned_from=(*opportunity.earned_from, stage_key))


def _too_far(hops: int) -> tuple[Reason, ...]:
    """Subjects that react to one another come to rest: what so many moves led to moves nothing by itself."""
    if hops < HOPS_LIMIT:
        return ()
    text = f"{hops} moves led to these facts, one after the other: subjects that react to each other stop here"
    return (Reason(Code.HOP_LIMIT, "", None, text),)


def _refusal(opportunity: Opportunity, rules: Ruleset, winner: RuleResult, now: datetime) -> tuple[Reason, ...]:
    """Why a rule that holds may still not act."""
    if opportunity.hold is not None:
        text = "the opportunity is on hold; what comes meanwhile counts when it goes on"
        return (Reason(Code.ON_HOLD, "", None, text),)
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
    return tuple(reason for source, following in hops for reason in guard(opportunity, rules, source, following, now))


def guard(opportunity: Opportunity, rules: Ruleset, source: str, target: str, now: datetime) -> tuple[Reason, ...]:
    """What keeps an opportunity from stepping from one stage to another: nothing when any rule for the step holds, or
    when no rule guards it. Stages the opportunity is not in are judged by their latest evidence of any visit."""
    facts = _facts_for_step(opportunity, rules, source, now)
    step = _step(rules, source, target)
    hits = rules.hits(source, facts)
    if any(p in hits for p in step):
        return ()
    return reasons_of([findings_of(p, facts) for p in step])


def rests_on_own(
    opportunity: Opportunity, rules: Ruleset, source: str, target: str, person_id: str, now: datetime
) -> bool:
    """Whether a step is one that rules only propose, and on answers of this person, in force from any visit. A step
    that a rule takes by itself needs no confirmation."""
    step = _step(rules, source, target)
    hits = rules.hits(source, _facts_for_step(opportunity, rules, source, now))
    holding = [p for p in step if p in hits]
    if any(p.rule.mode is RuleMode.AUTO for p in holding):
        return False
    read = {assessment_of(fact) for fact in facts_read_by(holding or step)}
    return any(s.submitted_by == person_id for key, s in opportunity.scores.items() if key in read)


def _step(rules: Ruleset, source: str, target: str) -> list[ParsedRule]:
    return [p for p in rules.tables[source] if p.acts and p.rule.to_stage == target]


def _facts_for_step(opportunity: Opportunity, rules: Ruleset, source: str, now: datetime) -> Facts:
    return facts_of(opportunity, rules.pipeline, source, now, of_any_visit=source != opportunity.stage_key)


def engine_fault(opportunity: Opportunity, fault: EngineFault) -> Ruling:
    """Nothing is guessed when the engine cannot be believed; the new facts are kept."""
    return Ruling(Outcome.REJECTED, opportunity, (Reason(Code(fault.code), "", None, str(fault)),))
