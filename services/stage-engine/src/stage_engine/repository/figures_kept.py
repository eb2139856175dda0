"""What figures are counted from: read back for those that a decision changes, written with it."""

from collections.abc import Collection, Sequence

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from kit.database.tables import person
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.domain.figures.standings import Evaluation, Standing
from stage_engine.domain.figures.visits import Visit
from stage_engine.models.figures import evaluation, standing, visit

_REPLACE_VISIT = bulk.replace(visit, *(n for n in bulk.column_names(Visit) if n not in ("opportunity_id", "revision")))
_END_STANDING = bulk.replace(standing, "until")


class KeptRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def visits(self, opportunity_ids: Collection[str]) -> list[Visit]:
        """Those that a later move may still change."""
        of = visit.c
        statement = select(*columns(visit, Visit)).where(
            of.tenant_id == self._tenant_id,
            among(of.opportunity_id, sorted(opportunity_ids)),
            or_(of.is_first, of.left_at.is_(None)),
        )
        return await records(self._session, statement, Visit)

    async def standings(self, opportunity_ids: Collection[str]) -> list[Standing]:
        """Those that last."""
        of = standing.c
        statement = select(*columns(standing, Standing)).where(
            of.tenant_id == self._tenant_id, among(of.opportunity_id, sorted(opportunity_ids)), of.until.is_(None)
        )
        return await records(self._session, statement, Standing)

    async def teams(self, owner_ids: Collection[str]) -> dict[str, str]:
        """To whom these people report; those of whom that is not known are left out."""
        of = person.c
        statement = select(of.person_id, of.manager_id).where(
            of.tenant_id == self._tenant_id, among(of.person_id, sorted(owner_ids))
        )
        return {row.person_id: row.manager_id for row in await self._session.execute(statement)}

    def keep(self, visits: Sequence[Visit], standings: Sequence[Standing], evaluations: Sequence[Evaluation]) -> None:
        """Write them, with the commit."""
        bulk.defer(self._session, visit, visits, conflict=_REPLACE_VISIT)
        bulk.defer(self._session, standing, standings, conflict=_END_STANDING)
        bulk.defer(self._session, evaluation, evaluations)
