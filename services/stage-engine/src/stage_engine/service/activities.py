"""What people did about a subject, taken into the facts that rules read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kit.aside.parking import AT_ONCE, take
from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.activities import (
    Activity,
    Asked,
    Key,
    Total,
    asked_of,
    changes_of,
    facts_of,
    latest,
    withdrawn_of,
)
from stage_engine.domain.facts import CRM
from stage_engine.domain.inputs import FactChange
from stage_engine.domain.obligations import is_touch, owed_since
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline
from stage_engine.messages import ActivityObserved, read_activity
from stage_engine.repository.activities import ActivityRepository
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.waiting import let_wait

ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class Heard:
    """An activity, and the event that it came by; a meeting that has begun comes by none."""

    activity: Activity
    cause: Received[ActivityObserved] | None = None


_NOTHING = Asked()


class Activities:
    """Counts activities of known subjects; those of unknown ones wait, up to a limit."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets, deciding: Deciding) -> None:
        self._uow = uow
        self._rulesets = rulesets
        self._deciding = deciding
        self._repository = ActivityRepository(uow.session, uow.tenant_id)

    async def take(self, events: Sequence[Received[ActivityObserved]]) -> Sequence[Arrival]:
        """Count these. A subject whose pipeline reads a fact that changed is decided on once; what was decided on."""
        heard = [Heard(read_activity(event.message), event) for event in events]
        known = await self._deciding.load([each.activity.subject_id for each in heard])
        early = ((e.cause, e.activity.subject_id) for e in heard if e.cause and e.activity.subject_id not in known)
        await let_wait(self._uow, ACTIVITY, early, "subject_unknown")
        return await self._count([each for each in heard if each.activity.subject_id in known])

    async def begin(self, now: datetime, limit: int, *, decide: bool) -> Sequence[Arrival]:
        """Count meetings that were planned and have begun, as many as the limit; what was decided on."""
        keys = await self._repository.begun(now, limit)
        await self._deciding.load([subject_id for subject_id, _ in keys])
        # Anew, now that their subjects are locked.
        held = await self._repository.held(set(keys))
        begun = (each.begun(now) for each in held.values())
        return await self._count([Heard(each) for each in begun if each is not None], decide=decide)

    async def _count(self, given: Sequence[Heard], *, decide: bool = True) -> Sequence[Arrival]:
        known = await self._deciding.load([])
        held = await self._repository.held({each.activity.key for each in given})
        new = latest(held, [each.activity for each in given])
        if not new:
            return []
        await self._repository.keep(new, changes_of(held, new))
        if not decide:
            return []
        totals = await self._repository.totals({each.subject_id for each in new})
        return await self._decide(known, totals, given, await self._asked(known, held, new))

    async def take_waiting(self, subject_ids: Collection[str]) -> None:
        """Count what waited for these subjects."""
        while events := await take(self._uow, ACTIVITY, subject_ids, AT_ONCE):
            await self.take(events)

    async def _asked(
        self, known: Mapping[str, Opportunity], held: Mapping[Key, Activity], new: Sequence[Activity]
    ) -> dict[str, Asked]:
        """What obligations ask for, by subject. What met one and does so no more leaves its place to the others."""
        withdrawn = withdrawn_of(held, new)
        counting: list[Activity] = []
        owing = {id_: since for id_ in withdrawn if (since := owed_since(known[id_])) is not None}
        if owing:
            counting = await self._repository.counting(owing, min(owing.values()))
        return asked_of(new, withdrawn, counting)

    async def _decide(
        self,
        known: Mapping[str, Opportunity],
        totals: Mapping[str, list[Total]],
        given: Sequence[Heard],
        asked: Mapping[str, Asked],
    ) -> Sequence[Arrival]:
        subjects = [known[each] for each in totals]
        rulesets = await self._rulesets.of({(each.pipeline_key, each.pipeline_version) for each in subjects})
        last = {each.activity.subject_id: each for each in given}
        arrivals: list[Arrival] = []
        for subject in subjects:
            pipeline = rulesets[subject.pipeline_key, subject.pipeline_version].pipeline
            id_ = subject.opportunity_id
            change = _change(subject, pipeline, totals[id_], last[id_], asked[id_])
            if change is not None:
                arrivals.append(Arrival(change, cause=last[subject.opportunity_id].cause))
        if arrivals:
            await self._deciding.decide(arrivals)
        return arrivals


def _change(
    subject: Opportunity, pipeline: Pipeline, totals: Sequence[Total], last: Heard, asked: Asked
) -> FactChange | None:
    """The facts that the pipeline version reads and that changed, and what obligations ask for, if there is any."""
    counted = facts_of(totals)
    facts = tuple(fact for fact in counted if fact.name in pipeline.reads and _may_say(pipeline, fact.name))
    if not any(is_touch(each.met_by) for each in pipeline.obligations):
        asked = _NOTHING
    held = {name: fact.value for name, fact in subject.facts.items() if fact.source == CRM}
    held |= {fact.name: fact.value for fact in subject.other_facts if fact.source == CRM}
    if asked == _NOTHING and all(held.get(fact.name) == fact.value for fact in facts):
        return None
    # The number of all that was heard names the report: one activity may change without a stamp of its own.
    change_id = f"activity:{last.activity.activity_id}:{counted[0].sequence}"
    by = last.activity.person_id
    return FactChange(change_id, subject.opportunity_id, CRM, facts, by, asked.touches, asked.withdrawn)


def _may_say(pipeline: Pipeline, name: str) -> bool:
    sources = pipeline.sources_of(name)
    return not sources or CRM in sources
