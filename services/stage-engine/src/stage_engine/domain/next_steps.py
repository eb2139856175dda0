"""What to do next about a subject: unmet criteria, what rules lack, what is owed and was asked for, and proposals, in
one order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

from stage_engine.domain.actions import ActionKind
from stage_engine.domain.criteria import CriterionState
from stage_engine.domain.facts import assessment_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.outlook import Way
from stage_engine.domain.owed import OwedState
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.stages import Need


class StepKind(StrEnum):
    """What kind of step it is."""

    SYNC_PROBLEM = "sync_problem"
    PROPOSAL = "proposal"
    APPROVAL = "approval"
    TASK = "task"
    OBLIGATION = "obligation"
    CRITERION = "criterion"
    RULE = "rule"
    ADVICE = "advice"


class Supplies(StrEnum):
    """What supplies a step: an assessment, a field or reported fact, an activity, time, a person's word."""

    ASSESSMENT = "assessment"
    FACT = "fact"
    ACTIVITY = "activity"
    TIME = "time"
    PERSON = "person"


class _Order(IntEnum):
    """Smaller goes first: what is late, what blocks all, what is ready, what is missing, what is open."""

    LATE = 0
    BLOCKED = 1
    READY = 2
    MISSING = 3
    OPEN = 4
    SHORT = 5
    ADVISED = 6


