"""Topics of partners."""

from kit.database.unit_of_work import UnitOfWork
from kit.http.audit import record
from kit.http.auth import Principal
from kit.runtime import Runtime

from stage_engine.errors import PartnerFeedExists, PartnerTopicForeign, PartnerTopicMissing
from stage_engine.records import FeedRecord
from stage_engine.repository.partner_feeds import PartnerFeedRepository


class PartnerFeeds:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = PartnerFeedRepository(uow.session, uow.tenant_id)

    async def add(self, partner_key: str, topic: str) -> FeedRecord:
        """Send every stage change of the tenant to this topic too, from now on. The topic has to carry the tenant's
        name, so that no tenant reaches another's partner, and has to exist: events for an unknown one would hold up the
        rest."""
        prefix = f"stagecraft.partner.{self._uow.tenant_id}."
        if not topic.startswith(prefix):
            raise PartnerTopicForeign(prefix)
        runtime = self._uow.resources.get(Runtime)
        if not await runtime.relay.topic_exists(runtime.settings.topic_prefix + topic):
            raise PartnerTopicMissing(topic)
        added = await self._repository.add(partner_key, topic, self._caller.subject)
        if added is None:
            raise PartnerFeedExists(partner_key)
        await record(self._uow, self._caller, "partner_feed.added", partner_key, topic=topic)
        return added

    async def many(self, after: str, limit: int) -> list[FeedRecord]:
        return await self._repository.many(after, limit)
