"""What is known of an opportunity when rules are asked."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from stage_engine.domain.facts import (
    AGE,
    AGES,
    AMOUNT,
    BUSINESS_AGE,
    CLOSE_DATE,
    CREATED,
    CURRENCY,
    ROTTING,
    STAGE_AGE,
    STALLED,
    Facts,
    score_fact,
)
from stage_engine.domain.holds import age, business_age, stage_age, staleness_of
from stage_engine.domain.literals import Known, known
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.score import Score

_TIMED = frozenset({CLOSE_DATE, *AGES})


def facts_of(
    opportunity: Opportunity, pipeline: Pipeline, stage_key: str, now: datetime, *, of_any_visit: bool = False
) -> Facts:
    """The facts of an opportunity at a time: its own, and the evidence that counts in a stage, captured in the current
    visit (or the latest of any visit; of a stage that is to be earned anew, not from before)."""
    since = opportunity.visit_no
    if of_any_visit:
        retracted = opportunity.retracted
        anew = retracted is not None and pipeline.rank(stage_key) >= pipeline.rank(retracted.stage_key)
        since = retracted.visit_no if anew and retracted is not None else 0
    return _facts(opportunity, pipeline, pipeline.stage(stage_key).assessment_keys, now, since)


def facts_in_force(opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> Facts:
    """All evidence and facts in force, which criteria are held to."""
    return _facts(opportunity, pipeline, pipeline.assessment_keys, now, 0)


def all_that_is_known(opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> Facts:
    """As above, with evidence that this pipeline does not ask for."""
    return _facts(opportunity, pipeline, tuple(opportunity.scores), now, 0)


def _facts(
    opportunity: Opportunity, pipeline: Pipeline, assessment_keys: tuple[str, ...], now: datetime, since: int
) -> Facts:
    facts: dict[str, Known] = {}
    if opportunity.amount is not None and opportunity.amount_counts:
        facts[AMOUNT] = opportunity.amount
    if opportunity.owner_id:
        facts[pipeline.owner_fact] = opportunity.owner_id
    if opportunity.currency:
        facts[CURRENCY] = opportunity.currency
    for key in assessment_keys:
        score = opportunity.scores.get(key)
        if score is not None and score.visit_no >= since and not has_expired(score, pipeline, key, now):
            facts[score_fact(key)] = score.score
            for detail, literal in score.details:
                facts[f"{key}.{detail}"] = known(literal, now)
    for name, fact in opportunity.facts.items():
        if fact.value is not None:
            facts[name] = known(fact.value, now)
    for name, milestone in pipeline.milestone_facts:
        reached = opportunity.milestones.get(milestone.key)
        facts[name] = Decimal(reached.count if reached else 0) if milestone.repeatable else reached is not None
    for name, timer in pipeline.timer_facts:
        running = opportunity.timers.get(timer.key)
        fired = 0 if running is None else running.fired
        facts[name] = Decimal(fired) if timer.repeats else fired > 0
    if not pipeline.reads.isdisjoint(_TIMED):
        _add_timed(facts, opportunity, pipeline, now)
    return facts


def has_expired(score: Score, pipeline: Pipeline, assessment_key: str, now: datetime) -> bool:
    """Whether evidence is too old to count."""
    if pipeline.evidence_max_age is None and not pipeline.assessment_max_age:
        return False
    days = pipeline.max_age_of(assessment_key)
    return days is not None and now - score.captured_at > timedelta(days=days)


def _add_timed(facts: dict[str, Known], opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> None:
    closing = date_of(opportunity.close_date)
    if closing is not None:
        facts[CLOSE_DATE] = known(closing, now)
    facts[STAGE_AGE] = stage_age(opportunity, now)
    if BUSINESS_AGE in pipeline.reads:
        facts[BUSINESS_AGE] = business_age(opportunity, pipeline, now)
    if not pipeline.reads.isdisjoint((ROTTING, STALLED)):
        stale = staleness_of(opportunity, pipeline)
        facts[ROTTING] = stale.rotting_at is not None and stale.rotting_at <= now
        facts[STALLED] = stale.stalled_at is not None and stale.stalled_at <= now
    created = opportunity.facts.get(CREATED)
    if created is not None and isinstance(created.value, datetime):
        facts[AGE] = age(opportunity, created.value, now)


@lru_cache(4096)
def date_of(text: str) -> date | None:
    """The date of an ISO text; None where it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