@dataclass(frozen=True, slots=True)
class OpenTask:
    """Something that was asked of a person and is not settled."""

    action_id: str
    kind: ActionKind
    text: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step in plain words. `supplied_by` is the assessment, question, field or person that gives it; `key` is that
    of the criterion, rule, obligation or action."""

    kind: StepKind
    text: str
    supplies: Supplies
    supplied_by: str = ""
    key: str = ""
    to_stage: str = ""
    due_at: datetime | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class _Ranked:
    order: _Order
    step: Step


def next_steps(
    opportunity: Opportunity,
    pipeline: Pipeline,
    criteria: Sequence[CriterionState],
    ways: Sequence[Way],
    tasks: Sequence[OpenTask],
    now: datetime,
) -> tuple[Step, ...]:
    """What to do next, what goes first in front; nothing where nothing is to be done. What is closed keeps its open
    tasks only."""
    ranked = [*_tasks(tasks, now)]
    if opportunity.stage_key and pipeline.is_open(opportunity.stage_key):
        ranked += _blocked(opportunity)
        ranked += _owed(opportunity, pipeline)
        ranked += _approvals(opportunity, pipeline)
        ranked += _proposals(opportunity, pipeline, ways)
        ranked += _criteria(criteria)
        ranked += _rules(pipeline, ways)
    # Sorting keeps the order of those that go equally soon; the same words are said once.
    ranked.sort(key=lambda each: (each.order, each.step.due_at is None, each.step.due_at or now))
    return tuple({each.step.text: each.step for each in reversed(ranked)}.values())[::-1]


def _tasks(tasks: Sequence[OpenTask], now: datetime) -> Iterator[_Ranked]:
    for task in tasks:
        late = task.due_at is not None and task.due_at < now
        step = Step(StepKind.TASK, task.text, Supplies.PERSON, "", task.action_id, due_at=task.due_at, late=late)
        yield _Ranked(_Order.LATE if late else _Order.OPEN, step)


def _owed(opportunity: Opportunity, pipeline: Pipeline) -> Iterator[_Ranked]:
    """What is still to be met, also late. Nothing is asked for while the subject is put off."""
    if opportunity.hold is not None:
        return
    declared = {each.key: each for each in pipeline.obligations}
    for key, series in opportunity.owing.items():
        asked = (each for each in series.owed if each.met_at is None and each.until is None)
        newest = max(asked, key=lambda each: each.due, default=None)
        if key not in declared or newest is None:
            continue
        supplies, by = _supplied(declared[key].met_by)
        late = newest.state is OwedState.MISSED
        step = Step(StepKind.OBLIGATION, declared[key].name, supplies, by, key, due_at=newest.due, late=late)
        yield _Ranked(_Order.LATE if late else _Order.OPEN, step)


def _blocked(opportunity: Opportunity) -> Iterator[_Ranked]:
    error = opportunity.sync_error
    if error is not None:
        text = f"The CRM refused the stage {error.stage_key}: {error.reason or error.code}. Resolve it there."
        yield _Ranked(_Order.BLOCKED, Step(StepKind.SYNC_PROBLEM, text, Supplies.PERSON, "crm"))


def _approvals(opportunity: Opportunity, pipeline: Pipeline) -> Iterator[_Ranked]:
    request = opportunity.approval_request
    if request is not None:
        name, count = pipeline.stage(request.to_stage).name, len(request.votes)
        text = f"The move to {name} waits for approval, {count} of {request.needed} agree: remind the approvers."
        step = Step(
            StepKind.APPROVAL, text, Supplies.PERSON, "", request.rule_id, request.to_stage, due_at=request.expires_at
        )
        yield _Ranked(_Order.READY, step)


def _proposals(opportunity: Opportunity, pipeline: Pipeline, ways: Sequence[Way]) -> Iterator[_Ranked]:
    earned, claimed = opportunity.earned_stage, opportunity.stage_key
    for each in opportunity.proposals.values():
        name = pipeline.stage(each.to_stage).name
        text = f"The rule {each.rule_id} proposes {name}: accept it, or reject it with a reason."
        step = Step(StepKind.PROPOSAL, text, Supplies.PERSON, "", each.rule_id, each.to_stage, due_at=each.expires_at)
        yield _Ranked(_Order.READY, step)
    waits = opportunity.approval_request
    asked = {each.to_stage for each in opportunity.proposals.values()} | ({waits.to_stage} if waits else set())
    ready = {way.to_stage: way.rule_id for way in ways if not way.missing}
    if pipeline.further(claimed, earned) != claimed:
        ready.setdefault(earned, "")
    ready = {stage_key: rule_id for stage_key, rule_id in ready.items() if stage_key not in asked}
    for stage_key, rule_id in ready.items():
        text = f"The evidence supports {pipeline.stage(stage_key).name}: confirm the move."
        yield _Ranked(_Order.READY, Step(StepKind.PROPOSAL, text, Supplies.PERSON, "", rule_id, to_stage=stage_key))


def _criteria(criteria: Sequence[CriterionState]) -> Iterator[_Ranked]:
    for state in criteria:
        required = state.criterion.need is Need.REQUIRED
        kind, order = (StepKind.CRITERION, _Order.MISSING) if required else (StepKind.ADVICE, _Order.ADVISED)
        for reason in state.missing:
            supplies, by = _supplied(reason.fact)
            text = f"{state.criterion.name}: {reason.message}."
            named = state.criterion.supplied_by or by
            yield _Ranked(order, Step(kind, text, supplies, named, state.criterion.key))


def _rules(pipeline: Pipeline, ways: Sequence[Way]) -> Iterator[_Ranked]:
    """What the way on lacks that is nearest: of several rules the one that lacks least."""
    open_ways = [way for way in ways if way.missing and _leads_on(pipeline, way)]
    if not open_ways:
        return
    nearest = min(open_ways, key=lambda way: len(way.missing))
    for reason in nearest.missing:
        supplies, by = _supplied(reason.fact)
        near = (miss for miss in nearest.near_misses if miss.fact == reason.fact)
        asked = [question for miss in near for question in miss.question_keys]
        text = f"For {pipeline.stage(nearest.to_stage).name}: {reason.message}."
        named = ", ".join(asked) or by
        yield _Ranked(_Order.SHORT, Step(StepKind.RULE, text, supplies, named, nearest.rule_id, nearest.to_stage))


def _leads_on(pipeline: Pipeline, way: Way) -> bool:
    """Giving up is no next step."""
    return way.to_stage != pipeline.first and pipeline.further(pipeline.first, way.to_stage) == way.to_stage


def _supplied(fact: str) -> tuple[Supplies, str]:
    assessment = assessment_of(fact)
    if assessment is not None:
        return Supplies.ASSESSMENT, assessment
    if fact.startswith("activity."):
        return Supplies.ACTIVITY, fact
    if fact.startswith(("timers.", "visit.", "stage.")):
        return Supplies.TIME, fact
    return Supplies.FACT, fact
