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
# So many people who were passed over, and rules that found no one, are named in a reason.
_MOST_SAID = 10
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
    had, choosing = before or {}, _Choosing(rules, facts, bench, frozenset(besides), now)
    return tuple(choosing.of_same_pool(had.get(role)) or choosing.of_role(role) for role in rules.roles)


def taken(bench: Bench, chosen: Iterable[Assigned], now: datetime) -> Bench:
    """The bench after these choices: each has one more, and had the last turn. Only what is owned is a load."""
    found = dict(bench)
    for each in chosen:
        worker = found.get(each.person_id)
        if worker is not None:
            more = 1 if each.role == OWNER_ROLE else 0
            found[each.person_id] = replace(worker, load=worker.load + more, last_at=now)
    return found


class _Choosing:
    """One choice. Each pool and each person is looked at once, however many rules lead there."""

    def __init__(
        self, rules: AssignmentRules, facts: Facts, bench: Bench, besides: frozenset[str], now: datetime
    ) -> None:
        self._rules = rules
        self._facts = facts
        self._bench = bench
        self._besides = besides
        self._now = now
        self._pools = {pool.key: pool for pool in rules.pools}
        self._of_pools: dict[tuple[str, bool], tuple[str, str]] = {}
        self._hindrances: dict[str, str] = {}
        # Of several the first counts.
        now_absent = (each for each in reversed(rules.absences) if each.since <= now < each.until)
        self._absent = {each.person_id: each.until for each in now_absent}

    def of_same_pool(self, had: Assigned | None) -> Assigned | None:
        """Another person of the pool that who had it came from, if one can."""
        if had is None or had.pool not in self._pools:
            return None
        person_id, why = self._of_pool(had.pool, strict=True)
        if not person_id:
            return None
        return Assigned(had.role, person_id, had.rule_id, had.pool, f"{why}, where it was", self._now)

    def of_role(self, role: str) -> Assigned:
        """Who gets a role by the rules, or at last by the fallback."""
        rules, passed = self._rules, list[str]()
        for rule in rules.rules:
            if rule.role != role or not all(_holds(each, self._facts, rules.currency) for each in rule.conditions):
                continue
            person_id, why = self._of_goal(rule.to)
            if person_id:
                asked = " and ".join(f"{each.fact} is {each.cell}" for each in rule.conditions) or "it asks for nothing"
                text = "; ".join([*_some(passed, "rules"), f"{rule.rule_id} holds because {asked}; {why}"])
                return Assigned(role, person_id, rule.rule_id, rule.to.pool, text, self._now)
            passed.append(f"{rule.rule_id} holds, but {why}")
        passed = _some(passed, "rules") or ["no rule holds"]
        goal = rules.fallback.get(role)
        if goal is None:
            return Assigned(role, "", "", "", "; ".join([*passed, "there is no fallback"]), self._now)
        person_id, why = self._of_goal(goal, strict=False)
        text = "; ".join([*passed, f"fallback: {why}"])
        return Assigned(role, person_id, "", goal.pool if person_id else "", text, self._now)

    def _of_goal(self, goal: Goal, *, strict: bool = True) -> tuple[str, str]:
        """The person, and why this one; an empty one with why no one could."""
        if goal.pool:
            return self._of_pool(goal.pool, strict=strict)
        person_id = goal.person
        if goal.person_of:
            known = self._facts.get(goal.person_of)
            if not isinstance(known, str) or not known:
                return "", f"{goal.person_of} is not known"
            person_id = known
        hindrance = self._hindrance(person_id)
        if hindrance:
            return "", f"{person_id} {hindrance}"
        return person_id, f"{person_id} is {goal.person_of}" if goal.person_of else f"{person_id} is named"

    def _of_pool(self, key: str, *, strict: bool) -> tuple[str, str]:
        found = self._of_pools.get((key, strict))
        if found is None:
            found = self._of_pools[key, strict] = self._first_of(self._pools[key], strict=strict)
        return found

    def _first_of(self, pool: Pool, *, strict: bool) -> tuple[str, str]:
        able: list[Worker] = []
        passed: list[str] = []
        for person_id in dict.fromkeys(pool.people):
            hindrance = self._hindrance(person_id)
            if not hindrance and strict:
                hindrance = next(_limits(pool, self._bench[person_id], self._now), "")
            if hindrance:
                passed.append(f"{person_id} {hindrance}")
            else:
                able.append(self._bench[person_id])
        others = ", ".join(_some(passed, "people"))
        if not able:
            return "", f"no one in {pool.key} can take it ({others or 'it is empty'})"
        first = min(able, key=lambda each: _order(pool, each))
        waited = "had none yet" if first.last_at is None else f"had the last at {first.last_at:%Y-%m-%d %H:%M} UTC"
        why = waited if pool.turn is Turn.ROUND_ROBIN else f"has the fewest open, {first.load}"
        return first.person_id, f"{first.person_id} of {pool.key} {why}{f' ({others})' if others else ''}"

    def _hindrance(self, person_id: str) -> str:
        """Why the person gets nothing, whatever the pool; empty where nothing is in the way."""
        if person_id not in self._hindrances:
            worker, until = self._bench.get(person_id), self._absent.get(person_id)
            if worker is None:
                text = "is no user of the CRM"
            elif not worker.active:
                text = "has left"
            elif person_id in self._besides:
                text = "had it before"
            else:
                text = f"is absent until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
            self._hindrances[person_id] = text
        return self._hindrances[person_id]


def _some(texts: list[str], what: str) -> list[str]:
    """The first few: the reason of a choice is kept with its subject, and read by people."""
    more = len(texts) - _MOST_SAID
    return [*texts[:_MOST_SAID], f"and {more} more {what}"] if more > 0 else texts


def _holds(condition: Condition, facts: Facts, currency: str) -> bool:
    if condition.fact == AMOUNT and facts.get(CURRENCY, "") not in ("", currency):
        return False
    return _test_of(condition.cell)(facts.get(condition.fact))


@lru_cache(4096)
def _test_of(cell: str) -> Callable[[Known | None], bool]:
    return predicate(parse(cell))


def _order(pool: Pool, worker: Worker) -> tuple[datetime, int, str]:
    turn = worker.last_at or _LONG_AGO
    return (turn if pool.turn is Turn.ROUND_ROBIN else _LONG_AGO), worker.load, worker.person_id


def _limits(pool: Pool, worker: Worker, now: datetime) -> Iterator[str]:
    if pool.capacity is not None and worker.load >= pool.capacity:
        yield f"is at capacity with {worker.load}"
    if pool.working_hours and not _is_at_work(worker.calendar, now):
        yield "is outside working hours"


def _is_at_work(calendar: Calendar, now: datetime) -> bool:
    """Whether business time passes right now."""
    return add_business(calendar, now, _TICK) == now + _TICK
