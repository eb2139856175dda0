"""Answering "what now?": the due assessment, the worklist, the timeline, a submission's progress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners
from kit.http.problems import NotFoundProblem

from assessment.domain.delivery import NOT_HERE, NextAssessment, Opportunity, Stage, next_assessment, startable
from assessment.domain.outcome import Attempt, Criterion
from assessment.errors import OpportunityNotFound, OpportunityUnknown, SubmissionNotFound
from assessment.records import SubmissionRecord, TimelineRecord
from assessment.repository.attempts import AttemptRepository
from assessment.repository.delivery import DeliveryRepository, TimelineKey
from assessment.repository.review import ReviewRepository


@dataclass(frozen=True, slots=True)
class Work:
    """An opportunity with what is due and what became of its newest submission; the stages of its pipeline by key."""

    opportunity: Opportunity
    next: NextAssessment
    last: Attempt | None
    stages: Mapping[str, Stage]

    @property
    def stage_names(self) -> dict[str, str]:
        """Names of the pipeline's stages by key."""
        return {key: stage.name for key, stage in self.stages.items()}

    @property
    def criteria(self) -> dict[str, Criterion]:
        """Criteria by key; of several the one that the current stage asks of what goes on."""
        current = self.stages.get(self.opportunity.stage_key or "")
        every = [each for stage in self.stages.values() for each in (*stage.entry, *stage.exit)]
        return {each.key: each for each in (*every, *(current.exit if current else ()))}


@dataclass(frozen=True, slots=True)
class Progress:
    """A submission and what became of it; `attempt` is None while it is held, and to a submitter who does not see its
    opportunity: the two look the same."""

    submission: SubmissionRecord
    attempt: Attempt | None


class Delivery:
    """Reads on behalf of one caller, of the opportunities that it sees."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._repository = DeliveryRepository(uow.session, uow.tenant_id)
        self._held = ReviewRepository(uow.session, uow.tenant_id)
        self._attempts = AttemptRepository(uow.session, uow.tenant_id)
        self._caller = caller
        self._owners = Owners.seen_by(caller)

    async def next_assessment(self, opportunity_id: str) -> Work:
        """What one opportunity is due. OpportunityNotFound."""
        return (await self._works([await self._opportunity(opportunity_id)]))[0]

    async def worklist(self, owner_id: str, after: str, limit: int) -> list[Work]:
        """An owner's open opportunities by id, from behind `after`; none of an owner that is not seen."""
        if not self._owners.include(owner_id):
            return []
        return await self._works(await self._repository.open_opportunities(owner_id, after, limit))

    async def timeline(self, opportunity_id: str, after: TimelineKey | None, limit: int) -> list[TimelineRecord]:
        """What happened to one opportunity, in order. OpportunityNotFound."""
        found = await self._opportunity(opportunity_id)
        return await self._repository.timeline(opportunity_id, found.owner_id, after, limit)

    async def submission(self, submission_id: UUID) -> Progress:
        """One submission and its progress. SubmissionNotFound."""
        absent = SubmissionNotFound(f"There is no submission {submission_id} of yours.")
        found = await self._attempts.submission(submission_id)
        if found is not None and self._owners.include(found[2]):
            return Progress(found[0], found[1])
        # Their own answers for an opportunity that they do not see: what became of them would tell of it, and so would
        # that a reviewer has accepted them.
        handed_in = await self._held.held(submission_id) or (found[0] if found else None)
        if handed_in is None:
            raise absent
        if handed_in.submitted_by != self._caller.person_id:
            absent.refused = "not_owner"
            raise absent
        return Progress(handed_in, None)

    async def _opportunity(self, opportunity_id: str) -> Opportunity:
        found = await self._repository.opportunity(opportunity_id)
        if found is not None and self._owners.include(found.owner_id):
            return found
        absent = await self._absent(opportunity_id)
        absent.refused = "not_owner" if found is not None else absent.refused
        raise absent

    async def _absent(self, opportunity_id: str) -> NotFoundProblem:
        """The same whether it is another person's or does not exist here."""
        if await self._repository.answered_by(opportunity_id, self._caller.person_id):
            return OpportunityUnknown(
                f"You have handed in answers for {opportunity_id}, but it is not known as an opportunity of yours yet. "
                "Try again.",
                headers={"Retry-After": "5"},
            )
        return OpportunityNotFound(f"There is no opportunity {opportunity_id} of yours.")

    async def _works(self, opportunities: Sequence[Opportunity]) -> list[Work]:
        # A fixed number of statements, however long the page is.
        pinned = {pipeline for each in opportunities if (pipeline := each.pipeline)}
        known = await self._repository.pipelines(pinned)
        pipelines = [known.get(each.pipeline, NOT_HERE) if each.pipeline else NOT_HERE for each in opportunities]
        current = [each.stages.get(of.stage_key or "") for of, each in zip(opportunities, pipelines, strict=True)]
        keys = {key for stage in current if stage for key in stage.assessment_keys}
        newest = await self._repository.available(keys)
        wanted = {pair for each in pipelines for pair in each.assessment_versions.items() if pair[0] in keys}
        released = await self._repository.released(wanted) if wanted else {}
        attempts = await self._attempts.attempts([each.opportunity_id for each in opportunities])
        works: list[Work] = []
        for opportunity, pipeline, stage in zip(opportunities, pipelines, current, strict=True):
            tried = attempts.get(opportunity.opportunity_id, [])
            due = next_assessment(opportunity, stage, startable(pipeline, newest, released), tried)
            works.append(Work(opportunity, due, tried[-1] if tried else None, pipeline.stages))
        return works
