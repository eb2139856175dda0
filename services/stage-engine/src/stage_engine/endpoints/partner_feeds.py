"""Partner feeds over HTTP."""

from typing import Annotated

from fastapi import Path
from kit.http.auth import Caller, requires
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.records.partner_feeds import FeedRecord
from stage_engine.schemas.partner_feeds import NewPartnerFeed, PartnerFeedOut, PartnerKey
from stage_engine.service.partner_feeds import PartnerFeeds

router = router("pipelines", dependencies=[requires("partners:write")])


@router.post("/partner-feeds", status_code=201)
async def create_partner_feed(body: NewPartnerFeed, uow: Uow, caller: Caller) -> PartnerFeedOut:
    """Send every stage change of this tenant to a partner's topic too, from now on. The topic has to exist: 422 names
    the one to create."""
    return _feed(await PartnerFeeds(uow, caller).add(body.partner_key))


@router.get("/partner-feeds")
async def list_partner_feeds(uow: Uow, caller: Caller, paging: Paging) -> Page[PartnerFeedOut]:
    """Partners' feeds by key."""
    found = await PartnerFeeds(uow, caller).many(paging.after(str) or "", paging.limit + 1)
    return paging.page(found, lambda feed: [feed.partner_key], _feed)


@router.delete("/partner-feeds/{partner_key}", status_code=204)
async def delete_partner_feed(partner_key: Annotated[PartnerKey, Path()], uow: Uow, caller: Caller) -> None:
    """Send nothing more to a partner. Changes of its topic that wait in quarantine are dismissed."""
    await PartnerFeeds(uow, caller).remove(partner_key)


def _feed(record: FeedRecord) -> PartnerFeedOut:
    return PartnerFeedOut.model_validate(record, from_attributes=True)
