"""Scores, for those who see their opportunities."""

from datetime import datetime
from uuid import UUID

from kit.aside.parking import parked_aggregate
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.ownership import Owners

from scoring.errors import OpportunityNotFound, ScoreNotFound, ScorePending
from scoring.records import ScoreRecord, ScoreSummary
from scoring.repository import ScoringRepository
from scoring.service.submissions import WAITING


class Reading:
    """On behalf of one caller, of the opportunities that it sees."""

    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._repository = ScoringRepository(uow.session, uow.tenant_id)
        self._owners = Owners.seen_by(caller)

    async def newest(self, submission_id: UUID) -> ScoreRecord:
        """The newest score of a submission. ScorePending while it waits for a profile, ScoreNotFound."""
        absent = ScoreNotFound("The submission has no score here.")
        found = await self._repository.newest_score(submission_id)
        opportunity_id = (
            found.opportunity_id if found else await parked_aggregate(self._uow, WAITING, str(submission_id))
        )
        if opportunity_id is None:
            raise absent
        self._owners.demand(await self._repository.owner_of(opportunity_id), absent)
        if found is None:
            raise ScorePending("The submission waits for a published scoring profile of its assessment version.")
        return found

    async def scores(self, opportunity_id: str, after: tuple[datetime, UUID] | None, limit: int) -> list[ScoreSummary]:
        """Scores of an opportunity, newest first. OpportunityNotFound."""
        owner_id = await self._repository.owner_of(opportunity_id)
        absent = OpportunityNotFound(f"There is no opportunity {opportunity_id} of yours.")
        self._owners.demand(owner_id, absent)
        return await self._repository.scores(opportunity_id, after, limit)
