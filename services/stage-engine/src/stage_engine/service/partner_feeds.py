"""Topics of partners."""

from kit.contracts.events import PARTNER_TOPICS
from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.operators.audit import record
from kit.relay.quarantine import dismiss_topic
from kit.runtime import Runtime

from stage_engine.errors.partner_feeds import PartnerFeedExists, PartnerFeedNotFound, PartnerTopicMissing
from stage_engine.records.partner_feeds import FeedRecord
from stage_engine.repository.partner_feeds import PartnerFeedRepository


class PartnerFeeds:
    def __init__(self, uow: UnitOfWork, caller: Principal) -> None:
        self._uow = uow
        self._caller = caller
        self._repository = PartnerFeedRepository(uow.session, uow.tenant_id)

    async def add(self, partner_key: str) -> FeedRecord:
        """Send every stage change of the tenant to this partner's topic too, from now on. The topic has to exist."""
        topic = f"{PARTNER_TOPICS}{self._uow.tenant_id}.{partner_key}.stage-changed.v1"
        runtime = self._uow.resources.get(Runtime)
        if not await runtime.relay.topic_exists(runtime.settings.topic_prefix + topic):
            raise PartnerTopicMissing(topic)
        added = await self._repository.add(partner_key, topic, self._caller.subject)
        if added is None:
            raise PartnerFeedExists(partner_key)
        await record(self._uow, self._caller, "partner_feed.added", partner_key, topic=topic)
        return added

    async def remove(self, partner_key: str) -> None:
        """Send nothing more to this partner, and forget what could not be sent. What is on its way still arrives."""
        removed = await self._repository.remove(partner_key)
        if removed is None:
            raise PartnerFeedNotFound(partner_key)
        prefix = self._uow.resources.get(Runtime).settings.topic_prefix
        dismissed = await dismiss_topic(self._uow.session, prefix + removed.topic)
        await record(self._uow, self._caller, "partner_feed.removed", partner_key, dismissed_events=dismissed)

    async def many(self, after: str, limit: int) -> list[FeedRecord]:
        return await self._repository.many(after, limit)
