"""How open opportunities stood in the forecast, and what rules were asked: each written by the decision that changed
it, so that any day of the past can be looked at again."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from stage_engine.domain.decision import Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.figures.visits import segment_of
from stage_engine.domain.fold import Step
from stage_engine.domain.inputs import FactChange, Input, Submission, TimerFired
from stage_engine.domain.known_facts import date_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Standing:
    """Between two moments an open opportunity was due on this day, with this amount, in these stages and hands.
    `until` is None while that lasts."""

    opportunity_id: str
    decision_no: int
    since: datetime
    until: datetime | None
    object_type: str
    pipeline_key: str
    stage_key: str
    forecast: str
    earned_forecast: str
    rank: int
    earned_rank: int
    due: date | None
    amount: Decimal | None
    currency: str
    owner_id: str
    team_id: str
    segment: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A decision in which rules that may act were asked; `fired` is the one that moved or proposed."""

    opportunity_id: str
    decision_no: int
    decided_at: datetime
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    owner_id: str
    team_id: str
    segment: str
    outcome: str
    asked: tuple[str, ...]
    fired: str


def is_in_forecast(opportunity: Opportunity | None, pipeline: Pipeline) -> bool:
    """Whether an opportunity has a place in the forecast: placed, open and there."""
    return (
        opportunity is not None
        and bool(opportunity.stage_key)
        and not opportunity.deleted
        and opportunity.stage_key in pipeline
        and pipeline.is_open(opportunity.stage_key)
    )


def standing_of(opportunity: Opportunity, pipeline: Pipeline, team_id: str, at: datetime) -> Standing:
    """Its place in the forecast from now on."""
    return Standing(
        opportunity_id=opportunity.opportunity_id,
        decision_no=opportunity.decision_no,
        since=at,
        until=None,
        object_type=pipeline.object_type,
        pipeline_key=pipeline.key,
        stage_key=opportunity.stage_key,
        forecast=pipeline.forecast_of(opportunity.stage_key).value,
        earned_forecast=pipeline.forecast_of(opportunity.earned_stage).value,
        rank=pipeline.rank(opportunity.stage_key),
        earned_rank=pipeline.rank(opportunity.earned_stage),
        due=date_of(opportunity.close_date),
        amount=opportunity.amount,
        currency=opportunity.currency,
        owner_id=opportunity.owner_id,
        team_id=team_id,
        segment=segment_of(opportunity, pipeline),
    )


def may_differ(before: Opportunity | None, after: Opportunity, pipeline: Pipeline) -> bool:
    """Whether a decision may have changed its place in the forecast: most decisions stop at this test."""
    if before is None:
        return True
    return (
        before.revision != after.revision
        or before.earned_stage != after.earned_stage
        or before.amount != after.amount
        or before.currency != after.currency
        or before.close_date != after.close_date
        or before.owner_id != after.owner_id
        or before.deleted != after.deleted
        or segment_of(before, pipeline) != segment_of(after, pipeline)
    )


def standings_after(
    kept: Standing | None, step: Step, pipeline: Pipeline, team_id: str
) -> tuple[Standing | None, Standing | None]:
    """The standing that ended with a decision, and the one that lasts after it; the same is never written again."""
    after, at = step.decision.opportunity, step.decision.decided_at
    assert after is not None
    new = standing_of(after, pipeline, team_id, at) if is_in_forecast(after, pipeline) else None
    if kept is not None and new is not None:
        same = replace(new, decision_no=kept.decision_no, since=kept.since)
        if same == kept:
            return None, kept
    return (None if kept is None else replace(kept, until=at)), new


def evaluation_of(step: Step, rules: Ruleset, team_id: str) -> Evaluation | None:
    """What the decision asked rules; None where it asked none that may act."""
    before, decision, pipeline = step.before, step.decision, rules.pipeline
    if before is None or before.stage_key not in pipeline or not (decision.facts or decision.rule_id):
        return None
    changed = _changed(step.given, rules)
    asked = rules.asked(before.stage_key, changed).acting if changed and pipeline.is_open(before.stage_key) else ()
    if not asked:
        return None
    moved = decision.transition is not None and bool(decision.transition.rule_id)
    fired = moved or decision.outcome is Outcome.PROPOSED
    return Evaluation(
        opportunity_id=before.opportunity_id,
        decision_no=before.decision_no + 1,
        decided_at=decision.decided_at,
        object_type=pipeline.object_type,
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        stage_key=before.stage_key,
        owner_id=before.owner_id,
        team_id=team_id,
        segment=segment_of(before, pipeline),
        outcome=decision.outcome.value,
        asked=tuple(dict.fromkeys(parsed.rule.rule_id for parsed in asked)),
        fired=decision.rule_id if fired else "",
    )


def _changed(given: Input, rules: Ruleset) -> frozenset[str]:
    """The facts that an input brought, by which rules are asked."""
    if isinstance(given, Submission):
        return rules.evidence(given.assessment_key)
    if isinstance(given, FactChange):
        return frozenset(fact.name for fact in given.facts)
    if isinstance(given, TimerFired):
        timer = rules.pipeline.timer(given.key)
        return frozenset() if timer is None else frozenset({timer.reads})
    return frozenset()
