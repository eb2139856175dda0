"""Giving subjects to people: those that are new, and those that were left alone."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from stage_engine.domain.assigned import Assigned
from stage_engine.domain.assignment import AssignmentRules, Bench, Worker, assign, taken
from stage_engine.domain.calendar import DEFAULT
from stage_engine.domain.choosing import observed_facts
from stage_engine.domain.facts import Facts
from stage_engine.domain.inputs import Assignment, Observation, Occasion, TimerFired
from stage_engine.domain.known_facts import facts_in_force
from stage_engine.domain.timers import IDLE
from stage_engine.repository.assignments import AssignmentRepository
from stage_engine.repository.locks import lock
from stage_engine.service.calendars import Calendars
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets


@dataclass(frozen=True, slots=True)
class _Wish:
    """A subject that is to be given to a person: what is known of it, and who does not get it this time."""

    assignment_id: str
    opportunity_id: str
    facts: Facts
    arrival: Arrival
    besides: tuple[str, ...] = ()
    before: Mapping[str, Assigned] = field(default_factory=dict)
    # Roles that an action of its pipeline has given already; and whether actions wait for the choice.
    given: frozenset[str] = frozenset()
    awaited: bool = False


class Assigning:
    """Chooses by the rules in force, and has each choice decided on. The subjects are locked. It comes last in a
    transaction: no subject is locked behind the turns of those who wait."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets, deciding: Deciding) -> None:
        self._uow = uow
        self._rulesets = rulesets
        self._deciding = deciding
        self._repository = AssignmentRepository(uow.session, uow.tenant_id)

    async def announced(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """The arrivals, where those that were created say whether rules in force choose their owner next."""
        ruled: dict[str, bool] = {}
        found: list[Arrival] = []
        for arrival in arrivals:
            seen = _created(arrival)
            if seen is None:
                found.append(arrival)
                continue
            if seen.object_type not in ruled:
                ruled[seen.object_type] = await self._repository.newest(seen.object_type) is not None
            found.append(replace(arrival, given=replace(seen, owner_to_come=ruled[seen.object_type])))
        return found

    async def new(self, arrivals: Sequence[Arrival]) -> None:
        """Give those away that were created. What was imported has its owner."""
        now, wishes = utc_now(), dict[str, dict[str, _Wish]]()
        created = {a.given.opportunity_id for a in arrivals if _created(a)}
        subjects = await self._deciding.load([])
        for arrival in arrivals:
            given = arrival.given
            if isinstance(given, Observation) and given.opportunity_id in created:
                facts, subject = observed_facts(given, now), subjects.get(given.opportunity_id)
                roles = frozenset(subject.assigned) if subject is not None else frozenset[str]()
                awaited = subject is not None and bool(subject.awaiting_owner)
                id_ = f"first:{given.opportunity_id}"
                wish = _Wish(id_, given.opportunity_id, facts, arrival, given=roles, awaited=awaited)
                wishes.setdefault(given.object_type, {})[given.opportunity_id] = wish
        for object_type, of_type in sorted(wishes.items()):
            await self._give(object_type, list(of_type.values()), now)

    async def again(self, arrivals: Sequence[Arrival]) -> None:
        """Give those to others whose owners left them alone for too long."""
        now, wishes = utc_now(), dict[str, list[_Wish]]()
        idle = [a for a in arrivals if isinstance(a.given, TimerFired) and a.given.key == IDLE]
        subjects = await self._deciding.load([a.given.opportunity_id for a in idle])
        versions = {(s.pipeline_key, s.pipeline_version) for s in subjects.values()}
        rulesets = await self._rulesets.of(versions) if idle else {}
        for arrival in idle:
            subject = subjects[arrival.given.opportunity_id]
            pipeline = rulesets[subject.pipeline_key, subject.pipeline_version].pipeline
            # What came in the meantime has set it anew, or a person has chosen.
            running = subject.timers.get(IDLE)
            if running is None or running.due is not None:
                continue
            facts = facts_in_force(subject, pipeline, now)
            id_ = f"idle:{arrival.given.input_id}"
            wish = _Wish(id_, subject.opportunity_id, facts, arrival, (subject.assignee_id,), subject.assigned)
            wishes.setdefault(pipeline.object_type, []).append(wish)
        for object_type, of_type in sorted(wishes.items()):
            await self._give(object_type, of_type, now)

    async def _give(self, object_type: str, wishes: Sequence[_Wish], now: datetime) -> None:
        found = await self._repository.newest(object_type)
        if found is None:
            return
        # Beside another one, a transaction would give the same turn twice.
        await lock(self._uow.session, self._uow.tenant_id, [f"assignment:{object_type}"])
        await self._uow.flush()
        rules, people = found.document, set(found.document.people)
        for wish in wishes:
            people |= named_by(rules, wish.facts)
        bench = await self._bench(object_type, rules, people)
        arrivals: list[Arrival] = []
        for wish in wishes:
            chosen = assign(rules, wish.facts, bench, now, besides=wish.besides, before=wish.before)
            choices = tuple(each for each in chosen if each.role not in wish.given)
            if not choices and not wish.awaited:
                continue
            bench = taken(bench, choices, now)
            # As in a simulation: the lock is held, and the loop is not.
            await asyncio.sleep(0)
            given = Assignment(wish.assignment_id, wish.opportunity_id, found.version, choices)
            arrivals.append(Arrival(given, cause=wish.arrival.cause))
        await self._deciding.decide(arrivals)

    async def _bench(self, object_type: str, rules: AssignmentRules, people: set[str]) -> Bench:
        workers = await self._repository.bench(object_type, people)
        timed = any(pool.working_hours for pool in rules.pools)
        calendars = await Calendars(self._uow).of_owners(people) if timed else {}
        return {
            w.person_id: Worker(w.person_id, w.active, w.load, w.last_at, calendars.get(w.person_id, DEFAULT))
            for w in workers
        }


def named_by(rules: AssignmentRules, facts: Mapping[str, object]) -> set[str]:
    """The people whom facts name that rules give subjects to."""
    goals = [*(rule.to for rule in rules.rules), *rules.fallback.values()]
    named = (facts.get(goal.person_of) for goal in goals if goal.person_of)
    return {each for each in named if isinstance(each, str)}


def _created(arrival: Arrival) -> Observation | None:
    """What shows the creation of a record; None of anything else."""
    given = arrival.given
    return given if isinstance(given, Observation) and given.occasion is Occasion.CREATED else None
