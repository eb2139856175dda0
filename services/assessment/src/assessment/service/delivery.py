"""Answering "what now?": the due assessment, the worklist, the timeline, a submission's progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal

from assessment.domain.capture import Visit
from assessment.domain.delivery import Available, NextAssessment, Stage, next_assessment
from assessment.domain.outcome import Attempt
from assessment.errors import OpportunityNotFound, SubmissionNotFound
from assessment.repository.delivery import DeliveryRepository, PipelineStages, Row, attempt_of, state_of

READ_ANY = "opportunities:read-any"


@dataclass(frozen=True, slots=True)
class Work:
    """An opportunity with what is due and what became of its newest submission; stage_names by key."""

    opportunity: Row
    visit: Visit | None
    next: NextAssessment
    last: Attempt | None
    stage_names: dict[str, str]


class Delivery:
    """Reads on behalf of one caller: a rep sees its own opportunities and submissions, who may read any sees all."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._repository = DeliveryRepository(uow.session, uow.tenant_id)
        self._only = None if caller.may(READ_ANY) else caller.subject

    async def next_assessment(self, opportunity_id: str) -> Work:
        """What one opportunity is due. OpportunityNotFound."""
        return (await self._works([await self._opportunity(opportunity_id)]))[0]

    async def worklist(self, owner_id: str, after: str, limit: int) -> list[Work]:
        """An owner's open opportunities by id, from behind `after`."""
        return await self._works(await self._repository.open_opportunities(owner_id, after, limit))

    async def timeline(self, opportunity_id: str, after: tuple[datetime, str, str] | None, limit: int) -> list[Row]:
        """What happened to one opportunity, in order. OpportunityNotFound."""
        await self._opportunity(opportunity_id)
        return await self._repository.timeline(opportunity_id, after, limit)

    async def submission(self, submission_id: UUID) -> tuple[Row, Attempt]:
        """One submission and its progress. SubmissionNotFound."""
        row = await self._repository.submission(submission_id, self._only)
        if row is None:
            raise SubmissionNotFound(f"There is no submission {submission_id} of yours.")
        return row, attempt_of(row)

    async def _opportunity(self, opportunity_id: str) -> Row:
        row = await self._repository.opportunity(opportunity_id, self._only)
        if row is None:
            raise OpportunityNotFound(f"There is no opportunity {opportunity_id} of yours.")
        return row

    async def _works(self, opportunities: Sequence[Row]) -> list[Work]:
        # A fixed number of statements, however long the page is.
        pinned = {(row["pipeline_key"], row["pipeline_version"]) for row in opportunities if row["pipeline_key"]}
        pipelines = await self._repository.stages(pinned)
        stages = [_stage(row, pipelines) for row in opportunities]
        keys = {key for stage in stages if stage for key in stage.assessment_keys}
        available = await self._repository.available(keys)
        attempts = await self._repository.attempts([row["opportunity_id"] for row in opportunities])
        return [
            _work(row, stage, pipelines, available, attempts.get(row["opportunity_id"], []))
            for row, stage in zip(opportunities, stages, strict=True)
        ]


def _stage(row: Row, pipelines: PipelineStages) -> Stage | None:
    return pipelines.get((row["pipeline_key"], row["pipeline_version"]), {}).get(row["stage_key"])


def _work(
    row: Row,
    stage: Stage | None,
    pipelines: PipelineStages,
    available: dict[str, Available],
    attempts: list[Attempt],
) -> Work:
    state = state_of(row)
    known = pipelines.get((row["pipeline_key"], row["pipeline_version"]), {})
    return Work(
        row,
        state.visit,
        next_assessment(state, stage, available, attempts),
        attempts[-1] if attempts else None,
        {key: known_stage.name for key, known_stage in known.items()},
    )
