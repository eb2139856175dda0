"""What evidence and criteria have to say of a person's move, whether it is asked for here or made in the CRM."""

from datetime import datetime

from stage_engine.domain.approving import judged_from, steps_of
from stage_engine.domain.by_rules import guard
from stage_engine.domain.criteria import gate
from stage_engine.domain.decision import Code, Reason
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.policies import SkipPolicy
from stage_engine.domain.stages import Category


def lacking(opportunity: Opportunity, rules: Ruleset, target: str, now: datetime) -> tuple[Reason, ...]:
    """What a move on lacks: criteria first, then evidence, unless that has been earned. A way back lacks nothing, and
    giving up only what the end demands. A closed one is judged from the stage that it was closed in."""
    pipeline, source = rules.pipeline, _judged_from(opportunity, rules)
    if not source or source == target:
        return ()
    if source != opportunity.stage_key:
        opportunity = opportunity.changed(stage_key=source)
    gives_up = pipeline.stage(target).category in (Category.LOST, Category.ABANDONED)
    if gives_up or pipeline.rank(target) < pipeline.rank(source):
        return gate(opportunity, rules, source, target, now)
    hops = steps_of(rules.pipeline, source, target)
    criteria = unmet_criteria(opportunity, rules, target, now)
    if criteria:
        return criteria
    earned = opportunity.earned_stage
    if earned == target or (pipeline.is_open(target) and pipeline.rank(earned) >= pipeline.rank(target)):
        return ()
    return tuple(dict.fromkeys(reason for a, b in hops for reason in guard(opportunity, rules, a, b, now)))


def unmet_criteria(opportunity: Opportunity, rules: Ruleset, target: str, now: datetime) -> tuple[Reason, ...]:
    """The required criteria that hold a move on back, in any of its steps."""
    hops = steps_of(rules.pipeline, opportunity.stage_key, target)
    return tuple(dict.fromkeys(reason for a, b in hops for reason in gate(opportunity, rules, a, b, now)))


def forbidden_skip(opportunity: Opportunity, rules: Ruleset, target: str) -> tuple[Reason, ...]:
    """Why stages may not be passed over."""
    pipeline, source = rules.pipeline, _judged_from(opportunity, rules)
    skipped = pipeline.skipped(source, target) if source and pipeline.is_open(target) else ()
    if not skipped or pipeline.skip_policy is not SkipPolicy.FORBID:
        return ()
    text = f"the pipeline does not let {', '.join(skipped)} be skipped; only an override does"
    return (Reason(Code.SKIP_FORBIDDEN, "", None, text),)


def _judged_from(opportunity: Opportunity, rules: Ruleset) -> str:
    return judged_from(rules.pipeline, opportunity.stage_key, opportunity.last_open)
