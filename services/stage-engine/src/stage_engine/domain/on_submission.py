"""Deciding on a scored submission."""

from datetime import datetime
from decimal import Decimal

from stage_engine.domain.by_rules import decide_by_rules, engine_fault, with_earned
from stage_engine.domain.decision import Code, Decision, Outcome, Reason
from stage_engine.domain.evaluate import EngineFault, Ruleset, facts_read_by, findings_of
from stage_engine.domain.explain import answer, facts_read, near_misses_of, smallest_margin
from stage_engine.domain.inputs import Submission
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.state import Instance, Score, facts_of, score_fact


def on_submission(before: Instance, given: Submission, rules: Ruleset, now: datetime) -> Decision:
    """Evidence of the current visit is put to the rules; other evidence moves nothing, but may still earn the deal a
    stage that somebody claimed before."""
    pipeline = rules.pipeline
    decision_no = before.decision_no + 1
    objection = _standing_objection(before, given, pipeline)
    if objection is not None or given.score is None:
        reasons = (objection or _incomplete(given),)
        held = before.changed(decision_no=decision_no)
        return answer(pipeline, before, held, Outcome.REJECTED, now, reasons=reasons, actor=given.submitted_by)
    score = _score(given, given.score)
    reason = _not_current(before, given, pipeline)
    previous = before.scores.get(given.assessment_key)
    unheard_visit = given.visit_no > before.visit_no
    if unheard_visit or (previous is not None and score.order < previous.order):
        reasons = (reason or _reason(Code.SUPERSEDED, given, "a later attempt is in force"),)
        held = before.changed(decision_no=decision_no)
        return answer(pipeline, before, held, Outcome.REJECTED, now, reasons=reasons, actor=given.submitted_by)
    instance = before.changed(decision_no=decision_no, scores={**before.scores, given.assessment_key: score})
    if before.quarantined:
        reason = _reason(Code.UNMAPPED_STAGE, given, f"the CRM's stage {before.observed_stage!r} is not mapped")
    if reason is not None:
        return _earn_only(before, instance, given, rules, now, reason)
    trigger = frozenset((score_fact(given.assessment_key),))
    return decide_by_rules(
        before, instance, rules, now, trigger, submission_id=given.submission_id, actor=given.submitted_by
    )


def _reason(code: Code, given: Submission, text: str) -> Reason:
    return Reason(code, score_fact(given.assessment_key), None, text)


def _standing_objection(before: Instance, given: Submission, pipeline: Pipeline) -> Reason | None:
    """Why no evidence at all can be used on the deal."""
    if before.deleted:
        return _reason(Code.TERMINAL, given, "the opportunity was deleted in the CRM")
    if not before.stage_key:
        return _reason(Code.UNMAPPED_STAGE, given, f"the CRM's stage {before.observed_stage!r} is not mapped")
    if not pipeline.is_open(before.stage_key):
        return _reason(Code.TERMINAL, given, f"the deal is closed in {before.stage_key}")
    return None


def _incomplete(given: Submission) -> Reason:
    return _reason(Code.MISSING, given, f"unanswered: {', '.join(given.unanswered) or 'required questions'}")


def _not_current(before: Instance, given: Submission, pipeline: Pipeline) -> Reason | None:
    if given.visit_no != before.visit_no or given.stage_key != before.stage_key:
        text = f"captured in visit {given.visit_no} of {given.stage_key or 'no stage'}; the deal is in visit"
        return _reason(Code.NOT_CURRENT_STAGE, given, f"{text} {before.visit_no} of {before.stage_key}")
    if given.assessment_key not in pipeline.stage(before.stage_key).assessment_keys:
        return _reason(Code.NOT_CURRENT_STAGE, given, f"{given.assessment_key} does not count in {before.stage_key}")
    return None


def _score(given: Submission, score: Decimal) -> Score:
    return Score(
        score,
        given.submission_id,
        given.visit_no,
        given.attempt_no,
        given.received_at,
        given.profile_version,
        given.captured_at,
        given.lost,
    )


def _earn_only(
    before: Instance, instance: Instance, given: Submission, rules: Ruleset, now: datetime, reason: Reason
) -> Decision:
    """Evidence for the earned stage while the claim is ahead of it: the earned stage follows, the claim stays."""
    pipeline = rules.pipeline
    earned = pipeline.stage(instance.earned_stage)
    ahead = pipeline.rank(instance.stage_key) > pipeline.rank(earned.key)
    if not ahead or not pipeline.is_open(earned.key) or given.assessment_key not in earned.assessment_keys:
        return answer(pipeline, before, instance, Outcome.REJECTED, now, reasons=(reason,), actor=given.submitted_by)
    facts = facts_of(instance, earned.assessment_keys, of_any_visit=True)
    asked = rules.asked(earned.key, frozenset((score_fact(given.assessment_key),))).acting
    try:
        hits = rules.hits(earned.key, facts)
    except EngineFault as fault:
        return engine_fault(pipeline, before, instance, now, fault, given.submitted_by)
    winning = next((p for p in hits if p in asked), None)
    results = [findings_of(p, facts) for p in (asked if winning is None else (winning,))]
    if winning is not None:
        instance = with_earned(instance, pipeline, results[0])
    return answer(
        pipeline,
        before,
        instance,
        Outcome.REJECTED,
        now,
        reasons=(reason,),
        near_misses=near_misses_of(instance, results),
        rule_id=winning.rule.rule_id if winning is not None else "",
        margin=smallest_margin(results),
        facts=facts_read(facts_read_by(r.parsed for r in results), facts),
        actor=given.submitted_by,
    )
