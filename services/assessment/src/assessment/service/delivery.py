"""Answering "what now?": the due assessment, the worklist, the timeline, a submission's progress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal

from assessment.domain.delivery import NextAssessment, Opportunity, Stage, next_assessment
from assessment.domain.outcome import Attempt
from assessment.errors import OpportunityNotFound, SubmissionNotFound
from assessment.records import SubmissionRecord, TimelineRecord
from assessment.repository.delivery import DeliveryRepository, TimelineKey

READ_ANY = "opportunities:read-any"


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


class Delivery:
    """Reads on behalf of one caller: a rep sees its own opportunities and submissions, a caller that may read any sees
    all."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._repository = DeliveryRepository(uow.session, uow.tenant_id)
        self._caller = caller

    async def next_assessment(self, opportunity_id: str) -> Work:
        """What one opportunity is due. OpportunityNotFound."""
        return (await self._works([await self._opportunity(opportunity_id)]))[0]

    async def worklist(self, owner_id: str, after: str, limit: int) -> list[Work]:
        """An owner's open opportunities by id, from behind `after`."""
        return await self._works(await self._repository.open_opportunities(owner_id, after, limit))

    async def timeline(self, opportunity_id: str, after: TimelineKey | None, limit: int) -> list[TimelineRecord]:
        """What happened to one opportunity, in order. OpportunityNotFound."""
        await self._opportunity(opportunity_id)
        return await self._repository.timeline(opportunity_id, after, limit)

    async def submission(self, submission_id: UUID) -> tuple[SubmissionRecord, Attempt]:
        """One submission and its progress. SubmissionNotFound."""
        found = await self._repository.submission(submission_id)
        if found is None or not self._may_see(found[0].submitted_by):
            raise SubmissionNotFound(f"There is no submission {submission_id} of yours.")
        return found

    async def _opportunity(self, opportunity_id: str) -> Opportunity:
        found = await self._repository.opportunity(opportunity_id)
        if found is None or not self._may_see(found.owner_id):
            raise OpportunityNotFound(f"There is no opportunity {opportunity_id} of yours.")
        return found

    def _may_see(self, owner: str | None) -> bool:
        return owner == self._caller.subject or self._caller.may(READ_ANY)

    async def _works(self, opportunities: Sequence[Opportunity]) -> list[Work]:
        # A fixed number of statements, however long the page is.
        pinned = {pipeline for each in opportunities if (pipeline := each.pipeline)}
        pipelines = await self._repository.stages(pinned)
        stages = [pipelines.get(each.pipeline, {}) if each.pipeline else {} for each in opportunities]
        current = [known.get(each.stage_key or "") for each, known in zip(opportunities, stages, strict=True)]
        keys = {key for stage in current if stage for key in stage.assessment_keys}
        available = await self._repository.available(keys)
        attempts = await self._repository.attempts([each.opportunity_id for each in opportunities])
        works: list[Work] = []
        for opportunity, known, stage in zip(opportunities, stages, current, strict=True):
            tried = attempts.get(opportunity.opportunity_id, [])
            due = next_assessment(opportunity, stage, available, tried)
            works.append(Work(opportunity, due, tried[-1] if tried else None, known))
        return works
