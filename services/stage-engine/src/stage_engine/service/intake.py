"""What other services report of opportunities: scores, observations in the CRM, what became of our writes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from kit.database.unit_of_work import UnitOfWork
from kit.delivery.parking import AT_ONCE, Early, park, take
from kit.events import Received

from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Observation
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.sync import ConfirmedWrite, ParkedWrite, left_unreconciled, write_confirmed, write_parked
from stage_engine.messages import ActivityObserved, CrmWriteConfirmed, read_observation, read_submission
from stage_engine.records import ReachRecord
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.service.activities import Activities
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets
from stage_engine.settings import Settings
from stage_engine.telemetry import EVENTS_PARKED

SUBMISSION = "submission"
OBSERVATION = "observation"
_PLACED_AT_ONCE = 1000

W = TypeVar("W", ConfirmedWrite, ParkedWrite)


class Intake:
    """Places each input on its opportunity, or parks it until it can be placed."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets | None = None) -> None:
        self._uow = uow
        self._rulesets = rulesets or Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)
        self._activities = Activities(uow, self._rulesets, self._deciding)
        self._settings = uow.resources.get(Settings)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)

    async def submissions(self, arrivals: Sequence[Arrival]) -> None:
        """Decide on scores of known opportunities; those of unknown ones wait, up to a limit."""
        known = await self._deciding.load([a.given.opportunity_id for a in arrivals])
        early = [a for a in arrivals if a.given.opportunity_id not in known]
        await self._park(SUBMISSION, early, self._settings.parked_submission_limit, "opportunity_unknown")
        await self._deciding.decide([a for a in arrivals if a.given.opportunity_id in known])

    async def observations(self, arrivals: Sequence[Arrival]) -> None:
        """Reconcile opportunities with the CRM. A new one gets its pipeline, or waits until that is published."""
        # Before any opportunity is locked: a publisher takes this lock first and opportunities afterwards.
        await self._pipelines.lock_publication(shared=True)
        known = await self._deciding.load([a.given.opportunity_id for a in arrivals])
        given = [a.given for a in arrivals if isinstance(a.given, Observation)]
        new = [each for each in given if each.opportunity_id not in known]
        pinned = await self._pin(new)
        waiting = {each.opportunity_id for each in new} - pinned.keys()
        if waiting:
            early = [a for a in arrivals if a.given.opportunity_id in waiting]
            await self._park(OBSERVATION, early, self._settings.parked_observation_limit, "pipeline_unknown")
        # What an opportunity has waiting came before, so it is decided on before.
        earlier = await self._waiting_observations(pinned) if pinned else []
        placed = [a for a in (*earlier, *arrivals) if a.given.opportunity_id not in waiting]
        await self._deciding.decide(placed, pinned)
        if pinned:
            causes = {a.given.opportunity_id: a.cause for a in placed}
            scored = [event.message for event in await self._taken(SUBMISSION, pinned)]
            await self._deciding.decide([Arrival(read_submission(s), s, causes[s.opportunity_id]) for s in scored])
            await self._activities.take_waiting(pinned)

    async def place_waiting(self) -> None:
        """Place the observations that waited for a pipeline, in the order they came. The caller publishes one, and
        holds the exclusive lock of publication."""
        waiting = await self._waiting_observations(None)
        for start in range(0, len(waiting), _PLACED_AT_ONCE):
            await self.observations(waiting[start : start + _PLACED_AT_ONCE])

    async def confirmations(self, found: Sequence[tuple[ConfirmedWrite, Received[CrmWriteConfirmed]]]) -> None:
        """The CRM holds what was written: the new base. Where a person's edit and our write crossed, the opportunity is
        decided on once more."""
        await self._correct([write for write, _ in found], write_confirmed)
        newest = {write.opportunity_id: (write, event) for write, event in found}
        known = await self._deciding.load(list(newest))
        arrivals = [
            Arrival(given, cause=event)
            for opportunity_id, (write, event) in newest.items()
            if opportunity_id in known and (given := left_unreconciled(known[opportunity_id], write)) is not None
        ]
        if arrivals:
            await self._deciding.decide(arrivals)

    async def refusals(self, found: Sequence[ParkedWrite]) -> None:
        """The CRM refused a write for good: shown with the opportunity until a later write is confirmed. A refusal
        of answers alone says nothing about its stage."""
        await self._correct([write for write in found if write.stage_key], write_parked)

    async def activities(self, events: Sequence[Received[ActivityObserved]]) -> None:
        """Count what people did about known subjects; about unknown ones it waits, up to a limit."""
        await self._activities.take(events)

    async def score_reach(self, found: Iterable[ReachRecord]) -> None:
        """Take over what scores the newest points of each assessment version can give."""
        by_age = sorted(found, key=lambda each: each.profile_version)
        newest = {(each.assessment_key, each.assessment_version): each for each in by_age}
        await self._pipelines.keep_reach(list(newest.values()))

    async def _pin(self, new: Sequence[Observation]) -> dict[str, Ruleset]:
        """The rulesets that new opportunities are pinned to, by the pipeline each was first observed in."""
        if not new:
            return {}
        keys = {given.opportunity_id: given.pipeline_key for given in reversed(new)}
        rulesets = await self._rulesets.for_new(set(keys.values()))
        return {each: rulesets[key] for each, key in keys.items() if key in rulesets}

    async def _park(self, kind: str, early: Sequence[Arrival], limit: int, code: str) -> None:
        found = [Early(a.cause, str(a.cause.id), a.given.opportunity_id) for a in early if a.cause is not None]
        if found:
            number = await park(self._uow, kind, found, limit, code)
            self._uow.after_commit(lambda: EVENTS_PARKED.labels(kind).inc(number))

    async def _waiting_observations(self, of: Mapping[str, Ruleset] | None) -> list[Arrival]:
        """Without their numbers: by now their places in the order of reports are no longer known."""
        found = await self._taken(OBSERVATION, of)
        read = [(read_observation(event), event) for event in found]
        return [Arrival(replace(given, number=0), cause=event) for given, event in read if given]

    async def _taken(self, kind: str, of: Mapping[str, Ruleset] | None) -> list[Received[Any]]:
        found: list[Received[Any]] = []
        while some := await take(self._uow, kind, of, AT_ONCE):
            found += some
        return found

    async def _correct(self, found: Sequence[W], apply: Callable[[Opportunity, W], Opportunity]) -> None:
        known = await self._deciding.load([write.opportunity_id for write in found])
        changed: dict[str, Opportunity] = {}
        for write in found:
            opportunity = changed.get(write.opportunity_id) or known.get(write.opportunity_id)
            if opportunity is not None:
                after = apply(opportunity, write)
                if after != opportunity:
                    changed[write.opportunity_id] = after
        if changed:
            await self._deciding.correct(list(changed.values()))
