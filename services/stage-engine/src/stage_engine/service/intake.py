"""What other services said about deals: scores, sights in the CRM, what became of our writes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from kit import wire
from kit.database.unit_of_work import UnitOfWork
from kit.errors import InvalidEvent
from kit.events import Received

from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Observation
from stage_engine.domain.state import Instance
from stage_engine.domain.sync import unanswered, write_confirmed, write_parked
from stage_engine.messages import (
    CrmWriteConfirmed,
    CrmWriteParked,
    OpportunityObserved,
    SubmissionScored,
    read_observation,
    read_submission,
)
from stage_engine.service.deciding import Arrival, Deals
from stage_engine.service.rules import Rules
from stage_engine.settings import Settings
from stage_engine.telemetry import EVENTS_PARKED

SCORE = "submission_scored"
SIGHT = "opportunity_observed"
_REDRIVE_AT_ONCE = 1000


class Sighting(NamedTuple):
    """A sight of a deal, as the event has it and as it is decided on."""

    given: Observation
    message: OpportunityObserved
    cause: Received[Any] | None


class Intake:
    """Places each event on its deal, or parks it until it can be placed."""

    def __init__(self, uow: UnitOfWork, rules: Rules | None = None) -> None:
        self._uow = uow
        self._rules = rules or Rules(uow)
        self._deals = Deals(uow, self._rules)
        self._parked = self._deals.repository

    async def submissions(self, events: Sequence[Received[SubmissionScored]]) -> None:
        """Decide on scores of known deals; those of unknown ones wait, up to a limit. InvalidEvent beyond it."""
        arrivals = [Arrival(read_submission(event.message), event.message, event) for event in events]
        known = await self._deals.load([a.given.opportunity_id for a in arrivals])
        early = [event.message for event in events if event.message.opportunity_id not in known]
        if early:
            await self._park_scores(early)
        await self._deals.decide([a for a in arrivals if a.given.opportunity_id in known])

    async def _park_scores(self, early: Sequence[SubmissionScored]) -> None:
        limit = self._uow.resources.get(Settings).parked_submission_limit
        if await self._parked.parked_count(SCORE, limit) + len(early) > limit:
            raise InvalidEvent("opportunity_unknown", f"{limit} scores of opportunities never seen wait already")
        await self._parked.park(SCORE, [(m.opportunity_id, m.SerializeToString()) for m in early])
        self._count_parked(SCORE, len(early))

    async def observations(self, events: Sequence[Received[OpportunityObserved]]) -> None:
        """Reconcile deals with the CRM. A deal seen first gets its pipeline, or waits until that is published."""
        await self._observe(
            [Sighting(read_observation(e.message, str(e.id), e.sequence), e.message, e) for e in events]
        )

    async def _observe(self, sights: Sequence[Sighting]) -> None:
        # Before any deal is locked: whoever publishes takes this lock first and deals afterwards.
        await self._parked.lock_pipelines(exclusively=False)
        known = await self._deals.load([s.given.opportunity_id for s in sights])
        new = {
            s.given.opportunity_id: s.given.pipeline_key
            for s in reversed(sights)
            if s.given.opportunity_id not in known
        }
        first_rules = await self._pinned(new)
        waiting = new.keys() - first_rules.keys()
        if waiting:
            await self._park_sights([s for s in sights if s.given.opportunity_id in waiting])
        # What a deal has waiting came before, so it is decided on before.
        earlier = [self._unparked(p) for p in await self._all_parked(SIGHT, first_rules)] if first_rules else []
        placed = [s for s in (*earlier, *sights) if s.given.opportunity_id not in waiting]
        await self._deals.decide([Arrival(s.given, None, s.cause) for s in placed], first_rules)
        if first_rules:
            causes = {s.given.opportunity_id: s.cause for s in placed}
            payloads = await self._all_parked(SCORE, first_rules)
            scores = [SubmissionScored.FromString(payload) for payload in payloads]
            await self._deals.decide([Arrival(read_submission(m), m, causes[m.opportunity_id]) for m in scores])

    async def _pinned(self, new: Mapping[str, str]) -> dict[str, Ruleset]:
        """The rules that deals seen first, each with a pipeline's key, are pinned to."""
        if not new:
            return {}
        rulesets = await self._rules.for_first_sight(set(new.values()))
        return {each: rulesets[key] for each, key in new.items() if key in rulesets}

    async def _park_sights(self, sights: Sequence[Sighting]) -> None:
        for sight in sights:
            sight.message.change_id = sight.given.change_id
        await self._parked.park(SIGHT, [(s.given.opportunity_id, s.message.SerializeToString()) for s in sights])
        self._count_parked(SIGHT, len(sights))

    async def _all_parked(self, kind: str, opportunity_ids: Collection[str] | None = None) -> list[bytes]:
        payloads: list[bytes] = []
        while batch := await self._parked.take_parked(kind, opportunity_ids, _REDRIVE_AT_ONCE):
            payloads += batch
        return payloads

    @staticmethod
    def _unparked(payload: bytes) -> Sighting:
        message = OpportunityObserved.FromString(payload)
        return Sighting(read_observation(message, message.change_id, 0), message, None)

    async def redrive_observations(self) -> None:
        """Place the sights that waited for a pipeline, in the order they came. Called by whoever publishes one, under
        the exclusive lock on pipelines."""
        sights = [self._unparked(payload) for payload in await self._all_parked(SIGHT)]
        for start in range(0, len(sights), _REDRIVE_AT_ONCE):
            await self._observe(sights[start : start + _REDRIVE_AT_ONCE])

    async def confirmations(self, events: Sequence[Received[CrmWriteConfirmed]]) -> None:
        """The CRM holds what was written: the new base. Where a person's edit and our write crossed, the deal is
        decided on once more."""

        def confirmed(deal: Instance, event: Received[Any]) -> Instance:
            return write_confirmed(deal, event.message.revision, event.message.stage_key, event.sequence)

        of_stages = _of_stages(events)
        await self._correct(of_stages, confirmed)
        newest = {event.message.opportunity_id: event for event in of_stages}
        known = await self._deals.load(list(newest))
        arrivals: list[Arrival] = []
        for opportunity_id, event in newest.items():
            if (deal := known.get(opportunity_id)) is None:
                continue
            m, at = event.message, wire.moment(event.message.confirmed_at, "confirmed_at")
            given = unanswered(deal, m.write_id or m.intent_id, m.revision, m.stage_key, event.sequence, at)
            if given is not None:
                arrivals.append(Arrival(given, None, event))
        if arrivals:
            await self._deals.decide(arrivals)

    async def refusals(self, events: Sequence[Received[CrmWriteParked]]) -> None:
        """The CRM refused a write for good: shown with the deal until a later write is through."""

        def refused(deal: Instance, event: Received[Any]) -> Instance:
            m = event.message
            return write_parked(deal, m.revision, m.stage_key, m.code, m.reason, wire.moment(m.parked_at, "parked_at"))

        await self._correct(_of_stages(events), refused)

    async def _correct(
        self, events: Sequence[Received[Any]], apply: Callable[[Instance, Received[Any]], Instance]
    ) -> None:
        known = await self._deals.load([event.message.opportunity_id for event in events])
        changed: dict[str, Instance] = {}
        for event in events:
            opportunity_id = event.message.opportunity_id
            deal = changed.get(opportunity_id) or known.get(opportunity_id)
            if deal is not None:
                after = apply(deal, event)
                if after != deal:
                    changed[opportunity_id] = after
        if changed:
            await self._deals.correct(list(changed.values()))

    def _count_parked(self, reason: str, number: int) -> None:
        self._uow.after_commit(lambda: EVENTS_PARKED.labels(reason).inc(number))


def _of_stages(reports: Sequence[Received[Any]]) -> list[Received[Any]]:
    """What is reported of answers alone says nothing of a deal's stage."""
    return [report for report in reports if report.message.stage_key]
