"""The timers of an opportunity: set, kept, paused and ended with whatever changes it.

A timer is fenced by its visit and by the decision that set it: what fires later than it was cancelled changes nothing.
The engine keeps its own beside those of the pipeline: for the end of an override, of a hold, of evidence, and
of the time in which an action is to be settled, or people are to decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from stage_engine.domain.acting import timer_of_action
from stage_engine.domain.assigned import OWNER_ROLE
from stage_engine.domain.calendar import EARLIEST, LATEST, NO_TIME
from stage_engine.domain.clocks import NEVER_HELD, Running, Starts, Timer, duration_of
from stage_engine.domain.decision import Ruling
from stage_engine.domain.facts import CLOSE_DATE
from stage_engine.domain.holds import last_sign_of_life, resumed
from stage_engine.domain.inputs import TimerFired
from stage_engine.domain.known_facts import date_of
from stage_engine.domain.lasting import LASTING
from stage_engine.domain.obligations import next_moment
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.with_pending import moments

OVERRIDE = "@override"
OWED = "@owed"
IDLE = "@idle"
HOLD = "@hold"
EVIDENCE = "@evidence/"
_TICK = timedelta(microseconds=1)
# Business time is measured over so many years at most: what is further away counts as so far.
_FAR = timedelta(days=20 * 365)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A timer that is to run: from when it counts, and in which visit, 0 for any. `timer` is None of the engine's own,
    which fire at their anchor."""

    key: str
    anchor: datetime
    visit_no: int
    timer: Timer | None = None

    def is_kept_by(self, running: Running) -> bool:
        """Whether the one that runs is the same: one set on entry or first sight is, whatever it counts from."""
        if running.visit_no != self.visit_no:
            return False
        from_anchor = self.timer is None or self.timer.starts is Starts.AFTER_FACT
        return running.anchor == self.anchor or not from_anchor


def with_clocks(before: Opportunity, ruling: Ruling, pipeline: Pipeline, now: datetime) -> Ruling:
    """The ruling with the timers as they are to run after it."""
    after = ruling.opportunity
    if after is None or not after.stage_key:
        return ruling
    override = after.override
    ends = override is not None and override.expires_at is not None
    waits = after.approval_request is not None or bool(after.proposals)
    clocked = pipeline.is_clocked or after.timers or after.hold or after.lasting or after.open_actions or ends or waits
    if not clocked and after.held == NEVER_HELD:
        return ruling
    if after.hold is not None and not pipeline.is_open(after.stage_key):
        after = resumed(after, pipeline, now)
    if after.visit_no != before.visit_no:
        after = after.changed(held=replace(after.held, visit=NO_TIME, visit_business=NO_TIME))
    timers = _timers(before, after, pipeline, now)
    if timers != after.timers:
        after = after.changed(timers=timers)
    return ruling if after is ruling.opportunity else replace(ruling, opportunity=after)


def _timers(before: Opportunity, after: Opportunity, pipeline: Pipeline, now: datetime) -> dict[str, Running]:
    found: dict[str, Running] = {}
    for wanted in _wanted(before, after, pipeline, now):
        running = after.timers.get(wanted.key)
        if running is None or not wanted.is_kept_by(running):
            running = _set(wanted, pipeline, after.decision_no)
        found[wanted.key] = _at_rest(_going_on(running, wanted, after, pipeline, now), wanted, after, pipeline, now)
    for key, running in after.timers.items():
        # That it has fired stays known until it is set anew.
        if key not in found and running.fired and pipeline.timer(key) is not None:
            found[key] = replace(running, due=None, left=None)
    return found


def _wanted(before: Opportunity, after: Opportunity, pipeline: Pipeline, now: datetime) -> Iterator[_Wanted]:
    override, hold = after.override, after.hold
    if override is not None and override.expires_at is not None:
        yield _Wanted(OVERRIDE, override.expires_at, 0)
    if hold is not None and hold.until is not None:
        yield _Wanted(HOLD, hold.until, 0)
    for key, action in after.open_actions.items():
        yield _Wanted(timer_of_action(key), action.expires_at, 0)
    for key, at in moments(after):
        yield _Wanted(key, at, 0)
    for key, score in after.scores.items():
        days = pipeline.max_age_of(key)
        if days is not None:
            yield _Wanted(EVIDENCE + key, min(score.captured_at, LATEST) + timedelta(days=days) + _TICK, 0)
    if pipeline.is_open(after.stage_key):
        yield from _wanted_while_open(before, after, pipeline, now)


