"""Visits as figures count them, carried on by every move. A migration opens none. The first visit of a stage remembers
how the opportunity got on from there. One in a closed stage is the closing: it is retracted when it is left."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from stage_engine.domain.calendar import NO_TIME, business_between
from stage_engine.domain.decision import Cause, Transition, TransitionKind
from stage_engine.domain.evaluate import EngineFault, Ruleset
from stage_engine.domain.facts import CREATED
from stage_engine.domain.fold import Step
from stage_engine.domain.inputs import Migration, Observation, Occasion
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.progress import lacking
from stage_engine.domain.stages import Category
from stage_engine.domain.versions import Plan


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: who had the opportunity when it opened, what the move was and how it ended. `rank` is what was
    claimed. Of the first visit of a stage, `reached_at` is when a later open stage was reached, `closed_at` and
    `outcome` how the opportunity is closed now, and the two `..._next` whether the first step on passed over nothing.
    `lacking` says whether a forward move lacked what the pipeline asks for; None of other moves. `is_gone` says that
    the opportunity is in another pipeline now."""

    opportunity_id: str
    revision: int
    object_type: str
    pipeline_key: str
    pipeline_version: int
    stage_key: str
    category: str
    rank: int
    earned_rank: int
    owner_id: str
    team_id: str
    segment: str
    amount: Decimal | None
    currency: str
    visit_no: int
    cycle_no: int
    kind: str
    cause: str
    from_stage: str
    skipped: int
    is_forward: bool
    is_override: bool
    lacking: bool | None
    rule_id: str
    entered_at: datetime
    is_clocked: bool
    created_at: datetime
    is_created_known: bool
    cycle_started_at: datetime
    win_probability: int | None
    expected_seconds: int | None
    is_first: bool
    is_migrated: bool = False
    is_gone: bool = False
    left_at: datetime | None = None
    left_kind: str = ""
    held_seconds: int = 0
    wall_seconds: int | None = None
    business_seconds: int | None = None
    reached_at: datetime | None = None
    reached_next: bool = False
    closed_at: datetime | None = None
    outcome: str = ""
    closed_next: bool = False


# Those that a later move may still change, by the revision that opened them: the one that lasts and first ones.
Kept = Mapping[int, Visit]


def segment_of(opportunity: Opportunity, pipeline: Pipeline) -> str:
    """The segment that the opportunity is in; empty while it is not known."""
    fact = opportunity.facts.get(pipeline.segment_fact) if pipeline.segment_fact else None
    return fact.value if fact is not None and isinstance(fact.value, str) else ""


def visits_after(kept: Kept, step: Step, rules: Ruleset, team_id: str) -> Kept:
    """All of `kept` after one decision, and the visit that it opened."""
    move, after = step.decision.transition, step.decision.opportunity
    if move is None or after is None:
        return kept
    if move.kind is TransitionKind.MIGRATE:
        assert isinstance(step.given, Migration)
        return {number: _migrated(each, Plan(dict(step.given.stages)), rules.pipeline) for number, each in kept.items()}
    last = next((each for each in kept.values() if each.left_at is None), None)
    new = _opened(last, _first(kept, move, rules.pipeline), step, rules, team_id)
    found = {number: _got_on(each, move, new) for number, each in kept.items()}
    if last is not None and step.before is not None:
        found[last.revision] = _left(found[last.revision], step.before, move, rules.pipeline)
    found[new.revision] = new
    return found


def _first(kept: Kept, move: Transition, pipeline: Pipeline) -> bool:
    """Whether it is the first visit of its stage. Who comes from another pipeline has not entered it by progress."""
    place = pipeline.key, move.to_stage
    known = any(each.is_first and (each.pipeline_key, each.stage_key) == place for each in kept.values())
    return not known and move.kind is not TransitionKind.REASSIGN


def _opened(last: Visit | None, first: bool, step: Step, rules: Ruleset, team_id: str) -> Visit:
    move, after, pipeline = step.decision.transition, step.decision.opportunity, rules.pipeline
    assert move is not None and after is not None
    stage = pipeline.stage(move.to_stage)
    created, known = _created(step, move) if last is None else (last.created_at, last.is_created_known)
    cycle = created if last is None else last.cycle_started_at
    closed = stage.category is not Category.OPEN
    forward = _is_forward(move, pipeline)
    expected = None if stage.expected_days is None else stage.expected_days * pipeline.calendar.day
    return Visit(
        opportunity_id=after.opportunity_id,
        revision=move.revision,
        object_type=pipeline.object_type,
        pipeline_key=pipeline.key,
        pipeline_version=pipeline.version,
        stage_key=move.to_stage,
        category=stage.category.value,
        rank=pipeline.rank(move.to_stage),
        earned_rank=pipeline.rank(after.earned_stage),
        owner_id=after.owner_id,
        team_id=team_id,
        segment=segment_of(after, pipeline),
        amount=after.amount,
        currency=after.currency,
        visit_no=move.visit_no,
        cycle_no=move.cycle_no,
        kind=move.kind.value,
        cause=move.cause.value,
        from_stage=move.from_stage,
        skipped=len(move.skipped),
        is_forward=forward,
        is_override=after.override is not None,
        lacking=_lacked(step, move, rules) if forward else None,
        rule_id=move.rule_id,
        entered_at=move.changed_at,
        is_clocked=bool(move.from_stage) or _is_clocked(step),
        created_at=created,
        is_created_known=known,
        cycle_started_at=move.changed_at if move.kind is TransitionKind.REOPEN else cycle,
        win_probability=stage.win_probability,
        expected_seconds=None if expected is None else int(expected.total_seconds()),
        is_first=first,
        closed_at=move.changed_at if closed and first else None,
        outcome=stage.category.value if closed and first else "",
    )


