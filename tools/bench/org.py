"""The simulated Salesforce org as the system's CRM: one rep's opportunities in Prospecting, imported."""

from __future__ import annotations

from dataclasses import replace

import uvloop
from kit.ids import utc_now
from sandbox.story.generator import invent_world
from sandbox.story.org_load import OrgConsole
from sandbox.story.play import loopback_client
from sandbox.story.setup import import_opportunities
from sandbox.story.world import PROSPECTING

from tools.bench.system import System, admin_of, publish

SEED = 1


def fill(running: System, count: int) -> None:
    """Load the org, have the connector import it, and submit for its opportunities from now on."""
    uvloop.run(_fill(running, count))


async def _fill(running: System, count: int) -> None:
    world = invent_world(SEED, count, utc_now().date())
    rep = world.reps[0].key
    opportunities = tuple(replace(opportunity, claimed=PROSPECTING, rep_key=rep) for opportunity in world.opportunities)
    await publish(running)
    async with loopback_client() as http:
        ids = await OrgConsole(http, running.environment["ORG_URL"]).fill(replace(world, opportunities=opportunities))
        await import_opportunities(admin_of(running, http))
    await running.until("stage-engine", "SELECT count(*) FROM opportunity", count)
    await running.settled()
    running.use(list(ids.opportunities.values()), ids.users[rep])
