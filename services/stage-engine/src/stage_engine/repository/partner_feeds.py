"""Topics of partners."""

from kit.database.rows import columns, record, records
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from stage_engine.models.partner_feeds import partner_feed
from stage_engine.records.partner_feeds import FeedRecord

_FEED = columns(partner_feed, FeedRecord)


class PartnerFeedRepository:
    """Row-level security confines every statement to the transaction's tenant; writes name it."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def add(self, partner_key: str, topic: str, by: str) -> FeedRecord | None:
        """A new feed; None when the partner has one."""
        statement = (
            insert(partner_feed)
            .values(tenant_id=self._tenant_id, partner_key=partner_key, topic=topic, created_by=by)
            .on_conflict_do_nothing()
            .returning(*_FEED)
        )
        return await record(self._session, statement, FeedRecord)

    async def remove(self, partner_key: str) -> FeedRecord | None:
        """The feed that was removed; None when the partner has none."""
        statement = delete(partner_feed).where(partner_feed.c.partner_key == partner_key).returning(*_FEED)
        return await record(self._session, statement, FeedRecord)

    async def many(self, after: str, limit: int) -> list[FeedRecord]:
        statement = select(*_FEED).where(partner_feed.c.partner_key > after)
        return await records(self._session, statement.order_by(partner_feed.c.partner_key).limit(limit), FeedRecord)

    async def all(self) -> list[FeedRecord]:
        """The feeds that get every change of the tenant."""
        return await records(self._session, select(*_FEED).order_by(partner_feed.c.partner_key), FeedRecord)
