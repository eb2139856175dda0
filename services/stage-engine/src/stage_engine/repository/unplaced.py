"""Records that no pipeline takes."""

from collections.abc import Collection, Sequence

from kit.database import bulk
from kit.database.rows import columns, records
from kit.database.sets import among
from kit.http.ownership import Owners
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models.opportunities import opportunity, placement, unplaced
from stage_engine.records.figures import AsideTotal
from stage_engine.records.opportunities import UnplacedRecord

_UNPLACED = columns(unplaced, UnplacedRecord)


class UnplacedRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def take(self, record_ids: Collection[str]) -> dict[str, UnplacedRecord]:
        """Those of these records that are unplaced, removed: each is placed now, or kept again."""
        statement = delete(unplaced).where(among(unplaced.c.record_id, record_ids)).returning(*_UNPLACED)
        return {each.record_id: each for each in await records(self._session, statement, UnplacedRecord)}

    def keep(self, found: Sequence[UnplacedRecord]) -> None:
        """List these, with the commit."""
        bulk.defer(self._session, unplaced, found)

    async def many(
        self, object_type: str | None, code: str | None, owners: Owners, after: str, limit: int
    ) -> list[UnplacedRecord]:
        """By id, of these owners."""
        seen = owners.condition(unplaced.c.owner_id)
        statement = select(*_UNPLACED).where(unplaced.c.record_id > after, ~unplaced.c.deleted, seen)
        if object_type is not None:
            statement = statement.where(unplaced.c.object_type == object_type)
        if code is not None:
            statement = statement.where(unplaced.c.code == code)
        statement = statement.order_by(unplaced.c.record_id).limit(limit)
        return await records(self._session, statement, UnplacedRecord)

    async def reasons(self, record_ids: Collection[str], owners: Owners) -> dict[str, str]:
        """Why those of these records have no pipeline that are unplaced, by id, of these owners."""
        if not record_ids:
            return {}
        seen = owners.condition(unplaced.c.owner_id)
        statement = select(*_UNPLACED).where(among(unplaced.c.record_id, record_ids), ~unplaced.c.deleted, seen)
        return {each.record_id: each.reason for each in await records(self._session, statement, UnplacedRecord)}

    async def totals(self, object_type: str, owners: Owners) -> list[AsideTotal]:
        """How many there are, by reason."""
        statement = (
            select(unplaced.c.code, func.count().label("records"))
            .where(unplaced.c.object_type == object_type, ~unplaced.c.deleted, owners.condition(unplaced.c.owner_id))
            .group_by(unplaced.c.code)
            .order_by(unplaced.c.code)
        )
        return await records(self._session, statement, AsideTotal)

    async def quarantined(self, object_type: str, owners: Owners) -> list[AsideTotal]:
        """How many subjects are quarantined, by reason."""
        of = opportunity.c
        statement = (
            select(of.quarantine_code.label("code"), func.count().label("records"))
            .where(of.object_type == object_type, of.quarantined, ~of.deleted, owners.condition(of.owner_id))
            .group_by(of.quarantine_code)
            .order_by(of.quarantine_code)
        )
        return await records(self._session, statement, AsideTotal)

    # Looking at all of them again

    async def look_again(self) -> None:
        """From the first one on, whatever was under way."""
        row = upsert(placement).values(tenant_id=self._tenant_id, after="", started_at=func.now())
        await self._session.execute(
            row.on_conflict_do_update(index_elements=["tenant_id"], set_={"after": "", "started_at": func.now()})
        )

    async def place_reached(self) -> str | None:
        """Behind which id it goes on, for this transaction alone; None when nothing is under way, or another instance
        is at it."""
        statement = select(placement.c.after).with_for_update(skip_locked=True)
        return (await self._session.execute(statement)).scalar()

    async def page(self, after: str, limit: int) -> list[str]:
        """The next ones by id."""
        statement = select(unplaced.c.record_id).where(unplaced.c.record_id > after, ~unplaced.c.deleted)
        return list((await self._session.execute(statement.order_by(unplaced.c.record_id).limit(limit))).scalars())

    async def went_on(self, after: str | None) -> None:
        """Note the page that this transaction looks at; None: it was the last."""
        await self._session.execute(delete(placement) if after is None else update(placement).values(after=after))