def _is_forward(move: Transition, pipeline: Pipeline) -> bool:
    """Whether it goes on from an open stage: to a later one, or to a win."""
    return move.kind in (TransitionKind.ADVANCE, TransitionKind.SKIP) or (
        move.kind is TransitionKind.CLOSE_WON and move.from_stage in pipeline and pipeline.is_open(move.from_stage)
    )


def _is_clocked(step: Step) -> bool:
    """Whether it is known since when an opportunity was in the stage in which it was seen first."""
    given = step.given
    return isinstance(given, Observation) and (given.in_stage_since is not None or given.occasion is Occasion.CREATED)


def _created(step: Step, move: Transition) -> tuple[datetime, bool]:
    """When the opportunity was created, or seen first where that is not known."""
    after = step.decision.opportunity
    fact = None if after is None else after.facts.get(CREATED)
    if fact is not None and isinstance(fact.value, datetime):
        return fact.value, True
    given = step.given
    known = isinstance(given, Observation) and given.occasion is Occasion.CREATED
    return move.changed_at, known


def _lacked(step: Step, move: Transition, rules: Ruleset) -> bool | None:
    """Whether the move lacked what the pipeline asks for. A rule moves nothing that lacks it, nor does a command that
    is no override. None where the engine cannot be believed."""
    before, after = step.before, step.decision.opportunity
    assert before is not None and after is not None
    if move.cause is Cause.RULE or (move.cause is Cause.PERSON and not getattr(step.given, "override", False)):
        return False
    asked = after.changed(
        stage_key=before.stage_key,
        visit_no=before.visit_no,
        earned_stage=before.earned_stage,
        earned_from=before.earned_from,
        retracted=before.retracted,
        visit_keys=before.visit_keys,
    )
    try:
        return bool(lacking(asked, rules, move.to_stage, step.decision.decided_at))
    except EngineFault:
        return None


def _got_on(visit: Visit, move: Transition, new: Visit) -> Visit:
    """A visit after a move to another one: of first visits, how the opportunity got on from there."""
    gone = visit.pipeline_key != new.pipeline_key
    if gone is not visit.is_gone:
        visit = replace(visit, is_gone=gone)
    if not visit.is_first:
        return visit
    directly = move.from_stage == visit.stage_key and not move.skipped
    if new.category != Category.OPEN:
        return replace(visit, closed_at=new.entered_at, outcome=new.category, closed_next=directly)
    if visit.outcome:
        visit = replace(visit, closed_at=None, outcome="", closed_next=False)
    on = not gone and move.kind is not TransitionKind.REASSIGN and new.rank > visit.rank and visit.reached_at is None
    return replace(visit, reached_at=new.entered_at, reached_next=directly) if on else visit


def _left(visit: Visit, before: Opportunity, move: Transition, pipeline: Pipeline) -> Visit:
    """A visit at its end. What was on hold does not count; business time only where hours are kept."""
    end, held, business = move.changed_at, before.held.visit, None
    since = None if before.hold is None else max(before.hold.since, visit.entered_at)
    if since is not None:
        held += max(NO_TIME, end - since)
    if pipeline.uses_calendar:
        passed = business_between(pipeline.calendar, visit.entered_at, end) - before.held.visit_business
        resting = NO_TIME if since is None else business_between(pipeline.calendar, since, end)
        business = _seconds(passed - resting)
    return replace(
        visit,
        left_at=end,
        left_kind=move.kind.value,
        held_seconds=_seconds(held),
        wall_seconds=_seconds(end - visit.entered_at - held),
        business_seconds=business,
    )


def _seconds(time: timedelta) -> int:
    return max(0, int(time.total_seconds()))


def _migrated(visit: Visit, plan: Plan, pipeline: Pipeline) -> Visit:
    """A visit as the version to which the opportunity went sees it: places in the order are those of its stages."""
    if visit.pipeline_key != pipeline.key:
        return visit
    target = plan.target(visit.stage_key)
    rank = pipeline.rank(target) if target in pipeline else visit.rank
    if visit.left_at is not None:
        return replace(visit, rank=rank)
    return replace(visit, rank=rank, stage_key=target, pipeline_version=pipeline.version, is_migrated=True)
