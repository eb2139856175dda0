"""What the stage engine does in the background: prove that its log can be replayed, measure the optimism gap, fire
timers, and carry opportunities to other versions of their pipelines."""

import asyncio
import logging
import random
from datetime import datetime
from uuid import UUID

from kit.delivery.pace import pause
from kit.http.ownership import Owners
from kit.ids import utc_now
from kit.runtime import Runtime
from sqlalchemy import text

from stage_engine import telemetry
from stage_engine.repository.activities import tenants_with_meetings
from stage_engine.repository.timers import due_tenants
from stage_engine.service.breaking import BreakerWatch, check
from stage_engine.service.intake import Intake
from stage_engine.service.migrating import MigrationStarted, carry_page, pass_over
from stage_engine.service.narrowing import narrowing
from stage_engine.service.placing import PipelinePublication
from stage_engine.service.timing import PAGE, fire_page
from stage_engine.service.viewing import Viewing
from stage_engine.settings import Settings
from stage_engine.tenants import Tenants

log = logging.getLogger(__name__)

_GAP_SECONDS = 60.0
_PLACING_SECONDS = 2.0
# Records looked at again in one transaction, which locks them.
_PLACED_AT_ONCE = 200
_TO_PLACE = text("SELECT tenant_id FROM placement ORDER BY started_at")
# What another instance started, or left unfinished, is seen after this.
_MIGRATION_SECONDS = 2.0
_BREAKER_SECONDS = 1.0
# How late a timer may fire although nothing else is to be done.
_TIMER_SECONDS = 1.0
# How late a meeting may count that has begun.
_MEETING_SECONDS = 5.0
_UNDER_WAY = text("SELECT tenant_id, migration_id FROM migration WHERE finished_at IS NULL ORDER BY started_at")
# A sample of so many pages shows the gap well enough, and costs the same however many opportunities there are.
_SAMPLED_PAGES = 1000
_PAGES = text("SELECT greatest(pg_relation_size('opportunity') / current_setting('block_size')::bigint, 1)")
_ACTIONS = text("SELECT count(*), min(requested_at) FROM action WHERE state = 'open'")
# The relay's role sees the columns of this statement for all tenants, and no others.
_GAP = """
    SELECT count(*), count(*) FILTER (WHERE stage_rank > earned_rank)
    FROM opportunity TABLESAMPLE SYSTEM ({percent}) WHERE category = 'open' AND NOT deleted
"""


async def check_replays(runtime: Runtime, stop: asyncio.Event) -> None:
    """Now and then decide a stored decision again and compare the two, byte for byte.

    A decision is drawn at random over the whole log of a tenant, so that old decisions are checked against new code.
    """
    seconds = runtime.settings.replay_check_seconds if isinstance(runtime.settings, Settings) else 0
    while seconds and not stop.is_set():
        await pause(stop, seconds)
        tenant_id = runtime.resources.get(Tenants).any()
        if tenant_id is not None and not stop.is_set():
            await check_one(runtime, tenant_id, random.random())  # noqa: S311


async def check_one(runtime: Runtime, tenant_id: str, place: float) -> UUID | None:
    """Check the decision at this place of the tenant's log, 0 for the first and 1 for the last; its id."""
    try:
        async with runtime.database.unit_of_work(tenant_id) as uow:
            viewing = Viewing(uow, Owners(None))
            decision_id = await viewing.decision_near(place)
            if decision_id is None:
                return None
            replay = await viewing.replay(decision_id)
    except Exception:
        telemetry.REPLAYS.labels("failed").inc()
        raise
    telemetry.REPLAYS.labels("same" if replay.identical else "different").inc()
    if not replay.identical:
        log.critical("decision %s of %s, decided again, is another one", decision_id, tenant_id)
    return decision_id


async def measure_gap(runtime: Runtime, stop: asyncio.Event) -> None:
    """Estimate once a minute how many opportunities are open, and how many are claimed further than they earned; and
    count the actions that are open.

    Up to a thousand pages of the table are counted exactly; of a larger one, a sample of as many.
    """
    while not stop.is_set():
        async with runtime.database.as_relay() as connection:
            share = min(1.0, _SAMPLED_PAGES / (await connection.execute(_PAGES)).scalar_one())
            total, ahead = (await connection.execute(text(_GAP.format(percent=share * 100)))).one()
            actions, oldest = (await connection.execute(_ACTIONS)).one()
        telemetry.ACTIONS_OPEN.set(actions)
        telemetry.ACTIONS_OLDEST.set(max(0.0, (utc_now() - oldest).total_seconds()) if oldest else 0)
        telemetry.OPEN.set(round(total / share))
        telemetry.OPEN_AHEAD.set(round(ahead / share))
        await pause(stop, _GAP_SECONDS)


async def fire_timers(runtime: Runtime, stop: asyncio.Event) -> None:
    """Fire the timers that are due, of all tenants in turn, no faster than the settings say. What came due while
    nothing ran is caught up with at that rate."""
    while not stop.is_set():
        if not await fire_some(runtime, stop):
            await pause(stop, _TIMER_SECONDS)


