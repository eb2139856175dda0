"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import (
    calendars,
    facts,
    holds,
    kpis,
    modes,
    opportunities,
    partner_feeds,
    pipelines,
    releases,
    reversals,
    unplaced,
    versions,
)

ROUTERS = (
    pipelines.router,
    versions.router,
    releases.router,
    modes.router,
    partner_feeds.router,
    *opportunities.SUBJECTS,
    opportunities.decisions,
    unplaced.router,
    *holds.HOLDS,
    *reversals.REVERSALS,
    calendars.router,
    facts.router,
    kpis.router,
)
