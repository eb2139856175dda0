"""Timers that are due: each is fired once, one decision each, in the order of an opportunity's timers."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from kit.database.unit_of_work import Database, UnitOfWork
from kit.ids import utc_now

from stage_engine.domain.timers import first_due
from stage_engine.repository.timers import TimerRepository
from stage_engine.service.assigning import Assigning
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.narrowing import narrowing
from stage_engine.service.rulesets import Rulesets

log = logging.getLogger(__name__)

# Timers fired in one transaction, which locks their opportunities.
PAGE = 100
_AGAIN_AFTER = timedelta(minutes=5)


async def fire_page(database: Database, tenant_id: str, limit: int = PAGE) -> int:
    """Fire the first timer that is due of each of some opportunities of a tenant; of how many. One that cannot be
    decided on holds up none of the others: it is looked at again later."""
    claimed: list[str] = []
    now = utc_now()
    try:
        async with database.unit_of_work(tenant_id) as uow:
            claimed += await TimerRepository(uow.session, tenant_id).claim(now, limit)
            await _fire(uow, claimed, now)
    except Exception:
        if not claimed:
            raise
        log.exception("the timers of %d opportunities of %s are fired one by one", len(claimed), tenant_id)
        for opportunity_id in claimed:
            await _fire_alone(database, tenant_id, opportunity_id)
    return len(claimed)


async def _fire(uow: UnitOfWork, opportunity_ids: Sequence[str], now: datetime) -> None:
    rulesets = Rulesets(uow)
    deciding = Deciding(uow, rulesets)
    known = await deciding.load(opportunity_ids)
    due = (first_due(known[each], now) for each in opportunity_ids if each in known)
    arrivals = [Arrival(given) for given in due if given is not None]
    if arrivals:
        await deciding.decide(arrivals)
        await Assigning(uow, rulesets, deciding).again(arrivals)


async def _fire_alone(database: Database, tenant_id: str, opportunity_id: str) -> None:
    """Fire it, or look at it again later where it fails by itself."""
    now = utc_now()
    await narrowing(
        database,
        tenant_id,
        f"the timer of {opportunity_id}",
        lambda uow: _fire(uow, [opportunity_id], now),
        lambda uow: TimerRepository(uow.session, tenant_id).postpone(opportunity_id, now + _AGAIN_AFTER),
    )
