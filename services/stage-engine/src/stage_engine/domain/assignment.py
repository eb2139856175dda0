"""Assignment: who gets a subject, by ordered rules over its facts, and why.

For each role the first rule whose conditions hold and that finds a person decides. A person who has left, is absent,
outside working hours or at capacity is passed over. Where every rule fails the fallback takes it, which asks for
neither hours nor capacity. Of several people in a pool goes first who waited longest (round robin) or has least open
(least loaded); then who has less, then the smaller id. So the same facts and the same people give the same choice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from stage_engine.domain.assigned import OWNER_ROLE, Assigned
from stage_engine.domain.calendar import Calendar, add_business
from stage_engine.domain.cells import predicate
from stage_engine.domain.facts import AMOUNT, CURRENCY, Facts
from stage_engine.domain.grammar import parse
from stage_engine.domain.literals import Known
from stage_engine.domain.rules import DeclaredFact
from stage_engine.domain.stages import Condition

# So many of each may be in force, by whichever way they come: put by a person, or installed with a template.
MOST_RULES, MOST_POOLS, MOST_ABSENCES, MOST_FALLBACKS, MOST_FACTS = 200, 100, 500, 20, 200
MOST_OF_A_POOL = 500
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class Turn(StrEnum):
    """Who of a pool goes first."""

    ROUND_ROBIN = "round_robin"
    LEAST_LOADED = "least_loaded"


@dataclass(frozen=True, slots=True)
class Pool:
    """People who take turns. Each has at most `capacity` open subjects; with `working_hours` only those take part who
    are at work."""

    key: str
    people: tuple[str, ...]
    turn: Turn = Turn.LEAST_LOADED
    capacity: int | None = None
    working_hours: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a subject goes: to a person, to the person that a fact names, or to a pool: exactly one of them."""

    person: str = ""
    person_of: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class AssignmentRule:
    """Gives a role to the goal once every condition holds."""

    rule_id: str
    conditions: tuple[Condition, ...]
    to: Goal
    role: str = OWNER_ROLE


