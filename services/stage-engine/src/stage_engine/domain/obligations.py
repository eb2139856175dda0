"""Obligations: what the owner of an opportunity owes by a time, made, met, missed and cancelled.

Whether one was met in time follows from when it was made and due, from the first moment that meets it, and from the
time. So each is settled once, whatever order activities are heard in and however often: one that is heard of late puts
right what was missed, and one that is withdrawn meets nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from stage_engine.domain.clocks import Obligation, Starts, duration_of
from stage_engine.domain.decision import Ruling
from stage_engine.domain.facts import LAST_INBOUND, LAST_TOUCH
from stage_engine.domain.inputs import FactChange, Input, Observation, Occasion
from stage_engine.domain.known_facts import facts_in_force
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.owed import Owed, OwedState, Owing, Touch
from stage_engine.domain.parsed import read_condition
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Condition

# The newest, and the one before.
_KEPT = 2
# So many that came due while nothing was decided are made at once: those of the last time.
_MOST_AT_ONCE = 500
# Nothing is owed from longer ago: a CRM may name any year.
_FAR = timedelta(days=20 * 365)


def with_obligations(before: Opportunity, given: Input, ruling: Ruling, pipeline: Pipeline, now: datetime) -> Ruling:
    """The ruling with what is owed after it, and what changed of that."""
    after = ruling.opportunity
    if after is None or not after.stage_key or not (pipeline.obligations or after.owing):
        return ruling
    found: dict[str, Owing] = {}
    changed: list[Owed] = []
    declared = {each.key: each for each in pipeline.obligations}
    for key in {**after.owing, **declared}:
        held = after.owing.get(key)
        series = _in_force(held, declared.get(key), before, after, given, pipeline, now)
        if series is None:
            continue
        obligation = declared.get(key)
        if obligation is not None:
            series = _met(series, obligation, after, given, pipeline, now)
        series = replace(series, owed=tuple(_settled(each, series, after, now) for each in series.owed))
        known = () if held is None else [replace(each, until=None) for each in held.owed]
        changed += (each for each in series.owed if replace(each, until=None) not in known)
        found[key] = replace(series, owed=_kept(series.owed))
    if found == after.owing:
        return ruling
    return replace(ruling, opportunity=after.changed(owing=found), owed=tuple(changed))


def _kept(owed: tuple[Owed, ...]) -> tuple[Owed, ...]:
    return (*(each for each in owed[:-_KEPT] if each.state is OwedState.OPEN), *owed[-_KEPT:])


def next_moment(opportunity: Opportunity) -> datetime | None:
    """When time alone changes next what is owed: one is missed, or the next is made."""
    return min(_moments(opportunity), default=None)


def owed_since(opportunity: Opportunity) -> datetime | None:
    """When the first of what is kept was made: an earlier activity meets nothing. None where nothing was made."""
    return min((each.made_at for series in opportunity.owing.values() for each in series.owed), default=None)


def _moments(opportunity: Opportunity) -> Iterator[datetime]:
    for series in opportunity.owing.values():
        if series.ended or series.rests_since is not None:
            continue
        if series.next_at is not None:
            yield series.next_at
        yield from (each.due for each in series.owed if each.state is OwedState.OPEN)


def _in_force(
    held: Owing | None,
    obligation: Obligation | None,
    before: Opportunity,
    after: Opportunity,
    given: Input,
    pipeline: Pipeline,
    now: datetime,
) -> Owing | None:
    """The series as it is now: begun, ended, at rest, and with all that came due to be made. None where there is
    none."""
    asked = obligation is not None and _is_asked(obligation, after, pipeline)
    series = held
    if series is not None and obligation is not None and not obligation.repeats:
        # In the version before it was owed again and again.
        series = replace(series, next_at=None)
    # The same key of another pipeline is another obligation.
    goes_on = asked and before.pipeline_key == after.pipeline_key and _is_of(series, obligation, after)
    if series is not None and not series.ended and not goes_on:
        if obligation is not None and series.rests_since is not None:
            series = _resumed(series, series.rests_since, obligation, pipeline, now)
        series = _ended(series, now)
    if obligation is None or not asked:
        return series
    if series is None or (series.ended and not _is_done(series, after)):
        owed = () if series is None else series.owed
        series = Owing(_visit(obligation, after), owed)
        if obligation.repeats or _is_fresh(before, after, given):
            anchor = max(now - _FAR, _anchor(before, after, given, now))
            series = _with_next(replace(series, next_at=anchor), obligation, after, pipeline)
    series = _at_rest(series, obligation, after, pipeline, now)
    return _rolled(series, obligation, after, pipeline, now)


def _is_asked(obligation: Obligation, after: Opportunity, pipeline: Pipeline) -> bool:
    in_stage = obligation.stage_key in ("", after.stage_key)
    return in_stage and not after.deleted and pipeline.is_open(after.stage_key)


def _is_of(series: Owing | None, obligation: Obligation | None, after: Opportunity) -> bool:
    return series is not None and obligation is not None and series.visit_no == _visit(obligation, after)


def _is_done(series: Owing, after: Opportunity) -> bool:
    """Whether it has ended for this visit: what is switched off and on again within it owes nothing twice."""
    return 0 < series.visit_no == after.visit_no


def _visit(obligation: Obligation, after: Opportunity) -> int:
    return after.visit_no if obligation.starts is Starts.ON_ENTRY else 0


def _anchor(before: Opportunity, after: Opportunity, given: Input, now: datetime) -> datetime:
    """From when it counts: what was created is owed from its creation, what is imported or only now declared from
    now on."""
    if not before.stage_key and isinstance(given, Observation) and given.occasion is Occasion.CREATED:
        return min(now, given.committed_at)
    return after.visit_opened_at if before.stage_key and before.visit_no != after.visit_no else now


def _is_fresh(before: Opportunity, after: Opportunity, given: Input) -> bool:
    """Whether something has begun just now. What was imported, or meets an obligation that is only now declared, has
    begun long ago: it owes what repeats, and nothing else."""
    if before.stage_key:
        return before.visit_no != after.visit_no
    return not (isinstance(given, Observation) and given.occasion is Occasion.IMPORTED)


def _with_next(series: Owing, obligation: Obligation, after: Opportunity, pipeline: Pipeline) -> Owing:
    """The series with the obligation that is made at `next_at`."""
    at, calendar = series.next_at, pipeline.calendar
    assert at is not None
    owed = Owed(obligation.key, at, duration_of(obligation.within).after(at, calendar), after.owner_id)
    again = duration_of(obligation.repeats).after(at, calendar) if obligation.repeats else None
    others = tuple(each for each in series.owed if each.made_at != at)
    return replace(series, owed=(*others, owed), next_at=again)


def _ended(series: Owing, now: datetime) -> Owing:
    # What rests ends when its rest began: its clock has not run since.
    at = series.rests_since or now
    owed = tuple(replace(each, until=at) if each.until is None else each for each in series.owed)
    return replace(series, owed=owed, next_at=None, rests_since=None, ended=True)


def _at_rest(series: Owing, obligation: Obligation, after: Opportunity, pipeline: Pipeline, now: datetime) -> Owing:
    """Nothing comes due while the opportunity is on hold; afterwards there is as much time as was left."""
    since = series.rests_since
    if after.hold is not None:
        return series if since is not None else replace(series, rests_since=now)
    return series if since is None else _resumed(series, since, obligation, pipeline, now)


def _resumed(series: Owing, since: datetime, obligation: Obligation, pipeline: Pipeline, now: datetime) -> Owing:
    def later(at: datetime, duration: str) -> datetime:
        unit = duration_of(duration)
        return unit.resumed(now, unit.passed(since, at, pipeline.calendar), pipeline.calendar)

    owed = tuple(
        replace(each, due=later(each.due, obligation.within)) if _rested(each, since) else each for each in series.owed
    )
    again = None if series.next_at is None else later(series.next_at, obligation.repeats)
    return replace(series, owed=owed, next_at=again, rests_since=None)


def _rested(owed: Owed, since: datetime) -> bool:
    """Whether it was still to be met when the rest began."""
    return owed.until is None and owed.due > since and (owed.met_at is None or owed.met_at > since)


def _rolled(series: Owing, obligation: Obligation, after: Opportunity, pipeline: Pipeline, now: datetime) -> Owing:
    """With all that is to be made by now, one for each time that has passed, of very many the last."""
    if series.next_at is None or series.next_at > now or series.rests_since is not None or not obligation.repeats:
        return series
    each, calendar = duration_of(obligation.repeats), pipeline.calendar
    passed = each.passed(series.next_at, now, calendar) // each.length(calendar)
    if passed > _MOST_AT_ONCE:
        series = replace(series, next_at=each.after(series.next_at, calendar, passed - _MOST_AT_ONCE))
    while series.next_at is not None and series.next_at <= now:
        series = _with_next(series, obligation, after, pipeline)
    return series


def _met(
    series: Owing, obligation: Obligation, after: Opportunity, given: Input, pipeline: Pipeline, now: datetime
) -> Owing:
    fact = obligation.met_by
    if is_touch(fact):
        if not isinstance(given, FactChange):
            return series
        owed = [_without(each, given.withdrawn) for each in series.owed]
        for touch in given.touches:
            if _tells(fact, touch) and touch.at <= now:
                owed = [_met_at(each, touch.at, touch.by, touch.activity_id) for each in owed]
        return replace(series, owed=tuple(owed))
    if all(each.met_at is not None or each.until is not None for each in series.owed):
        return series
    condition = read_condition(Condition(fact, obligation.cell), pipeline)
    known = facts_in_force(after, pipeline, now).get(fact)
    if not condition.holds(known):
        return series
    said, by = after.facts.get(fact), given.actor or after.owner_id
    # A moment to come, such as that of a meeting that was agreed, meets it when it is said.
    if said is not None and isinstance(said.value, datetime) and said.value <= now:
        return replace(series, owed=tuple(_met_at(each, said.value, by, "") for each in series.owed))
    # What holds already when one is made meets it at once.
    seen = now if said is None else min(now, said.observed_at)
    return replace(series, owed=tuple(_met_at(each, max(each.made_at, seen), by, "") for each in series.owed))


def is_touch(fact: str) -> bool:
    """Whether the fact is the last moment of activities, so that each of these counts by itself."""
    return fact in (LAST_TOUCH, LAST_INBOUND) or (fact.startswith("activity.") and fact.endswith(".last_at"))


def _tells(fact: str, touch: Touch) -> bool:
    if fact == LAST_INBOUND:
        return touch.inbound
    return fact in (LAST_TOUCH, f"activity.{touch.kind}.last_at")


def _met_at(owed: Owed, at: datetime, by: str, met_with: str) -> Owed:
    """Met by the first that came while it was asked for; of two at one moment the smaller id counts."""
    if at < owed.made_at or (owed.until is not None and at > owed.until):
        return owed
    if owed.met_at is not None and (owed.met_at, owed.met_with) <= (at, met_with):
        return owed
    return replace(owed, met_at=at, by=by or owed.owner_id, met_with=met_with)


def _without(owed: Owed, withdrawn: Iterable[str]) -> Owed:
    gone = owed.met_with != "" and owed.met_with in withdrawn
    return replace(owed, met_at=None, by="", met_with="") if gone else owed


def _settled(owed: Owed, series: Owing, after: Opportunity, now: datetime) -> Owed:
    """With the state that follows from its moments. It is the owner's of now for as long as it is open."""
    rests = series.rests_since is not None and owed.due > series.rests_since
    if owed.met_at is not None:
        state = OwedState.MET if rests or owed.met_at <= owed.due else OwedState.LATE
    elif owed.until is not None and owed.until <= owed.due:
        state = OwedState.CANCELLED
    elif rests or now < owed.due:
        state = OwedState.OPEN
    else:
        state = OwedState.MISSED
    owner_id = after.owner_id if state is OwedState.OPEN else owed.owner_id
    return owed if (state, owner_id) == (owed.state, owed.owner_id) else replace(owed, state=state, owner_id=owner_id)
