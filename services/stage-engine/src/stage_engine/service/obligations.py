"""What owners owe: the ledger in pages, the report of who did not, and how fast leads were called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kit.database.unit_of_work import UnitOfWork
from kit.http.ownership import Owners

from stage_engine.errors.work import ObligationUnknown
from stage_engine.records.figures import LeadTime, OwedTotal
from stage_engine.records.work import ObligationRecord
from stage_engine.repository.obligations import ObligationRepository, Period, Place, Wanted, Window
from stage_engine.repository.pipelines import PipelineRepository

# What one refusal looks through.
MOST_PIPELINES = 200


@dataclass(frozen=True, slots=True)
class SpeedToLead:
    """How long it took in all, and by who owed it, in which hour it was made, and where the lead came from."""

    overall: LeadTime
    by_owner: Sequence[LeadTime]
    by_hour: Sequence[LeadTime]
    by_source: Sequence[LeadTime]


class Obligations:
    """Those of these owners."""

    def __init__(self, uow: UnitOfWork, owners: Owners) -> None:
        self._repository = ObligationRepository(uow.session, uow.tenant_id)
        self._pipelines = PipelineRepository(uow.session, uow.tenant_id)
        self._owners = owners

    async def many(self, wanted: Wanted, after: Place | None, limit: int) -> list[ObligationRecord]:
        """By the time they are due. ObligationUnknown."""
        found = await self._repository.many(wanted, self._owners, after, limit)
        if wanted.key and not found and after is None:
            await self._demand(wanted.key)
        return found

    async def totals(self, window: Window, period: Period, by: Literal["person", "team"]) -> list[OwedTotal]:
        """What came due in a time, by person or team and period. ObligationUnknown."""
        found = await self._repository.totals(window, period, self._owners, by_team=by == "team")
        if window.key and not found:
            await self._demand(window.key)
        return found

    async def _demand(self, key: str) -> None:
        """Nothing may have been made yet of what is declared; a key that is not among those is a slip."""
        newest = await self._pipelines.newest_versions("", MOST_PIPELINES)
        there = sorted({each["key"] for found in newest for each in found.document.get("obligations", ())})
        if there and key not in there:
            raise ObligationUnknown(key, there)

    async def speed_to_lead(self, window: Window) -> SpeedToLead:
        """How long it took to meet what was made in a time. ObligationUnknown."""
        [overall] = await self._repository.lead_times(window, self._owners, None)
        if window.key and not overall.judged and not overall.censored:
            await self._demand(window.key)
        return SpeedToLead(
            overall,
            await self._repository.lead_times(window, self._owners, "owner_id"),
            sorted(await self._repository.lead_times(window, self._owners, "hour"), key=lambda each: int(each.group)),
            await self._repository.lead_times(window, self._owners, "source"),
        )
