"""What the recommender does in the background: it gives up waiting for what does not come."""

import asyncio
import logging

from kit.database.unit_of_work import Database
from kit.delivery.pace import pause
from kit.runtime import Runtime
from sqlalchemy import text

from recommender.telemetry import RECOMMENDATIONS

log = logging.getLogger(__name__)

_EVERY_SECONDS = 3600.0
_AT_ONCE = 1000
_TENANTS = text(
    "SELECT DISTINCT tenant_id FROM parked_submission WHERE parked_at < now() - make_interval(days => :days)"
)
_FORGET = text(
    """
    DELETE FROM parked_submission WHERE tenant_id = :tenant_id AND submission_id IN (
        SELECT submission_id FROM parked_submission
        WHERE parked_at < now() - make_interval(days => :days) LIMIT :at_most
    )
    RETURNING submission_id
    """
)


async def stop_waiting(runtime: Runtime, stop: asyncio.Event) -> None:
    """Once an hour, for what has waited for `PARKED_DAYS`. The submission's evidence was counted when it came, so only
    the advice is left out: there is no event to handle again."""
    while not stop.is_set():
        count = await give_up(runtime.database, runtime.settings.parked_days)
        if count:
            log.warning("%d submissions get no recommendation: what they wait for does not come", count)
        await pause(stop, _EVERY_SECONDS)


async def give_up(database: Database, days: int) -> int:
    """Let the submissions of all tenants that have waited so long wait no longer; how many."""
    async with database.as_relay() as connection:
        tenants = [row[0] for row in await connection.execute(_TENANTS, {"days": days})]
    count = 0
    for tenant_id in tenants:
        given = {"tenant_id": tenant_id, "days": days, "at_most": _AT_ONCE}
        forgotten = _AT_ONCE
        while forgotten == _AT_ONCE:
            async with database.unit_of_work(tenant_id) as uow:
                forgotten = len((await uow.session.execute(_FORGET, given)).all())
            count += forgotten
    RECOMMENDATIONS.labels("given_up").inc(count)
    return count
