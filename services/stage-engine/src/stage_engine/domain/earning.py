"""The earned stage: what the evidence and facts in force support, worked out anew whenever they change.

It is the furthest stage that can be reached from the first by steps whose rule holds, or where no rule leads on whose
criteria do, and whose required criteria are met. A stage that was claimed first is no obstacle: evidence earns on from
where a rule has led. It falls when what it rested on does.
"""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from stage_engine.domain.criteria import gate_tables
from stage_engine.domain.decision import Code, Reason, Ruling
from stage_engine.domain.evaluate import EngineFault, Ruleset, Truth, all_hold, findings_of
from stage_engine.domain.inputs import Input, Submission
from stage_engine.domain.known_facts import facts_in_force, facts_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import Side, table_name


def with_support(before: Opportunity, given: Input, ruling: Ruling, rules: Ruleset, now: datetime) -> Ruling:
    """The ruling with the earned stage that follows from what it changed, and the reason when that fell."""
    after = ruling.opportunity
    if after is None or not after.stage_key:
        return ruling
    if not rules.timed and (not _may_change(before, after) or _says_all(given, ruling, after, rules)):
        return ruling
    try:
        earned = earned_stage(after, rules, now)
    except EngineFault as fault:
        known = any(reason.code == fault.code for reason in ruling.reasons)
        reason = Reason(Code(fault.code), "", None, str(fault))
        return ruling if known else replace(ruling, reasons=(*ruling.reasons, reason))
    if earned == after.earned_stage == before.earned_stage:
        return ruling
    pipeline, reasons = rules.pipeline, ruling.reasons
    taken_back = ruling.transition is not None and ruling.transition.taken_back is not None
    if pipeline.rank(earned) < pipeline.rank(before.earned_stage) and not taken_back:
        text = f"the evidence in force supports {earned} and no longer {before.earned_stage}"
        reasons = (*reasons, Reason(Code.NO_LONGER_SUPPORTED, "", None, text))
    return replace(ruling, opportunity=after.changed(earned_stage=earned), reasons=reasons)


def _says_all(given: Input, ruling: Ruling, after: Opportunity, rules: Ruleset) -> bool:
    """Whether the rules of the stage have just said all that the input could change: nothing leads on from where the
    opportunity is and has earned to be, and its other steps rest on other evidence."""
    stage_key = after.stage_key
    return (
        ruling.stuck
        and isinstance(given, Submission)
        and after.earned_stage == stage_key
        and rules.alone.get(given.assessment_key) == stage_key
        and len(rules.leading(stage_key)) > 0
    )


def _may_change(before: Opportunity, after: Opportunity) -> bool:
    """Whether anything that support rests on, other than time, is not what it was."""
    return (
        after.scores is not before.scores
        or after.revision != before.revision
        or after.facts is not before.facts
        or after.milestones is not before.milestones
        or after.amount != before.amount
        or after.owner_id != before.owner_id
        or after.close_date != before.close_date
        or after.earned_from is not before.earned_from
        or after.timers is not before.timers
    )


def earned_stage(opportunity: Opportunity, rules: Ruleset, now: datetime) -> str:
    """The furthest stage that is supported. EngineFault where the evaluators disagree about a step of a new way."""
    pipeline = rules.pipeline
    best = beginning(opportunity, rules, now)
    path = _way(opportunity, rules, best, now)
    if path:
        best = path[-1]
    for start in opportunity.earned_from:
        way = _way(opportunity, rules, start, now)
        if way and pipeline.further(best, way[-1]) != best:
            best, path = way[-1], [start, *way]
    if best != opportunity.earned_stage:
        for stage_key in (beginning(opportunity, rules, now), *path[:-1]):
            rules.hits(stage_key, facts_of(opportunity, pipeline, stage_key, now, of_any_visit=True))
    return best


def beginning(opportunity: Opportunity, rules: Ruleset, now: datetime) -> str:
    """Where facts alone let a subject begin: the first stage, or in a pipeline that lets it `start_by_criteria` the
    furthest whose required entry criteria hold, with those of all stages before. EngineFault as above."""
    pipeline = rules.pipeline
    best = pipeline.first
    if not pipeline.start_by_criteria:
        return best
    facts, anew = facts_in_force(opportunity, pipeline, now), opportunity.retracted
    last = len(pipeline.stages) if anew is None else pipeline.rank(anew.stage_key) + 1
    for stage in pipeline.stages[pipeline.rank(best) + 1 : last]:
        if not pipeline.is_open(stage.key):
            continue
        name = table_name(stage.key, Side.ENTRY)
        required = [each for each in rules.demands.get(name, ()) if each.acts]
        if required and not set(required) <= set(rules.hits(name, facts)):
            break
        best = stage.key if required else best
    return best


def _way(opportunity: Opportunity, rules: Ruleset, stage_key: str, now: datetime) -> list[str]:
    """The stages that follow one another from here on."""
    found: list[str] = []
    while rules.pipeline.is_open(stage_key):
        following = _next(opportunity, rules, stage_key, now)
        if not following or (rules.demands and not _passes(opportunity, rules, stage_key, following, now)):
            break
        found.append(following)
        stage_key = following
    return found


def _next(opportunity: Opportunity, rules: Ruleset, stage_key: str, now: datetime) -> str:
    """Where the first rule that holds leads on to. Where there is none, the stage after one that has criteria."""
    leading = rules.leading(stage_key)
    if leading:
        facts = facts_of(opportunity, rules.pipeline, stage_key, now, of_any_visit=True)
        for parsed in leading:
            if all_hold(parsed.tests, facts):
                return parsed.rule.to_stage
        return ""
    pipeline = rules.pipeline
    if table_name(stage_key, Side.EXIT) not in rules.demands:
        return ""
    later = (s.key for s in pipeline.stages[pipeline.rank(stage_key) + 1 :])
    return next((key for key in later if pipeline.is_open(key)), "")


def _passes(opportunity: Opportunity, rules: Ruleset, source: str, target: str, now: datetime) -> bool:
    names = gate_tables(rules, source, target)
    if not names:
        return True
    facts = facts_in_force(opportunity, rules.pipeline, now)
    needed = (each for name in names for each in rules.demands[name] if each.acts)
    return all(each.possible and all_hold(each.tests, facts) for each in needed)


class Support(StrEnum):
    """What the claimed stage rests on: evidence and facts in force, nothing yet, or some that say otherwise."""

    SUPPORTED = "supported"
    NO_EVIDENCE = "no_evidence"
    CONTRADICTED = "contradicted"


def support_of(opportunity: Opportunity, rules: Ruleset, now: datetime) -> Support:
    """Whether evidence backs the claimed stage, and if not, whether any that is in force denies the first step that it
    has not earned."""
    pipeline, earned, claimed = rules.pipeline, opportunity.earned_stage, opportunity.stage_key
    if not claimed or pipeline.further(earned, claimed) == earned or not pipeline.is_open(earned):
        return Support.SUPPORTED
    facts = facts_of(opportunity, pipeline, earned, now, of_any_visit=True)
    results = [findings_of(each, facts) for each in rules.leading(earned)]
    in_force = facts_in_force(opportunity, pipeline, now)
    exits = rules.demands.get(table_name(earned, Side.EXIT), ())
    results += [findings_of(each, in_force) for each in exits if each.acts]
    failed = any(finding.truth is Truth.FAILED for result in results for finding in result.unmet)
    return Support.CONTRADICTED if failed else Support.NO_EVIDENCE
