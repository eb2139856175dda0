"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import facts, kpis, modes, opportunities, partner_feeds, pipelines, unplaced, versions

ROUTERS = (
    pipelines.router,
    versions.router,
    modes.router,
    partner_feeds.router,
    *opportunities.SUBJECTS,
    opportunities.decisions,
    unplaced.router,
    facts.router,
    kpis.router,
)
