"""Opportunities that are put off, and what time means for one: its age leaves out how long it was on hold."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from stage_engine.domain.calendar import LATEST, NO_TIME, add_business, business_between, business_days
from stage_engine.domain.clocks import Held
from stage_engine.domain.decision import Code, Reason
from stage_engine.domain.facts import AMOUNT, CLOSE_DATE, LAST_TOUCH, OWNER, Facts
from stage_engine.domain.lint_facts import fits
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import read_cell, read_condition
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Condition

# Every opportunity has these, whatever a pipeline reads.
ALWAYS_READ = frozenset({AMOUNT, CLOSE_DATE, OWNER})
# Business time is counted from here at the earliest.
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Staleness:
    """From when on an opportunity has been in its stage for too long, and without a sign of life for too long."""

    rotting_at: datetime | None = None
    stalled_at: datetime | None = None

    @property
    def first(self) -> datetime | None:
        """The one that comes first."""
        return min((at for at in (self.rotting_at, self.stalled_at) if at is not None), default=None)


FRESH = Staleness()


def ends_hold(opportunity: Opportunity, pipeline: Pipeline, facts: Facts) -> bool:
    """Whether the fact has come that the opportunity waits for."""
    hold = opportunity.hold
    if hold is None or not hold.fact:
        return False
    return read_condition(Condition(hold.fact, hold.cell), pipeline).holds(facts.get(hold.fact))


def waiting_on(opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> tuple[Opportunity, tuple[Reason, ...]]:
    """The opportunity in a version or a pipeline that it has come to. A hold until a fact that nothing there reads, or
    not by this cell, would never end: it ends by its time, or at once, by the timer of holds."""
    hold = opportunity.hold
    if hold is None or not hold.fact or awaits(pipeline, hold.fact, hold.cell):
        return opportunity, ()
    ends = "it goes on" if hold.until is None else f"it goes on at {hold.until:%Y-%m-%d %H:%M} UTC"
    text = f"it is on hold until {hold.fact} is {hold.cell}, which version {pipeline.version} of {pipeline.key} "
    reason = Reason(Code.FACT_UNREAD, hold.fact, None, f"{text}cannot tell: {ends}")
    without = replace(hold, fact="", cell="", until=now if hold.until is None else hold.until)
    return opportunity.changed(hold=without), (reason,)


def awaits(pipeline: Pipeline, fact: str, cell: str) -> bool:
    """Whether a pipeline would notice that the fact meets the cell. CellError outside the grammar."""
    if fact not in pipeline.reads | ALWAYS_READ:
        return False
    kind = pipeline.kind_of_fact(fact)
    return kind is None or kind.type is None or fits(read_cell(Condition(fact, cell), pipeline), kind.type)


def resumed(opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> Opportunity:
    """The opportunity going on; its timers go on by `with_clocks`."""
    hold, held = opportunity.hold, opportunity.held
    if hold is None:
        return opportunity
    since = max(hold.since, opportunity.visit_opened_at)
    return opportunity.changed(
        hold=None,
        held=Held(
            held.visit + max(NO_TIME, now - since),
            held.visit_business + business_between(pipeline.calendar, since, now),
            held.ever + max(NO_TIME, now - hold.since),
            now,
        ),
    )


def stage_age(opportunity: Opportunity, now: datetime) -> Decimal:
    """Whole days in the stage."""
    return whole_days(_clock(opportunity, now) - opportunity.visit_opened_at - opportunity.held.visit)


def business_age(opportunity: Opportunity, pipeline: Pipeline, now: datetime) -> Decimal:
    """Whole business days in the stage."""
    calendar = pipeline.calendar
    passed = business_between(calendar, _opened(opportunity), _clock(opportunity, now))
    return business_days(calendar, max(NO_TIME, passed - opportunity.held.visit_business))


def age(opportunity: Opportunity, created: datetime, now: datetime) -> Decimal:
    """Whole days since it was created."""
    return whole_days(_clock(opportunity, now) - created - opportunity.held.ever)


def staleness_of(opportunity: Opportunity, pipeline: Pipeline) -> Staleness:
    """By the limits of its stage. An opportunity on hold, or closed, is never stale."""
    stage_key = opportunity.stage_key
    if not stage_key or opportunity.hold is not None or opportunity.deleted or not pipeline.is_open(stage_key):
        return FRESH
    stage = pipeline.stage(stage_key)
    rotting = stalled = None
    if stage.expected_days:
        rotting = _after(opportunity, pipeline, stage.expected_days * pipeline.calendar.day)
    if stage.stalled_after_days:
        stalled = last_sign_of_life(opportunity) + timedelta(days=stage.stalled_after_days)
    return Staleness(rotting, stalled)


def rotten_at(opportunity: Opportunity, pipeline: Pipeline) -> datetime | None:
    """From when on it has been in its stage for half as long again as expected; None where that does not apply."""
    stage_key = opportunity.stage_key
    if not stage_key or opportunity.hold is not None or opportunity.deleted or not pipeline.is_open(stage_key):
        return None
    days = pipeline.stage(stage_key).expected_days
    return _after(opportunity, pipeline, days * pipeline.calendar.day * 3 / 2) if days else None


def _opened(opportunity: Opportunity) -> datetime:
    """When the stage was entered, as far back as business time is counted: a CRM may name any year."""
    return max(opportunity.visit_opened_at, _FIRST)


def _after(opportunity: Opportunity, pipeline: Pipeline, expected: timedelta) -> datetime:
    """When so much business time has passed in the stage."""
    return add_business(pipeline.calendar, _opened(opportunity), expected + opportunity.held.visit_business)


def last_sign_of_life(opportunity: Opportunity) -> datetime:
    """The last touch; where none is known, the last evidence or when the stage was entered. Going on after a hold is
    one. Any duration may be added to it."""
    touch = opportunity.facts.get(LAST_TOUCH)
    if touch is not None and isinstance(touch.value, datetime):
        signs = [touch.value]
    else:
        signs = [opportunity.visit_opened_at, *(score.captured_at for score in opportunity.scores.values())]
    if opportunity.held.last_end is not None:
        signs.append(opportunity.held.last_end)
    return min(max(signs), LATEST)


def whole_days(passed: timedelta) -> Decimal:
    """Whole days in a duration, none of a negative one."""
    return Decimal(max(0, passed.days))


def _clock(opportunity: Opportunity, now: datetime) -> datetime:
    """The time as it counts for the opportunity: while on hold it rests."""
    return now if opportunity.hold is None else max(opportunity.hold.since, opportunity.visit_opened_at)
