"""Deciding on a scored submission."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from stage_engine.domain.by_rules import all_facts, by_rules, engine_fault, with_earned
from stage_engine.domain.decision import Code, Explanation, MoveOutcome, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset, facts_read_by, findings_of
from stage_engine.domain.explain import facts_read, near_misses_of, smallest_margin
from stage_engine.domain.facts import score_fact
from stage_engine.domain.inputs import Submission
from stage_engine.domain.known_facts import facts_of, has_expired
from stage_engine.domain.opportunity import Opportunity, is_current
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.score import Score
from stage_engine.domain.tugs import why_quarantined
from stage_engine.domain.with_move import with_move

DELETED = "the opportunity was deleted in the CRM"


def on_submission(
    opportunity: Opportunity, given: Submission, rules: Ruleset, now: datetime, *, unblocked: bool = False
) -> Ruling:
    """Evidence of the current visit is put to the rules; other evidence moves nothing, but may still earn the
    opportunity a stage that a person claimed before. When something that `unblocked` the opportunity came before, all
    evidence is asked about again. A move that comes along is made if it may be with this evidence. If not, the evidence
    counts as without it. Where the evidence cannot count, no more can the move."""
    ruling = _on_evidence(opportunity, given, rules, now, unblocked=unblocked)
    if given.move is None or ruling.move is not None:
        return ruling
    return replace(ruling, move=MoveOutcome(given.move.to_stage, ruling.reasons))


def _on_evidence(
    opportunity: Opportunity, given: Submission, rules: Ruleset, now: datetime, *, unblocked: bool
) -> Ruling:
    objection = _general_objection(opportunity, given, rules.pipeline)
    if objection is not None or given.score is None:
        return Ruling(Outcome.REJECTED, opportunity, (objection or _incomplete(given),))
    score = score_of(given, given.score)
    reason = _not_current(opportunity, given, rules.pipeline)
    previous = opportunity.scores.get(given.assessment_key)
    if _is_of_no_visit(opportunity, given) or (previous is not None and score.order < previous.order):
        reason = reason or _reason(Code.SUPERSEDED, given, "a later attempt is in force")
        return Ruling(Outcome.REJECTED, opportunity, (reason,))
    after = opportunity.changed(scores={**opportunity.scores, given.assessment_key: score})
    if opportunity.deleted:
        return Ruling(Outcome.REJECTED, after, (_reason(Code.TERMINAL, given, DELETED),))
    if opportunity.quarantined:
        reason = replace(why_quarantined(opportunity), fact=score_fact(given.assessment_key))
    if has_expired(score, rules.pipeline, given.assessment_key, now):
        days = rules.pipeline.max_age_of(given.assessment_key)
        reason = reason or _reason(Code.EXPIRED, given, f"it was captured more than {days} days ago")
    if reason is not None:
        return _earn_only(after, given, rules, reason, now)
    triggers = rules.evidence(given.assessment_key)
    if unblocked:
        triggers |= all_facts(after, rules.pipeline, now)
    if given.move is not None:
        return with_move(after, given, given.move, rules, now, triggers)
    return by_rules(after, rules, now, triggers, given)


def _reason(code: Code, given: Submission, text: str) -> Reason:
    return Reason(code, score_fact(given.assessment_key), None, text)


def _general_objection(opportunity: Opportunity, given: Submission, pipeline: Pipeline) -> Reason | None:
    """Why no evidence at all can be used on the opportunity."""
    if not given.entitled and given.submitted_by != opportunity.owner_id:
        return _reason(Code.NOT_OWNER, given, f"{given.submitted_by} does not own the opportunity")
    if given.submission_id in opportunity.voided:
        return _reason(Code.VOIDED, given, f"{given.submission_id} was voided, so it counts no more")
    if not opportunity.stage_key:
        return _reason(Code.UNMAPPED_STAGE, given, f"the CRM's stage {opportunity.observed_stage!r} is not mapped")
    if not pipeline.is_open(opportunity.stage_key):
        return _reason(Code.TERMINAL, given, f"the opportunity is closed in {opportunity.stage_key}")
    return None


def _incomplete(given: Submission) -> Reason:
    return _reason(Code.MISSING, given, f"unanswered: {', '.join(given.unanswered) or 'required questions'}")


def _not_current(opportunity: Opportunity, given: Submission, pipeline: Pipeline) -> Reason | None:
    stage_key, visit_no = opportunity.stage_key, opportunity.visit_no
    if not is_current(opportunity, given.stage_key, given.visit_no):
        captured = f"captured in visit {given.visit_no} of {given.stage_key or 'no stage'}"
        text = f"{captured}; the opportunity is in visit {visit_no} of {stage_key}"
        return _reason(Code.NOT_CURRENT_STAGE, given, text)
    if given.assessment_key not in pipeline.stage(stage_key).assessment_keys:
        return _reason(Code.NOT_CURRENT_STAGE, given, f"{given.assessment_key} does not count in {stage_key}")
    return None


def _is_of_no_visit(opportunity: Opportunity, given: Submission) -> bool:
    """Whether the opportunity had no such visit: a later number, or the present one with another stage."""
    current = is_current(opportunity, given.stage_key, given.visit_no)
    return given.visit_no >= opportunity.visit_no and not current


def score_of(given: Submission, score: Decimal) -> Score:
    """The evidence that a submission with this score is."""
    return Score(
        score,
        given.submission_id,
        given.stage_key,
        given.visit_no,
        given.attempt_no,
        given.received_at,
        given.profile_version,
        given.captured_at,
        given.submitted_by,
        given.lost,
        given.details,
    )


def _earn_only(opportunity: Opportunity, given: Submission, rules: Ruleset, reason: Reason, now: datetime) -> Ruling:
    """Evidence for the earned stage while the claim is ahead of it: the earned stage follows, the claim stays."""
    pipeline = rules.pipeline
    earned = pipeline.stage(opportunity.earned_stage)
    ahead = pipeline.rank(opportunity.stage_key) > pipeline.rank(earned.key)
    if not ahead or not pipeline.is_open(earned.key) or given.assessment_key not in earned.assessment_keys:
        return Ruling(Outcome.REJECTED, opportunity, (reason,))
    facts = facts_of(opportunity, pipeline, earned.key, now, of_any_visit=True)
    asked = rules.asked(earned.key, rules.evidence(given.assessment_key)).acting
    try:
        hits = rules.hits(earned.key, facts)
    except EngineFault as fault:
        return engine_fault(opportunity, fault)
    winning = next((p for p in hits if p in asked), None)
    results = [findings_of(p, facts) for p in (asked if winning is None else (winning,))]
    explanation = Explanation(
        rule_id=winning.rule.rule_id if winning is not None else "",
        margin=smallest_margin(results),
        facts=facts_read(facts_read_by(r.parsed for r in results), facts),
        near_misses=near_misses_of(opportunity, results),
    )
    if winning is not None:
        opportunity = with_earned(opportunity, pipeline, results[0])
    return Ruling(Outcome.REJECTED, opportunity, (reason,), explanation)