def _wanted_while_open(before: Opportunity, after: Opportunity, pipeline: Pipeline, now: datetime) -> Iterator[_Wanted]:
    for rule_id, since in after.lasting.items():
        rule = pipeline.rule(rule_id)
        if rule is not None and rule.lasting:
            counting = Timer(LASTING + rule_id, rule.lasting, Starts.AFTER_FACT)
            yield _Wanted(counting.key, since, after.visit_no, counting)
    owed = next_moment(after)
    if owed is not None:
        yield _Wanted(OWED, owed, 0)
    chosen = after.assigned.get(OWNER_ROLE)
    if pipeline.reassign_after and chosen is not None and not chosen.by_person:
        idle = Timer(IDLE, pipeline.reassign_after, Starts.AFTER_FACT)
        yield _Wanted(IDLE, max(chosen.at, last_sign_of_life(after)), 0, idle)
    # What is seen for the first time may have been in its stage for long: its timers run from now on.
    entered = after.visit_opened_at if before.stage_key else now
    for timer in pipeline.stage(after.stage_key).timers:
        yield from _declared(timer, after, entered, after.visit_no)
    for timer in pipeline.timers:
        yield from _declared(timer, after, entered, after.visit_no if timer.starts is Starts.ON_ENTRY else 0)


def _declared(timer: Timer, opportunity: Opportunity, entered: datetime, visit_no: int) -> Iterator[_Wanted]:
    anchor = moment_of(opportunity, timer.fact) if timer.starts is Starts.AFTER_FACT else entered
    if anchor is not None and EARLIEST <= anchor < LATEST:
        yield _Wanted(timer.key, anchor, visit_no, timer)


def moment_of(opportunity: Opportunity, fact: str) -> datetime | None:
    """The moment that a fact holds, the start of the day in UTC of a date; of another fact, when it was observed. None
    of one that is unknown."""
    if fact == CLOSE_DATE:
        literal = date_of(opportunity.close_date)
        return None if literal is None else datetime.combine(literal, time(), UTC)
    found = opportunity.facts.get(fact)
    if found is None or found.value is None:
        return None
    if isinstance(found.value, datetime):
        return found.value
    is_date = not isinstance(found.value, str | bool) and hasattr(found.value, "isoformat")
    return datetime.combine(found.value, time(), UTC) if is_date else found.observed_at  # pyright: ignore[reportArgumentType]


def _set(wanted: _Wanted, pipeline: Pipeline, number: int) -> Running:
    due = wanted.anchor
    if wanted.timer is not None:
        due = duration_of(wanted.timer.after).after(wanted.anchor, pipeline.calendar)
    return Running(wanted.anchor, number, wanted.visit_no, due)


def _going_on(
    running: Running, wanted: _Wanted, opportunity: Opportunity, pipeline: Pipeline, now: datetime
) -> Running:
    """One that repeats is never over: it goes on where the opportunity was closed meanwhile."""
    if wanted.timer is None or not wanted.timer.repeats or running.due is not None or running.left is not None:
        return running
    due = duration_of(wanted.timer.repeats).after(now, pipeline.calendar)
    return replace(running, due=due, set_by=opportunity.decision_no)


def _at_rest(running: Running, wanted: _Wanted, opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> Running:
    """Paused while the opportunity is on hold, going on afterwards with what was left. The engine's own never rest."""
    if wanted.timer is None:
        return running
    unit = duration_of(wanted.timer.repeats if running.fired and wanted.timer.repeats else wanted.timer.after)
    if opportunity.hold is not None and running.due is not None:
        until = min(running.due, now + _FAR) if unit.in_business_time else running.due
        return replace(running, due=None, left=unit.passed(now, until, pipeline.calendar))
    if opportunity.hold is None and running.left is not None:
        due = unit.resumed(now, running.left, pipeline.calendar)
        return replace(running, due=due, left=None, set_by=opportunity.decision_no)
    return running


def after_firing(running: Running, timer: Timer | None, pipeline: Pipeline, number: int, now: datetime) -> Running:
    """The timer once it has fired: over, or set for its next time. What was due meanwhile is not made up for: after a
    downtime it fires once."""
    due = None
    if timer is not None and timer.repeats and running.due is not None:
        each = duration_of(timer.repeats)
        since = max(running.due, now - _FAR) if each.in_business_time else running.due
        missed = each.passed(since, now, pipeline.calendar) // each.length(pipeline.calendar)
        due = each.after(since, pipeline.calendar, missed + 1)
    return replace(running, due=due, set_by=number, fired=running.fired + 1)


def first_due(opportunity: Opportunity, now: datetime) -> TimerFired | None:
    """The input of the timer that has been due for longest; None where none is due."""
    if opportunity.due_at is None or opportunity.due_at > now:
        return None
    due = ((each.due, key, each.set_by) for key, each in opportunity.timers.items() if each.due is not None)
    at, key, number = min(due)
    return TimerFired(opportunity.opportunity_id, key, number, at)