async def fire_some(runtime: Runtime, stop: asyncio.Event) -> int:
    """A page of each tenant that has timers due; how many fired."""
    settings = runtime.settings
    rate = settings.timers_per_second if isinstance(settings, Settings) else PAGE
    loop = asyncio.get_running_loop()
    now = utc_now()
    async with runtime.database.as_relay() as connection:
        due = await due_tenants(connection, now)
    telemetry.TIMERS_BEHIND.set((now - due[0].due_at).total_seconds() if due else 0)
    total = 0
    for each in due:
        if stop.is_set():
            break
        began = loop.time()
        try:
            fired = await fire_page(runtime.database, each.tenant_id, min(PAGE, rate))
        except Exception:
            log.exception("timers of %s will be fired later", each.tenant_id)
            continue
        total += fired
        await pause(stop, max(0.0, fired / rate - (loop.time() - began)))
    return total


async def begin_meetings(runtime: Runtime, stop: asyncio.Event) -> None:
    """Count planned meetings once they have begun."""
    while not stop.is_set():
        await begin_some(runtime, stop)
        await pause(stop, _MEETING_SECONDS)


async def begin_some(runtime: Runtime, stop: asyncio.Event) -> None:
    """A page of each tenant that has meetings which began; the rest of them follows at the next look."""
    now = utc_now()
    async with runtime.database.as_relay() as connection:
        tenants = await tenants_with_meetings(connection, now)
    for tenant_id in tenants:
        if stop.is_set():
            break
        try:
            await _begin(runtime, tenant_id, now)
        except Exception:
            # It holds up itself only.
            log.exception("meetings of %s will be counted later", tenant_id)


async def _begin(runtime: Runtime, tenant_id: str, now: datetime) -> None:
    """A page, or only the first meeting where that fails. One that fails by itself is counted and not decided on."""
    await narrowing(
        runtime.database,
        tenant_id,
        "a page of meetings that began",
        lambda uow: Intake(uow).begin_meetings(now, PAGE),
        lambda uow: Intake(uow).begin_meetings(now, 1),
        lambda uow: Intake(uow).begin_meetings(now, 1, decide=False),
    )


async def watch_breakers(runtime: Runtime, stop: asyncio.Event) -> None:
    """Look at the pipelines in which rules moved something, once a second at most."""
    watch = runtime.resources.get(BreakerWatch)
    while not stop.is_set():
        for (tenant_id, key), breaker in watch.take().items():
            try:
                async with runtime.database.unit_of_work(tenant_id) as uow:
                    await check(uow, key, breaker)
            except Exception:
                log.exception("the breaker of %s of %s will be looked at again", key, tenant_id)
                watch.note(tenant_id, key, breaker)
        await pause(stop, _BREAKER_SECONDS)


async def carry_migrations(runtime: Runtime, stop: asyncio.Event) -> None:
    """Carry opportunities over to other versions. A migration that was left unfinished goes on where it was."""
    started = runtime.resources.get(MigrationStarted).signal
    while not stop.is_set():
        started.clear()
        if not await carry_some(runtime, stop):
            await pause(started, _MIGRATION_SECONDS)


async def place_unplaced(runtime: Runtime, stop: asyncio.Event) -> None:
    """After a pipeline was published, look again at the records that had none."""
    published = runtime.resources.get(PipelinePublication).signal
    while not stop.is_set():
        published.clear()
        if not await place_some(runtime, stop):
            await pause(published, _PLACING_SECONDS)


async def place_some(runtime: Runtime, stop: asyncio.Event) -> bool:
    """A page of each tenant, each in a transaction of its own; whether there is more to do."""
    async with runtime.database.as_relay() as connection:
        tenants = (await connection.execute(_TO_PLACE)).scalars().all()
    more = False
    for tenant_id in tenants:
        if stop.is_set():
            return False
        try:
            more |= await _place(runtime, tenant_id)
        except Exception:
            # It holds up itself only.
            log.exception("a page of the unplaced records of %s will be tried again", tenant_id)
    return more


async def _place(runtime: Runtime, tenant_id: str) -> bool:
    """A page, or only its first record where that fails. One that fails by itself holds up none of the others."""
    return await narrowing(
        runtime.database,
        tenant_id,
        "a page of unplaced records",
        lambda uow: Intake(uow).place_page(_PLACED_AT_ONCE),
        lambda uow: Intake(uow).place_page(1),
        lambda uow: Intake(uow).pass_over(),
    )


async def carry_some(runtime: Runtime, stop: asyncio.Event) -> bool:
    """A page of each migration under way, each in a transaction of its own; whether there is more to do."""
    async with runtime.database.as_relay() as connection:
        under_way = (await connection.execute(_UNDER_WAY)).all()
    more = False
    for tenant_id, migration_id in under_way:
        if stop.is_set():
            return False
        try:
            more |= await _carry(runtime, tenant_id, migration_id)
        except Exception:
            # It holds up itself only.
            log.exception("a page of the migration %s of %s will be tried again", migration_id, tenant_id)
    return more


async def _carry(runtime: Runtime, tenant_id: str, migration_id: UUID) -> bool:
    """A page, or only its first opportunity where that fails. One that fails by itself stays on its version."""
    return await narrowing(
        runtime.database,
        tenant_id,
        f"a page of the migration {migration_id}",
        lambda uow: carry_page(uow, migration_id),
        lambda uow: carry_page(uow, migration_id, alone=True),
        lambda uow: pass_over(uow, migration_id),
    )
