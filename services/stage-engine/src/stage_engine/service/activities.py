"""What people did about a subject, taken into the facts that rules read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork
from kit.delivery.parking import AT_ONCE, take
from kit.events import Received

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
from stage_engine.domain.obligations import is_touch
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
    """An activity, and the event that it came by."""

    activity: Activity
    cause: Received[ActivityObserved]


_NOTHING = Asked()


class Activities:
    """Counts activities of known subjects; those of unknown ones wait, up to a limit."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets, deciding: Deciding) -> None:
        self._uow = uow
        self._rulesets = rulesets
        self._deciding = deciding
        self._repository = ActivityRepository(uow.session, uow.tenant_id)

    async def take(self, events: Sequence[Received[ActivityObserved]]) -> None:
        """Count these. A subject whose pipeline reads a fact that changed is decided on once."""
        heard = [Heard(read_activity(event.message), event) for event in events]
        known = await self._deciding.load([each.activity.subject_id for each in heard])
        early = ((each.cause, each.activity.subject_id) for each in heard if each.activity.subject_id not in known)
        await let_wait(self._uow, ACTIVITY, early, "subject_unknown")
        given = [each for each in heard if each.activity.subject_id in known]
        held = await self._repository.held({each.activity.key for each in given})
        new = latest(held, [each.activity for each in given])
        if not new:
            return
        await self._repository.keep(new, changes_of(held, new))
        totals = await self._repository.totals({each.subject_id for each in new})
        await self._decide(known, totals, given, await self._asked(known, held, new))

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
        owing = {
            subject_id: min(owed.made_at for series in known[subject_id].owing.values() for owed in series.owed)
            for subject_id in withdrawn
            if known[subject_id].owing
        }
        if owing:
            counting = await self._repository.counting(owing, min(owing.values()))
        return asked_of(new, withdrawn, counting)

    async def _decide(
        self,
        known: Mapping[str, Opportunity],
        totals: Mapping[str, list[Total]],
        given: Sequence[Heard],
        asked: Mapping[str, Asked],
    ) -> None:
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


def _change(
    subject: Opportunity, pipeline: Pipeline, totals: Sequence[Total], last: Heard, asked: Asked
) -> FactChange | None:
    """The facts that the pipeline version reads and that changed, and what obligations ask for, if there is any."""
    told = facts_of(totals)
    facts = tuple(fact for fact in told if fact.name in pipeline.reads and _may_say(pipeline, fact.name))
    if not any(is_touch(each.met_by) for each in pipeline.obligations):
        asked = _NOTHING
    held = {name: fact.value for name, fact in subject.facts.items() if fact.source == CRM}
    held |= {fact.name: fact.value for fact in subject.other_facts if fact.source == CRM}
    if asked == _NOTHING and all(held.get(fact.name) == fact.value for fact in facts):
        return None
    # The number of all that was heard names the report: one activity may change without a stamp of its own.
    change_id = f"activity:{last.activity.activity_id}:{told[0].sequence}"
    by = last.cause.message.person_id
    return FactChange(change_id, subject.opportunity_id, CRM, facts, by, asked.touches, asked.withdrawn)


def _may_say(pipeline: Pipeline, name: str) -> bool:
    sources = pipeline.sources_of(name)
    return not sources or CRM in sources
