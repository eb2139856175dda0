"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import (
    calendars,
    facts,
    figures,
    holds,
    kpis,
    modes,
    opportunities,
    partner_feeds,
    pipelines,
    releases,
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
    calendars.router,
    facts.router,
    kpis.router,
    figures.router,
)