@dataclass(frozen=True, slots=True)
class Absence:
    """A person takes nothing from one moment until another."""

    person_id: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class AssignmentRules:
    """A version of the rules for one type of object, in order. `facts` are those that are not built in."""

    rules: tuple[AssignmentRule, ...]
    pools: tuple[Pool, ...] = ()
    absences: tuple[Absence, ...] = ()
    fallback: Mapping[str, Goal] = field(default_factory=dict)
    facts: tuple[DeclaredFact, ...] = ()
    currency: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that a rule or a fallback gives, in the order of the rules."""
        return tuple(dict.fromkeys([*(rule.role for rule in self.rules), *self.fallback]))

    @property
    def people(self) -> frozenset[str]:
        """Everyone who is named."""
        named = {rule.to.person for rule in self.rules} | {goal.person for goal in self.fallback.values()}
        return frozenset(named.union(*(pool.people for pool in self.pools)) - {""})

    def pool(self, key: str) -> Pool:
        """The pool of this key; KeyError when there is none."""
        return next(each for each in self.pools if each.key == key)


@dataclass(frozen=True, slots=True)
class Worker:
    """A person as the choice sees them: open subjects, when they last got one, their working hours."""

    person_id: str
    active: bool
    load: int
    last_at: datetime | None
    calendar: Calendar


Bench = Mapping[str, Worker]


def assign(
    rules: AssignmentRules,
    facts: Facts,
    bench: Bench,
    now: datetime,
    *,
    besides: Iterable[str] = (),
    before: Mapping[str, Assigned] | None = None,
) -> tuple[Assigned, ...]:
    """Who gets each role. `besides` names people who do not get it this time, `before` who had it: the others of that
    pool come first, because facts that no pipeline reads are known only when a subject is new."""
    had, out = before or {}, frozenset(besides)
    return tuple(
        _of_same_pool(rules, had.get(role), bench, out, now) or _assigned(rules, role, facts, bench, out, now)
        for role in rules.roles
    )


def _of_same_pool(
    rules: AssignmentRules, had: Assigned | None, bench: Bench, besides: frozenset[str], now: datetime
) -> Assigned | None:
    pool = next((each for each in rules.pools if had is not None and each.key == had.pool), None)
    if had is None or pool is None:
        return None
    person_id, why = _of_pool(rules, pool, bench, besides, now, True)
    return Assigned(had.role, person_id, had.rule_id, pool.key, f"{why}, where it was", now) if person_id else None


def taken(bench: Bench, chosen: Iterable[Assigned], now: datetime) -> Bench:
    """The bench after these choices: each has one more, and had the last turn. Only what is owned is a load."""
    found = dict(bench)
    for each in chosen:
        worker = found.get(each.person_id)
        if worker is not None:
            more = 1 if each.role == OWNER_ROLE else 0
            found[each.person_id] = replace(worker, load=worker.load + more, last_at=now)
    return found


def _assigned(
    rules: AssignmentRules, role: str, facts: Facts, bench: Bench, besides: frozenset[str], now: datetime
) -> Assigned:
    passed: list[str] = []
    for rule in rules.rules:
        if rule.role != role or not all(_holds(each, facts, rules.currency) for each in rule.conditions):
            continue
        person_id, why = _of_goal(rules, rule.to, facts, bench, besides, now)
        if person_id:
            asked = " and ".join(f"{each.fact} is {each.cell}" for each in rule.conditions) or "it asks for nothing"
            text = "; ".join([*passed, f"{rule.rule_id} holds because {asked}; {why}"])
            return Assigned(role, person_id, rule.rule_id, rule.to.pool, text, now)
        passed.append(f"{rule.rule_id} holds, but {why}")
    if not passed:
        passed.append("no rule holds")
    goal = rules.fallback.get(role)
    if goal is None:
        return Assigned(role, "", "", "", "; ".join([*passed, "there is no fallback"]), now)
    person_id, why = _of_goal(rules, goal, facts, bench, besides, now, strict=False)
    return Assigned(role, person_id, "", goal.pool if person_id else "", "; ".join([*passed, f"fallback: {why}"]), now)


def _holds(condition: Condition, facts: Facts, currency: str) -> bool:
    if condition.fact == AMOUNT and facts.get(CURRENCY, "") not in ("", currency):
        return False
    return _test_of(condition.cell)(facts.get(condition.fact))


@lru_cache(4096)
def _test_of(cell: str) -> Callable[[Known | None], bool]:
    return predicate(parse(cell))


def _of_goal(
    rules: AssignmentRules,
    goal: Goal,
    facts: Facts,
    bench: Bench,
    besides: frozenset[str],
    now: datetime,
    *,
    strict: bool = True,
) -> tuple[str, str]:
    """The person, and why this one; an empty one with why no one could."""
    if goal.pool:
        return _of_pool(rules, rules.pool(goal.pool), bench, besides, now, strict)
    person_id = goal.person
    if goal.person_of:
        known = facts.get(goal.person_of)
        if not isinstance(known, str) or not known:
            return "", f"{goal.person_of} is not known"
        person_id = known
    hindrance = next(_hindrances(rules, person_id, bench, besides, now), "")
    if hindrance:
        return "", f"{person_id} {hindrance}"
    return person_id, f"{person_id} is {goal.person_of}" if goal.person_of else f"{person_id} is named"


def _of_pool(
    rules: AssignmentRules, pool: Pool, bench: Bench, besides: frozenset[str], now: datetime, strict: bool
) -> tuple[str, str]:
    able: list[Worker] = []
    passed: list[str] = []
    for person_id in dict.fromkeys(pool.people):
        hindrance = next(_hindrances(rules, person_id, bench, besides, now), "")
        if not hindrance and strict:
            hindrance = next(_limits(pool, bench[person_id], now), "")
        if hindrance:
            passed.append(f"{person_id} {hindrance}")
        else:
            able.append(bench[person_id])
    if not able:
        return "", f"no one in {pool.key} can take it ({', '.join(passed) or 'it is empty'})"
    first = min(able, key=lambda each: _order(pool, each))
    waited = "had none yet" if first.last_at is None else f"had the last at {first.last_at:%Y-%m-%d %H:%M} UTC"
    why = waited if pool.turn is Turn.ROUND_ROBIN else f"has the fewest open, {first.load}"
    left_out = f" ({', '.join(passed)})" if passed else ""
    return first.person_id, f"{first.person_id} of {pool.key} {why}{left_out}"


def _order(pool: Pool, worker: Worker) -> tuple[datetime, int, str]:
    turn = worker.last_at or _LONG_AGO
    return (turn if pool.turn is Turn.ROUND_ROBIN else _LONG_AGO), worker.load, worker.person_id


def _hindrances(
    rules: AssignmentRules, person_id: str, bench: Bench, besides: frozenset[str], now: datetime
) -> Iterator[str]:
    worker = bench.get(person_id)
    if worker is None:
        yield "is no user of the CRM"
        return
    if not worker.active:
        yield "has left"
    if person_id in besides:
        yield "had it before"
    for each in rules.absences:
        if each.person_id == person_id and each.since <= now < each.until:
            yield f"is absent until {each.until:%Y-%m-%d %H:%M} UTC"


def _limits(pool: Pool, worker: Worker, now: datetime) -> Iterator[str]:
    if pool.capacity is not None and worker.load >= pool.capacity:
        yield f"is at capacity with {worker.load}"
    if pool.working_hours and not _is_at_work(worker.calendar, now):
        yield "is outside working hours"


def _is_at_work(calendar: Calendar, now: datetime) -> bool:
    """Whether business time passes right now."""
    return add_business(calendar, now, _TICK) == now + _TICK
