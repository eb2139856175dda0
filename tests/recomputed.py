"""Figures worked out anew from the log of decisions, slowly and plainly: what the fast ones must agree with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from math import ceil
from typing import Any

from stage_engine.domain.calendar import business_between
from stage_engine.domain.decision import Cause, Transition, TransitionKind
from stage_engine.domain.facts import CREATED
from stage_engine.domain.figures.kinds import Group, Tally
from stage_engine.domain.inputs import Command, Migration, Observation, Occasion
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.progress import lacking

from tests.histories import TEAMS, Logged

COUNTED, CENSORED, EXCLUDED = "counted", "censored", "excluded"


@dataclass(frozen=True)
class Window:
    """What is asked."""

    since: datetime
    until: datetime
    now: datetime
    horizon: timedelta

    def has(self, moment: datetime) -> bool:
        return self.since <= moment < self.until


@dataclass(frozen=True)
class Case:
    """One case, and what it adds."""

    person: str
    pipeline: str
    stage: str
    segment: str
    at: datetime
    state: str
    numerator: Any
    denominator: Any = 1
    extra: Any = 0
    path: str = ""
    rule: str = ""
    category: str = ""
    currency: str = ""
    part: str = ""

    def name(self, group: Group | None) -> str:  # noqa: PLR0911 - one for each kind
        match group:
            case None:
                return ""
            case Group.TEAM:
                return TEAMS.get(self.person, "")
            case Group.WEEK:
                year, week, _ = self.at.astimezone(UTC).isocalendar()
                return f"{year}-W{week:02}"
            case Group.MONTH:
                return f"{self.at.astimezone(UTC):%Y-%m}"
            case Group.QUARTER:
                return f"{self.at.year}-Q{(self.at.month + 2) // 3}"
            case Group.YEAR:
                return f"{self.at.year}"
            case _:
                return getattr(self, group.value)


def tallies(cases: Sequence[Case], group: Group | None, *, percentiles: bool) -> list[Tally]:
    """What is counted of each group, currency and part."""
    places = sorted({(each.name(group), each.currency, each.part) for each in cases})
    found: list[Tally] = []
    for place in places:
        own = [each for each in cases if (each.name(group), each.currency, each.part) == place]
        counted = [each for each in own if each.state == COUNTED]
        numbers = sorted(Decimal(each.numerator) for each in counted)
        ranks = {f"p{p}": numbers[ceil(p * len(numbers) / 100) - 1] if numbers else None for p in (50, 75, 90)}
        found.append(
            Tally(
                *place,
                n=len(counted),
                numerator=sum((Decimal(each.numerator) for each in counted), Decimal(0)),
                denominator=sum((Decimal(each.denominator) for each in counted), Decimal(0)),
                extra=sum((Decimal(each.extra) for each in counted), Decimal(0)),
                censored=sum(each.state == CENSORED for each in own),
                excluded=sum(each.state == EXCLUDED for each in own),
                **(ranks if percentiles else {}),
            )
        )
    return found


@dataclass(frozen=True)
class Stay:
    """One stay in a stage: the move that began it is `log[at]`."""

    log: Sequence[Logged] = field(repr=False)
    at: int

    @property
    def begun(self) -> Logged:
        return self.log[self.at]

    @cached_property
    def move(self) -> Transition:
        found = self.begun.decision.transition
        assert found is not None
        return found

    @cached_property
    def end(self) -> int | None:
        """The place in the log of the move that ended it."""
        return next((i for i in range(self.at + 1, len(self.log)) if is_move(self.log[i])), None)

    @property
    def left(self) -> Transition | None:
        return None if self.end is None else self.log[self.end].decision.transition

    @property
    def left_at(self) -> datetime | None:
        return None if self.left is None else self.left.changed_at

    @property
    def pipeline(self) -> Pipeline:
        return self.begun.rules.pipeline

    @cached_property
    def stage(self) -> str:
        """Its stage, by the name that it had when it ended."""
        found = self.move.to_stage
        for logged in self.log[self.at + 1 : self.end]:
            if isinstance(logged.step.given, Migration) and logged.decision.transition is not None:
                found = dict(logged.step.given.stages).get(found, found)
        return found

    @property
    def category(self) -> str:
        return self.pipeline.stage(self.move.to_stage).category.value

    def rank_at(self, place: int) -> int:
        """The place of its stage in the order that the version has by then."""
        rank, key = self.pipeline.rank(self.move.to_stage), self.move.to_stage
        for i, logged in enumerate(self.log[self.at + 1 : place + 1], self.at + 1):
            given = logged.step.given
            if not isinstance(given, Migration) or logged.decision.transition is None:
                continue
            if logged.rules.pipeline.key != self.pipeline.key:
                continue
            target = dict(given.stages).get(key, key)
            if self.end is None or i < self.end:
                key = target
            if target in logged.rules.pipeline:
                rank = logged.rules.pipeline.rank(target)
        return rank

    @cached_property
    def is_first(self) -> bool:
        if self.move.kind is TransitionKind.REASSIGN:
            return False
        place = self.pipeline.key, self.move.to_stage
        return not any(other.is_first and (other.pipeline.key, other.stage) == place for other in self.earlier())

    def earlier(self) -> Iterator["Stay"]:
        return (Stay(self.log, i) for i in range(self.at) if is_move(self.log[i]))

    @property
    def is_gone(self) -> bool:
        return self.log[-1].after.pipeline_key != self.pipeline.key

    @cached_property
    def reached(self) -> tuple[datetime, bool] | None:
        """When a later open stage was reached first, and whether nothing was passed over on the step to it."""
        for i in range(self.at + 1, len(self.log)):
            move, pipeline = self.log[i].decision.transition, self.log[i].rules.pipeline
            if move is None or not is_move(self.log[i]) or move.kind is TransitionKind.REASSIGN:
                continue
            if pipeline.key == self.pipeline.key and pipeline.is_open(move.to_stage):
                if pipeline.rank(move.to_stage) > self.rank_at(i):
                    return move.changed_at, move.from_stage == self.stage and not move.skipped
        return None

    @cached_property
    def closed(self) -> tuple[datetime, str, bool] | None:
        """How the opportunity is closed now: when, as what, and whether by one step from here."""
        last = next(i for i in reversed(range(len(self.log))) if is_move(self.log[i]))
        move, pipeline = self.log[last].decision.transition, self.log[last].rules.pipeline
        assert move is not None
        if pipeline.is_open(move.to_stage):
            return None
        directly = last != self.at and move.from_stage == self.stage and not move.skipped
        return move.changed_at, pipeline.stage(move.to_stage).category.value, directly

    def held(self) -> tuple[timedelta, timedelta]:
        """How long it was on hold, and how much business time that was."""
        assert self.end is not None
        calendar, wall, business = self.pipeline.calendar, timedelta(), timedelta()
        for one, following in zip(self.log[self.at : self.end], self.log[self.at + 1 : self.end + 1], strict=True):
            if one.after.hold is not None:
                wall += following.decided_at - one.decided_at
                business += business_between(calendar, one.decided_at, following.decided_at)
        return wall, business

    def seconds(self) -> int:
        assert self.left_at is not None
        return int((self.left_at - self.move.changed_at - self.held()[0]).total_seconds())

    def business_seconds(self) -> int:
        assert self.left_at is not None
        calendar = self.pipeline.calendar
        passed = business_between(calendar, self.move.changed_at, self.left_at)
        return int((passed - self.held()[1]).total_seconds())

    @cached_property
    def origin(self) -> tuple[datetime, bool]:
        """When the opportunity was created, or seen first, and whether that is known."""
        first = Stay(self.log, next(i for i in range(len(self.log)) if is_move(self.log[i])))
        fact = first.begun.after.facts.get(CREATED)
        if fact is not None and isinstance(fact.value, datetime):
            return fact.value, True
        given = first.begun.step.given
        return first.move.changed_at, isinstance(given, Observation) and given.occasion is Occasion.CREATED

    @property
    def is_clocked(self) -> bool:
        given = self.begun.step.given
        clocked = isinstance(given, Observation) and (
            given.in_stage_since is not None or given.occasion is Occasion.CREATED
        )
        return bool(self.move.from_stage) or clocked

    @property
    def cycle_began(self) -> datetime:
        reopened = [each for each in (*self.earlier(), self) if each.move.kind is TransitionKind.REOPEN]
        return reopened[-1].move.changed_at if reopened else self.origin[0]

    @property
    def is_override(self) -> bool:
        return self.begun.after.override is not None

    @property
    def is_forward(self) -> bool:
        kinds = (TransitionKind.ADVANCE, TransitionKind.SKIP)
        won = self.move.kind is TransitionKind.CLOSE_WON and self.pipeline.is_open(self.move.from_stage)
        return self.move.kind in kinds or won

    def lacked(self) -> bool:
        """Whether a forward move lacked what the pipeline asks for: rules and commands that are no override never
        do."""
        given, before, after = self.begun.step.given, self.begun.step.before, self.begun.after
        assert before is not None
        if self.move.cause is Cause.RULE or (isinstance(given, Command) and not given.override):
            return False
        there = replace_in(before, after)
        return bool(lacking(there, self.begun.rules, self.move.to_stage, self.begun.decided_at))

    def case(self, at: datetime, state: str, numerator: Any, denominator: Any = 1, **more: Any) -> Case:
        owner = self.begun.after.owner_id
        own = {"stage": self.stage, **more}
        return Case(owner, self.pipeline.key, segment=segment_of(self.begun.after, self.pipeline), at=at, state=state,
                    numerator=numerator, denominator=denominator, **own)  # fmt: skip


def replace_in(before: Opportunity, after: Opportunity) -> Opportunity:
    """What is known after the input, where the opportunity was before it."""
    names = ("stage_key", "visit_no", "earned_stage", "earned_from", "retracted", "visit_keys")
    return after.changed(**{name: getattr(before, name) for name in names})


def segment_of(opportunity: Opportunity, pipeline: Pipeline) -> str:
    fact = opportunity.facts.get(pipeline.segment_fact)
    return fact.value if fact is not None and isinstance(fact.value, str) else ""


def is_move(logged: Logged) -> bool:
    """Whether it began a stay: a migration goes on with the one that lasts."""
    move = logged.decision.transition
    return move is not None and move.kind is not TransitionKind.MIGRATE


def stays(logs: Sequence[Sequence[Logged]]) -> list[Stay]:
    """All stays of the opportunities that were not deleted."""
    return [Stay(log, i) for log in logs if not log[-1].after.deleted for i in range(len(log)) if is_move(log[i])]
