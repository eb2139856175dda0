"""Partners' topics."""

from kit.app import Runtime
from kit.database.unit_of_work import UnitOfWork
from kit.http.audit import record
from kit.http.auth import Principal

from stage_engine.errors import PartnerFeedExists, PartnerTopicForeign, PartnerTopicMissing
from stage_engine.repository.pipelines import PipelineRepository, Row


async def add_partner_feed(uow: UnitOfWork, caller: Principal, partner_key: str, topic: str) -> Row:
    """Send every stage change of the tenant to this topic too, from now on. The topic has to carry the tenant's name,
    so that no tenant reaches another's partner, and has to exist: events for an unknown one would hold up the rest."""
    prefix = f"stagecraft.partner.{uow.tenant_id}."
    if not topic.startswith(prefix):
        raise PartnerTopicForeign(prefix)
    runtime = uow.resources.get(Runtime)
    if not await runtime.relay.topic_exists(runtime.settings.topic_prefix + topic):
        raise PartnerTopicMissing(topic)
    row = await PipelineRepository(uow.session, uow.tenant_id).add_feed(partner_key, topic, caller.subject)
    if row is None:
        raise PartnerFeedExists(f"{partner_key!r} has a feed already")
    await record(uow, caller, "partner_feed.added", partner_key, topic=topic)
    return row
