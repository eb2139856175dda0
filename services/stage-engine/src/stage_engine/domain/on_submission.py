"""Deciding on a scored submission."""

from datetime import datetime

from stage_engine.domain.by_rules import decide_by_rules, engine_fault, with_earned
from stage_engine.domain.decision import Code, Decision, Outcome, Reason
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.explain import answer, facts_read, near_misses_of, smallest_margin
from stage_engine.domain.inputs import Submission
from stage_engine.domain.state import Instance, Score, facts_of, score_fact


def on_submission(before: Instance, given: Submission, rules: Ruleset, now: datetime) -> Decision:
    """Evidence of the current visit is put to the rules; other evidence moves nothing, but may still earn the deal a
    stage that somebody claimed before."""
    pipeline = rules.pipeline
    fact = score_fact(given.assessment_key)
    instance = before._replace(decision_no=before.decision_no + 1)

    def reject(code: Code, text: str) -> Decision:
        reasons = (Reason(code, fact, None, text),)
        return answer(pipeline, before, instance, Outcome.REJECTED, now, reasons=reasons, actor=given.submitted_by)

    if before.deleted or not before.stage_key:
        if before.deleted:
            return reject(Code.TERMINAL, "the opportunity was deleted in the CRM")
        return reject(Code.UNMAPPED_STAGE, f"the CRM's stage {before.observed_stage!r} is not mapped")
    stage = pipeline.stage(before.stage_key)
    if not pipeline.is_open(stage.key):
        return reject(Code.TERMINAL, f"the deal is closed in {stage.key}")
    if given.score is None:
        return reject(Code.MISSING, f"unanswered: {', '.join(given.unanswered) or 'required questions'}")
    in_visit = given.visit_no == before.visit_no and given.stage_key == stage.key
    current = in_visit and given.assessment_key in stage.assessment_keys
    score = Score(
        given.score,
        given.submission_id,
        given.visit_no,
        given.attempt_no,
        given.received_at,
        given.profile_version,
        given.captured_at,
        given.lost,
    )
    previous = before.scores.get(given.assessment_key)
    not_current = f"captured in visit {given.visit_no} of {given.stage_key}; the deal is in visit {before.visit_no} of {stage.key}"
    if given.visit_no > before.visit_no:
        return reject(Code.NOT_CURRENT_STAGE, not_current)
    if previous is not None and score.order < previous.order:
        if current:
            return reject(Code.SUPERSEDED, f"attempt {previous.attempt_no} is in force")
        return reject(Code.NOT_CURRENT_STAGE, not_current)
    instance = instance._replace(scores={**before.scores, given.assessment_key: score})
    if current and not before.quarantined:
        return decide_by_rules(
            before,
            instance,
            rules,
            now,
            frozenset((fact,)),
            submission_id=given.submission_id,
            actor=given.submitted_by,
        )
    if before.quarantined:
        reason = Reason(Code.UNMAPPED_STAGE, fact, None, f"the CRM's stage {before.observed_stage!r} is not mapped")
    else:
        reason = Reason(Code.NOT_CURRENT_STAGE, fact, None, not_current)
    return _earn_only(before, instance, given, rules, now, reason)


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
    try:
        matched = rules.match(earned.key, facts)
    except EngineFault as fault:
        return engine_fault(pipeline, before, instance, now, fault, given.submitted_by)
    fact = score_fact(given.assessment_key)
    results = [r for r in matched if r.parsed.acts and fact in r.parsed.facts]
    winner = next((r for r in results if r.hit), None)
    if winner is not None:
        instance = with_earned(instance, pipeline, winner)
        results = [winner]
    return answer(
        pipeline,
        before,
        instance,
        Outcome.REJECTED,
        now,
        reasons=(reason,),
        near_misses=() if winner is not None else near_misses_of(instance, results),
        rule_id=winner.parsed.rule.rule_id if winner is not None else "",
        margin=smallest_margin(results),
        facts=facts_read(results, facts),
        actor=given.submitted_by,
    )
