"""What other services report of opportunities: scores, observations in the CRM, what became of our writes."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from kit.aside.parking import AT_ONCE, take
from kit.contracts.events import Received
from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.sync import ConfirmedWrite, ParkedWrite, left_unreconciled, write_confirmed, write_parked
from stage_engine.messages import ActivityObserved, CrmWriteConfirmed, SubmissionScored, read_submission
from stage_engine.records.pipelines import ReachRecord
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.repository.unplaced import UnplacedRepository
from stage_engine.service.activities import Activities
from stage_engine.service.assigning import Assigning
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.placing import Placed, Placing
from stage_engine.service.reassigning import Reassigning
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.waiting import let_wait

SUBMISSION = "submission"

W = TypeVar("W", ConfirmedWrite, ParkedWrite)


class Intake:
    """Places each input on its opportunity, or parks it until it can be placed."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets | None = None) -> None:
        self._uow = uow
        self._rulesets = rulesets or Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)
        self._activities = Activities(uow, self._rulesets, self._deciding)
        self._assigning = Assigning(uow, self._rulesets, self._deciding)
        self._reassigning = Reassigning(self._rulesets, self._deciding)
        self._placing = Placing(uow, self._rulesets)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)

    async def submissions(self, arrivals: Sequence[Arrival]) -> None:
        """Decide on scores of known opportunities; those of unknown ones wait, up to a limit."""
        known = await self._deciding.load([a.given.opportunity_id for a in arrivals])
        early = [a for a in arrivals if a.given.opportunity_id not in known]
        waiting = ((a.cause, a.given.opportunity_id) for a in early if a.cause is not None)
        await let_wait(self._uow, SUBMISSION, waiting, "opportunity_unknown")
        await self._deciding.decide([a for a in arrivals if a.given.opportunity_id in known])

    async def observations(self, arrivals: Sequence[Arrival]) -> None:
        """Reconcile subjects with the CRM. A new one gets the pipeline that applies, or is listed as unplaced."""
        # Before any subject is locked: a publisher takes this lock first and subjects afterwards.
        await self._pipelines.lock_publication(shared=True)
        known = set(await self._deciding.load([a.given.opportunity_id for a in arrivals]))
        new: dict[str, list[Arrival]] = {}
        for arrival in arrivals:
            if arrival.given.opportunity_id not in known:
                new.setdefault(arrival.given.opportunity_id, []).append(arrival)
        placed = await self._place(new) if new else Placed()
        of_known = [a for a in arrivals if a.given.opportunity_id in known]
        await self._decide(of_known, placed)
        # What came after the observation that placed a record may lead it on at once.
        await self._reassigning.after([*of_known, *placed.arrivals])
        await self._assigning.new(placed.arrivals)

    async def place_page(self, size: int) -> bool:
        """Look at the next unplaced records again; whether there may be more."""
        await self._pipelines.lock_publication(shared=True)
        unplaced = UnplacedRepository(self._uow.session, self._uow.tenant_id)
        after = await unplaced.place_reached()
        if after is None:
            return False
        page = await unplaced.page(after, size)
        known = await self._deciding.load(page)
        placed = await self._place({each: () for each in page if each not in known})
        await self._decide([], placed)
        more = len(page) == size
        await unplaced.went_on(page[-1] if more else None)
        await self._assigning.new(placed.arrivals)
        return more

    async def pass_over(self) -> bool:
        """Leave out the next unplaced record until it changes, or a pipeline is published; True, since there may be
        more."""
        unplaced = UnplacedRepository(self._uow.session, self._uow.tenant_id)
        after = await unplaced.place_reached()
        if after is not None:
            page = await unplaced.page(after, 1)
            await unplaced.went_on(page[0] if page else None)
        return True

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
        await self._pipelines.lock_publication(shared=True)
        await self._reassigning.after(await self._activities.take(events))

    async def begin_meetings(self, now: datetime, limit: int, *, decide: bool = True) -> None:
        """Count planned meetings that have begun, which the CRM does not tell of again. What is only counted reaches
        its subject with the next activity."""
        await self._pipelines.lock_publication(shared=True)
        await self._reassigning.after(await self._activities.begin(now, limit, decide=decide))

    async def score_reach(self, found: Iterable[ReachRecord]) -> None:
        """Take over what scores the newest points of each assessment version can give."""
        by_age = sorted(found, key=lambda each: each.profile_version)
        newest = {(each.assessment_key, each.assessment_version): each for each in by_age}
        await self._pipelines.keep_reach(list(newest.values()))

    async def _place(self, new: Mapping[str, Sequence[Arrival]]) -> Placed:
        placed = await self._placing.place(new)
        return Placed(placed.rulesets, await self._assigning.announced(placed.arrivals))

    async def _decide(self, of_known: Sequence[Arrival], placed: Placed) -> None:
        await self._deciding.decide([*of_known, *placed.arrivals], placed.rulesets)
        if placed.rulesets:
            causes = {a.given.opportunity_id: a.cause for a in placed.arrivals}
            scored = await self._waiting_submissions(placed.rulesets)
            await self._deciding.decide([Arrival(read_submission(s), s, causes[s.opportunity_id]) for s in scored])
            await self._activities.take_waiting(placed.rulesets)

    async def _waiting_submissions(self, of: Collection[str]) -> list[SubmissionScored]:
        found: list[SubmissionScored] = []
        while some := await take(self._uow, SUBMISSION, of, AT_ONCE):
            found += [event.message for event in some]
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
