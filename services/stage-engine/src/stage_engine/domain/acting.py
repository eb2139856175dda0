"""What a decision asks other services to do. The engine never calls out: it writes down what is asked for, and hears
what became of it. What fails moves nothing back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from stage_engine.domain.actions import (
    MOVE_FROM,
    MOVE_REASON,
    MOVE_TO,
    SUBJECT_ID,
    Action,
    ActionKind,
    Asked,
    Phase,
    rendered,
)
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.decision import Cause, Lapsed, Ruling, Transition, TransitionKind
from stage_engine.domain.inputs import Assignment, Input, Observation
from stage_engine.domain.known_facts import all_that_is_known, facts_in_force
from stage_engine.domain.literals import shown
from stage_engine.domain.opportunity import OpenAction, Opportunity
from stage_engine.domain.pipeline import Pipeline

_ASKED_AGAIN = "It was asked for again before it was settled."
IN_TIME = "It was not settled in time."


def with_actions(
    before: Opportunity,
    given: Input,
    ruling: Ruling,
    pipeline: Pipeline,
    now: datetime,
    left: tuple[Action, ...] = (),
) -> Ruling:
    """The ruling with what its timer or its move asks for, or the beginning or end of a hold, in the order of the
    phases; `left` is what the stage of another pipeline asks for where it is left. An import and a migration ask for
    nothing. What is for the owner waits while rules are about to choose one, and goes out with that choice."""
    move, after = ruling.transition, ruling.opportunity
    if after is None or not (pipeline.actions or left):
        return ruling
    if after.awaiting_owner and isinstance(given, Assignment) and given.action is None:
        return _with_owner(ruling, after, now)
    turned = (before.hold is None) is not (after.hold is None)
    if not turned and not ruling.timed and (move is None or _is_silent(move)):
        return ruling
    values = _values(before, after, pipeline, move, now)
    waits = bool(after.awaiting_owner) or (isinstance(given, Observation) and given.owner_to_come)
    asked: list[Asked] = []
    waiting: list[Asked] = []
    cycles = dict(after.asked_in_cycle)
    for phase, action in _of(before, ruling, pipeline, left):
        if action.once_per_cycle:
            if cycles.get(action.key) == after.cycle_no:
                continue
            cycles[action.key] = after.cycle_no
        found = _asked(action, phase, after, pipeline, values, now)
        (waiting if waits and _is_for_owner(action, values) else asked).append(found)
    if not (asked or waiting):
        return ruling
    after = after.changed(asked_in_cycle=cycles, awaiting_owner=(*after.awaiting_owner, *waiting))
    return _asking(ruling, after, asked, now)


def _with_owner(ruling: Ruling, after: Opportunity, now: datetime) -> Ruling:
    """The ruling with what waited for the owner, also where no one was chosen. A subject that is gone asks for
    nothing."""
    asked = [] if after.deleted else [replace(each, to=after.assignee_id) for each in after.awaiting_owner]
    return _asking(ruling, after.changed(awaiting_owner=()), asked, now)


def _asking(ruling: Ruling, after: Opportunity, asked: Sequence[Asked], now: datetime) -> Ruling:
    """The ruling that asks for these. What is asked for again before it was settled takes the place of the first."""
    lapsed, open_actions = list(ruling.lapsed), dict(after.open_actions)
    for each in asked:
        first = open_actions.get(each.key)
        if first is not None:
            lapsed.append(Lapsed(each.key, first.revision, first.asked_at, _ASKED_AGAIN))
        open_actions[each.key] = OpenAction(after.revision, now, each.expires_at)
    after = after.changed(open_actions=open_actions)
    return replace(ruling, opportunity=after, actions=tuple(asked), lapsed=tuple(lapsed))


def _is_silent(move: Transition) -> bool:
    return move.cause is Cause.IMPORT or move.kind is TransitionKind.MIGRATE


def _of(
    before: Opportunity, ruling: Ruling, pipeline: Pipeline, left: tuple[Action, ...]
) -> Iterator[tuple[Phase, Action]]:
    after, move = ruling.opportunity, ruling.transition
    yield from ((Phase.TIMER, each) for each in ruling.timed)
    if after is not None and before.hold is None and after.hold is not None:
        yield from ((Phase.HOLD, each) for each in pipeline.on_hold)
    if after is not None and before.hold is not None and after.hold is None:
        yield from ((Phase.RESUME, each) for each in pipeline.on_resume)
    if move is not None and not _is_silent(move):
        yield from _of_move(pipeline, move, _apart(left, before.pipeline_key, pipeline))


def _apart(left: tuple[Action, ...], pipeline_key: str, pipeline: Pipeline) -> Iterator[Action]:
    """What another pipeline asks for, under keys of its own where both use one."""
    keys = {each.key for each in pipeline.actions}
    for each in left:
        yield replace(each, key=f"{pipeline_key}/{each.key}") if each.key in keys else each


def _of_move(pipeline: Pipeline, move: Transition, left: Iterator[Action]) -> Iterator[tuple[Phase, Action]]:
    arrives = pipeline.stage(move.to_stage)
    # A stage of another pipeline may have the same key; a closed one asks for nothing when it is left.
    leaves = pipeline.is_open(move.from_stage) and move.kind is not TransitionKind.REASSIGN
    if not move.from_stage:
        yield from ((Phase.FIRST_SIGHT, each) for each in pipeline.on_first_sight)
    yield from ((Phase.EXIT, each) for each in left)
    if leaves:
        yield from ((Phase.EXIT, each) for each in pipeline.stage(move.from_stage).on_exit)
    if move.rule_id:
        rule = next((each for each in pipeline.rules if each.rule_id == move.rule_id), None)
        yield from ((Phase.TRANSITION, each) for each in (rule.actions if rule else ()))
    yield from ((Phase.ENTRY, each) for each in arrives.on_entry)
    if leaves and not pipeline.is_open(move.to_stage):
        yield from ((Phase.CLOSE, each) for each in pipeline.stage(move.from_stage).on_close)


def _values(
    before: Opportunity, after: Opportunity, pipeline: Pipeline, move: Transition | None, now: datetime
) -> Mapping[str, str]:
    found = {name: shown(fact) for name, fact in facts_in_force(after, pipeline, now).items()}
    if move is not None and move.kind is TransitionKind.REASSIGN:
        # What only the other pipeline reads is gone by now, and known to what it asks for.
        found = {name: shown(fact) for name, fact in all_that_is_known(before, pipeline, now).items()} | found
    source, target = (move.from_stage, move.to_stage) if move is not None else (after.stage_key, after.stage_key)
    reason = after.hold.reason if after.hold is not None else move.reason_code if move is not None else ""
    names = {stage.key: stage.name for stage in pipeline.stages}
    return found | {
        SUBJECT_ID: after.opportunity_id,
        MOVE_FROM: names.get(source, source),
        MOVE_TO: names.get(target, target),
        MOVE_REASON: reason,
    }


def _is_for_owner(action: Action, values: Mapping[str, str]) -> bool:
    return action.kind is not ActionKind.ASSIGN and not (action.to and rendered(action.to, values).complete)


def _asked(
    action: Action, phase: Phase, after: Opportunity, pipeline: Pipeline, values: Mapping[str, str], now: datetime
) -> Asked:
    """The action with its texts filled in. A field whose value is unknown is left alone."""
    fields = ((field.name, rendered(field.value, values)) for field in action.fields)
    to = rendered(action.to, values)
    # Of an assignment it is who gets the role: no one where that is unknown.
    otherwise = "" if action.kind is ActionKind.ASSIGN else after.assignee_id
    due = duration_of(action.due_after).after(now, pipeline.calendar) if action.due_after else None
    return Asked(
        key=action.key,
        kind=action.kind,
        phase=phase,
        text=rendered(action.text, values).text,
        details=rendered(action.details, values).text,
        to=to.text if action.to and to.complete else otherwise,
        target=action.target,
        fields=tuple((name, value.text) for name, value in fields if value.complete),
        due_at=due,
        expires_at=duration_of(action.expires_after).after(now, pipeline.calendar),
    )


def settled(opportunity: Opportunity, key: str, revision: int) -> Opportunity:
    """The opportunity once an action was settled. Its stage stays, whatever became of the action; one that was settled
    before, or asked for again, changes nothing."""
    found = opportunity.open_actions.get(key)
    if found is None or found.revision != revision:
        return opportunity
    open_actions = {name: each for name, each in opportunity.open_actions.items() if name != key}
    timers = {name: each for name, each in opportunity.timers.items() if name != timer_of_action(key)}
    return opportunity.changed(open_actions=open_actions, timers=timers)


_TIMER = "@action/"


def timer_of_action(key: str) -> str:
    """The engine's own timer at which the action expires."""
    return _TIMER + key


def action_of_timer(timer_key: str) -> str | None:
    """The action that expires with this timer; None of another timer."""
    return timer_key.removeprefix(_TIMER) if timer_key.startswith(_TIMER) else None
